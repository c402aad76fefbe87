"""A home with the hosts' programs and ours, a project in it, and the hosts set up to ask a model of ours.

``python -m bench.hosts.programs /tmp/hosts`` installs the hosts from npm; ``$AGENT_IPC_TEST_HOSTS`` is the folder, if another.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridges import host_sessions, host_turns
from broker.client.json_lines import request
from broker.home.paths import Place

BIN = Path(os.environ.get("AGENT_IPC_TEST_HOSTS", "/tmp/hosts")) / "node_modules" / ".bin"  # noqa: S108 (where npm put them)
IPC = [sys.executable, "-m", "bridges.cli"]
CLAUDE_TOOLS = "mcp__plugin_agent-ipc_ipc__"
NO_LIMITS = {"IPC_RATE_LIMIT": "0", "IPC_PAIR_LIMIT": "0", "IPC_WAKE_LIMIT": "0", "IPC_PAIR_WAKE_LIMIT": "0"}
"""One sender measures, and writes to the same agents all the time."""
_RUN_S = 180
_WAIT_S = 120.0
_QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
}
_CODEX = """model_provider = "fake"
model = "gpt-5"

[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "FAKE_KEY"
"""


def missing(*programs: str) -> list[str]:
    """Those of the programs that are not installed."""
    return [p for p in programs if not (BIN / p).exists() and shutil.which(p) is None]


def version_of(program: str) -> str:
    """What the program says of itself; raises AssertionError if it says nothing that looks like a version."""
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": f"{BIN}:{os.environ['PATH']}", **_QUIET}
        said = subprocess.run(
            [program, "--version"], env=env, cwd=home, capture_output=True, text=True, timeout=_RUN_S, check=False
        )
    found = re.search(r"\d+\.\d+\.\d+", said.stdout)
    assert found, (program, said)
    return found[0]


def wait_until(what: str, condition: Callable[[], Any], deadline_s: float = _WAIT_S, explain: Callable[[], str] = str) -> Any:
    """The first true value of ``condition``. Raises TimeoutError with ``what``, and ``explain``."""
    end_s = time.monotonic() + deadline_s
    while not (value := condition()):
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited {deadline_s} s for {what}\n{explain()}")
        time.sleep(0.01)
    return value


class Machine:
    """A home with the hosts' programs and ours, and a project whose folder is called web."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project = home / "web"
        self.project.mkdir()
        self.data = home / "ipc"
        path = f"{BIN}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        ours = {"IPC_HOME": str(self.data), "IPC_PORT": "0", "IPC_WAKE_PAUSE": "0"}
        self.env = {"HOME": str(home), "PATH": path, **ours, **_QUIET}

    def run(self, *command: str, **env: str) -> str:
        """What the command printed. Raises AssertionError if it failed."""
        done = subprocess.run(
            command,
            cwd=self.project,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_RUN_S,
            check=False,
        )
        if done.returncode:
            raise AssertionError((command, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def ipc(self, *arguments: str) -> str:
        return self.run(*IPC, *arguments)

    def request(self, name: str, action: str, **fields: Any) -> dict[str, Any]:
        """A request as that agent of a shell."""
        token = json.loads((self.data / "sessions" / f"cli-{name}.json").read_text())["token"]
        return request(Place(str(self.data)), {"action": action, "session_token": token, **fields})

    def send(self, text: str, land: str = "tool", *, by: str = "bob", to: str = "web") -> str:
        """The id of a message."""
        return str(self.request(by, "send", to_id=to, message={"content": text}, land=land)["message_id"])

    def write(self, name: str, text: str) -> None:
        """A file of the home."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def bindings(self) -> list[host_sessions.Binding]:
        return list(host_sessions.all_of(str(self.data)))

    def binding(self, project: Path | None = None) -> host_sessions.Binding | None:
        """The binding of the session that runs in the project, else of one that ended."""
        folder = os.path.realpath(project or self.project)
        found = [b for b in self.bindings() if os.path.realpath(b.project) == folder]
        return next(iter(sorted(found, key=lambda b: b.ended or not b.live())), None)

    def reach(self, name: str = "web") -> list[str]:
        """The ways by which mail reaches an instance, as bob sees them."""
        rows = self.request("bob", "list")["instances"]
        return next((row.get("reach", []) for row in rows if row["id"] == name), [])

    def works(self, session: str) -> bool:
        """True while a turn of the session runs, as its hooks say."""
        return host_turns.load(str(self.data), session).working

    # each host's own settings: where the model is, and that this project is trusted

    def claude_env(self, url: str, project: Path | None = None) -> dict[str, str]:
        folder = os.path.realpath(project or self.project)
        state = self.home / ".claude.json"
        known = json.loads(state.read_text()) if state.exists() else {}
        if not known.get("projects", {}).get(folder, {}).get("hasTrustDialogAccepted"):  # the host writes this file, too
            known |= {"hasCompletedOnboarding": True, "customApiKeyResponses": {"approved": ["dummy"], "rejected": []}}
            known.setdefault("projects", {})[folder] = {"hasTrustDialogAccepted": True}
            state.write_text(json.dumps(known))
        return {"ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "dummy"}

    def codex_env(self, url: str, project: Path | None = None) -> dict[str, str]:
        config, folder = self.home / ".codex/config.toml", os.path.realpath(project or self.project)
        known = config.read_text() if config.exists() else ""
        if "[model_providers.fake]" not in known:
            known = _CODEX.format(url=url) + known
        if f'[projects."{folder}"]' not in known:
            known += f'\n[projects."{folder}"]\ntrust_level = "trusted"\n'
        self.write(".codex/config.toml", known)
        return {"FAKE_KEY": "x"}

    def gemini_env(self, url: str) -> dict[str, str]:
        settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
        self.write(".gemini/settings.json", json.dumps(settings))
        self.write(".gemini/trustedFolders.json", json.dumps({os.path.realpath(self.project): "TRUST_FOLDER"}))
        return {"GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": url, "GEMINI_CLI_NO_RELAUNCH": "true"}
