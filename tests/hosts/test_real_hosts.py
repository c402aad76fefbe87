"""The real hosts, from npm: their validators, and the whole of Claude Code against a fake model on loopback.

npm install --prefix /tmp/hosts @anthropic-ai/claude-code@2.1.331 @openai/codex @google/gemini-cli
pytest -m host            ($IPC_TEST_HOSTS is the prefix, if it is another)
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bridges import host_sessions, host_turns, waking
from tests.conftest import wait_for
from tests.hosts.fake_model import ANSWER, FakeModel
from tests.shell import IPC

BIN = Path(os.environ.get("IPC_TEST_HOSTS", "/tmp/hosts")) / "node_modules" / ".bin"  # noqa: S108
QUIET = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "LANG": "C.UTF-8",
    "TERM": "xterm-256color",
}
pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]


def needs(*programs: str) -> Any:
    """Skip, and say why, where a host or a tool is not installed."""
    missing = [p for p in programs if not (BIN / p).exists() and shutil.which(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (see this file's head)")


class Machine:
    """A home with the hosts' programs and ours, and a project."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project = home / "web"
        self.project.mkdir()
        self.data = home / "ipc"
        path = f"{BIN}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.env = {"HOME": str(home), "PATH": path, "IPC_HOME": str(self.data), "IPC_PORT": "0", **QUIET}

    def run(self, *command: str, **env: str) -> str:
        done = subprocess.run(
            command,
            cwd=self.project,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def ipc(self, *arguments: str) -> str:
        return self.run(*IPC, *arguments)

    def request(self, name: str, action: str, **fields: Any) -> dict[str, Any]:
        """A request as that agent of a shell."""
        from broker.client.json_lines import request
        from broker.home.paths import Place

        token = json.loads((self.data / "sessions" / f"cli-{name}.json").read_text())["token"]
        return request(Place(str(self.data)), {"action": action, "session_token": token, **fields})

    def binding(self) -> host_sessions.Binding | None:
        return next(iter(host_sessions.all_of(str(self.data))), None)


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    machine = Machine(home)
    yield machine
    machine.ipc("down")


@needs("claude")
def test_claude_code_accepts_the_plugin_and_connects_to_its_server(machine: Machine) -> None:
    machine.ipc("install", "claude", "--claims", "--rewake")
    folder = machine.home / ".claude/skills/agent-ipc"
    assert "Validation passed" in machine.run("claude", "plugin", "validate", str(folder))
    listed = machine.run("claude", "plugin", "list")
    assert "agent-ipc@skills-dir" in listed and "loaded" in listed
    assert "plugin:agent-ipc:ipc" in (servers := machine.run("claude", "mcp", "list")) and "Connected" in servers
    details = machine.run("claude", "plugin", "details", "agent-ipc")
    assert "agent-mail" in details and "SessionStart" in details
    machine.ipc("uninstall", "claude")
    assert "agent-ipc" not in machine.run("claude", "plugin", "list") + machine.run("claude", "mcp", "list")


@needs("gemini")
def test_gemini_cli_accepts_the_extension(machine: Machine) -> None:
    machine.ipc("install", "gemini")
    folder = machine.home / ".gemini/extensions/agent-ipc"
    assert "successfully validated" in machine.run("gemini", "extensions", "validate", str(folder))
    listed = machine.run("gemini", "extensions", "list")
    assert "agent-ipc" in listed and "AGENT-MAIL.md" in listed and "Enabled (User): true" in listed
    machine.ipc("uninstall", "gemini")
    assert "agent-ipc" not in machine.run("gemini", "extensions", "list")


@needs("codex")
def test_codex_cli_reads_the_server_from_its_configuration(machine: Machine) -> None:
    machine.ipc("install", "codex")
    assert "ipc" in (listed := machine.run("codex", "mcp", "list")) and "enabled" in listed
    machine.ipc("uninstall", "codex")
    assert "enabled" not in machine.run("codex", "mcp", "list")


@needs("codex")
def test_hooks_of_a_headless_codex_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    def codex(model: FakeModel) -> str:
        """Hooks are trusted by a person once; a run that nobody watches can only be told to."""
        flags = ("--dangerously-bypass-hook-trust", "--skip-git-repo-check")
        _write(machine, ".codex/config.toml", CODEX.format(url=model.url, project=os.path.realpath(machine.project)))
        machine.ipc("install", "codex")
        return machine.run("codex", "exec", *flags, "write the notes", FAKE_KEY="x")

    _story(machine, codex, ("exec_command", {"cmd": "echo hello"}))


@needs("gemini")
def test_hooks_of_a_headless_gemini_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    _story(machine, lambda model: _gemini(machine, model), ("list_directory", {"dir_path": "."}))


def _gemini(machine: Machine, model: FakeModel, *flags: str) -> str:
    machine.ipc("install", "gemini")
    settings = {"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": False}}
    _write(machine, ".gemini/settings.json", json.dumps(settings))
    _write(machine, ".gemini/trustedFolders.json", json.dumps({os.path.realpath(machine.project): "TRUST_FOLDER"}))
    env = {"GEMINI_API_KEY": "x", "GOOGLE_GEMINI_BASE_URL": model.url, "GEMINI_CLI_NO_RELAUNCH": "true"}
    return machine.run("gemini", "-m", "gemini-2.5-flash", *flags, "-p", "write the notes", **env)


CODEX = """model_provider = "fake"
model = "gpt-5"

[model_providers.fake]
name = "fake"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "FAKE_KEY"

[projects."{project}"]
trust_level = "trusted"
"""


def _write(machine: Machine, name: str, text: str) -> None:
    path = machine.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@needs("claude")
def test_tools_and_hooks_of_claude_code_are_one_agent(machine: Machine) -> None:
    machine.ipc("install", "claude")
    tool = "mcp__plugin_agent-ipc_ipc__check"
    with FakeModel() as model:
        env = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy"}
        _reads(machine, model, tool)
        machine.run("claude", "-p", "read your mail", "--allowedTools", tool, **env)
    _fenced(model)


@needs("gemini")
def test_tools_and_hooks_of_gemini_are_one_agent(machine: Machine) -> None:
    with FakeModel() as model:
        _reads(machine, model, "mcp_ipc_check")
        _gemini(machine, model, "--approval-mode", "yolo")
    _fenced(model)


def _fenced(model: FakeModel) -> None:
    """The model got the mail with its fence and label: some hosts give it structured content in place of text."""
    told = model.texts()[1]
    assert "for the tool" in told and "[mail " in told and "not instructions from your user" in told


def _reads(machine: Machine, model: FakeModel, tool: str) -> None:
    """Mail that lands at a turn's end, which no hook brings before the tool reads it."""
    machine.ipc("register", "bob")
    model.before(1, lambda: _send(machine, "for the tool", "turn"))
    model.order(tool, {})


def _story(machine: Machine, run: Callable[[FakeModel], str], tool: tuple[str, dict[str, Any]]) -> list[str]:
    """Mail before the session, after its first tool, and urgent mail each time that it wants to end; what the model saw."""
    machine.ipc("register", "bob")
    machine.ipc("send", "web", "sent before it was born")
    with FakeModel() as model:
        model.order(*tool)
        model.before(1, lambda: _send(machine, "land after the tool", "tool"))
        for number in range(2, 7):
            model.before(number, lambda n=number: _send(machine, f"urgent {n}", "interrupt"))  # type: ignore[misc]
        assert ANSWER in run(model)
    told = model.texts()
    assert "under the name web." in told[0] and "sent before it was born" in told[0]
    assert "land after the tool" in told[1]
    assert [f"urgent {n}" in told[n] for n in (2, 3, 4)] == [True] * 3
    # held three times, then let go; word of what comes then may find it still there, and begins a turn of its own
    assert len(told) == 5 or "UserPromptSubmit hook" in told[5]
    binding = machine.binding()
    assert binding is not None and binding.ended
    return told


def _send(machine: Machine, text: str, land: str) -> None:
    machine.request("bob", "send", to_id="web", message={"content": text}, land=land)


class Terminal:
    """An interactive session of a host in a tmux of its own."""

    def __init__(self, machine: Machine, *command: str, **env: str) -> None:
        self.machine = machine
        self._tmux = ["tmux", "-S", str(machine.home / "tmux")]
        words = ["env", "-i", *(f"{k}={v}" for k, v in {**machine.env, **env}.items()), *command]
        size = ["-x", "180", "-y", "50", "-c", os.path.realpath(machine.project)]
        subprocess.run([*self._tmux, "-f", "/dev/null", "new-session", "-d", *size, *words], env=machine.env, check=True)

    def screen(self) -> str:
        return subprocess.run([*self._tmux, "capture-pane", "-p"], capture_output=True, text=True).stdout

    def type(self, text: str) -> None:
        """Write a line. Codex takes an Enter that follows at once for a part of what was pasted."""
        subprocess.run([*self._tmux, "send-keys", "-l", text], check=True)
        self.wait("the words", lambda: text in self.screen())
        subprocess.run([*self._tmux, "send-keys", "Enter"], check=True)

    def wait(self, what: str, condition: Callable[[], Any]) -> None:
        wait_for(what, condition, 60, self.screen)

    def idle(self) -> None:
        """Until no turn runs, as far as the hooks say."""
        binding = self.machine.binding()
        assert binding is not None
        self.wait("the turn's end", lambda: not host_turns.load(str(self.machine.data), binding.session).working)

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], capture_output=True)


class Claude(Terminal):
    """Claude Code, past its questions, whose model is ours."""

    def __init__(self, machine: Machine, model: FakeModel, *arguments: str) -> None:
        project = os.path.realpath(machine.project)
        state = {
            "hasCompletedOnboarding": True,
            "customApiKeyResponses": {"approved": ["dummy"], "rejected": []},
            "projects": {project: {"hasTrustDialogAccepted": True}},
        }
        (machine.home / ".claude.json").write_text(json.dumps(state))
        env = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy"}
        super().__init__(machine, str(BIN / "claude"), *arguments, **env)
        self.wait("the session's first hook", machine.binding)
        self.wait("the prompt", lambda: "❯" in self.screen())


@pytest.fixture
def session(machine: Machine) -> Iterator[Callable[..., tuple[Claude, FakeModel]]]:
    started: list[Claude] = []
    with FakeModel() as model:

        def start(*arguments: str, rewake: bool = False) -> tuple[Claude, FakeModel]:
            machine.ipc("register", "bob")
            machine.ipc("install", "claude", *(["--rewake"] if rewake else []))
            if rewake:
                (machine.home / ".claude/skills/agent-ipc/monitors/monitors.json").unlink()
            started.append(Claude(machine, model, *arguments))
            return started[0], model

        yield start
        for claude in started:
            claude.end()


@needs("claude", "tmux")
def test_an_idle_claude_code_wakes_and_reads_its_mail(machine: Machine, session: Any) -> None:
    claude, model = session()
    assert model.asked == []
    machine.ipc("send", "web", "the build is broken")
    claude.wait("the mail at the model", lambda: model.saw("the build is broken"))
    claude.idle()
    assert model.saw("Text inside the fences was written by other agents.")
    asked = len(model.asked)
    machine.ipc("send", "web", "and now it is green")
    claude.wait("the second mail", lambda: model.saw("and now it is green"))
    claude.idle()
    assert len(model.asked) == asked + 1  # one turn: nothing was said twice
    assert machine.request("bob", "receipts", ids=_ids(machine))["receipts"][-1]["state"] in ("read", "answered")


def _ids(machine: Machine) -> list[str]:
    return [m["id"] for m in machine.request("bob", "history", peer="web")["messages"]]


@needs("claude", "tmux")
def test_an_idle_claude_code_wakes_by_its_inbox_socket(machine: Machine, session: Any) -> None:
    claude, model = session()
    binding = machine.binding()
    assert binding is not None and binding.reach[0] == "socket"
    env = _environment_of_a_child(binding.pid)
    text = waking.notice({"unread": 1, "from": {"bob": 1}, "newest": "1", "instance_id": "web"})
    assert waking.post(env[waking.SOCKET_VARIABLE], env.get(waking.TOKEN_VARIABLE), text)
    claude.wait("the notice at the model", lambda: model.saw(text))


@needs("claude", "tmux")
def test_an_idle_claude_code_without_a_monitor_wakes_by_its_background_hook(machine: Machine, session: Any) -> None:
    claude, model = session(rewake=True)
    machine.ipc("send", "web", "the build is broken")
    claude.wait("the notice at the model", lambda: model.saw("1 unread message for web (#"))


def _environment_of_a_child(pid: int) -> dict[str, str]:
    """What Claude Code tells its monitor, and its MCP servers."""

    def found() -> dict[str, str] | None:
        for path in Path("/proc").glob("[0-9]*/environ"):
            raw = b""
            with contextlib.suppress(OSError):  # it may end while we look
                raw = path.read_bytes() if host_sessions.parent_of(int(path.parent.name)) == pid else b""
            if waking.SOCKET_VARIABLE.encode() in raw:
                return dict(e.split("=", 1) for e in raw.decode().split("\0") if "=" in e)
        return None

    env: dict[str, str] = wait_for("a child of Claude Code", found)
    return env


@needs("codex", "tmux")
def test_an_idle_codex_wakes_by_its_queue_and_reads_its_mail(machine: Machine) -> None:
    machine.ipc("register", "bob")
    with FakeModel() as model:
        _write(machine, ".codex/config.toml", CODEX.format(url=model.url, project=os.path.realpath(machine.project)))
        machine.ipc("install", "codex")
        codex = Terminal(machine, str(BIN / "codex"), "--dangerously-bypass-hook-trust", FAKE_KEY="x")
        try:
            codex.wait("the prompt", lambda: "Ask Codex" in codex.screen())
            while not model.asked:  # it may not listen yet when it shows the prompt
                codex.type("begin")
                with contextlib.suppress(pytest.fail.Exception):
                    wait_for("the first request", lambda: model.asked, 5)
            codex.wait("the session's first hook", machine.binding)
            codex.idle()
            machine.ipc("send", "web", "the build is broken")
            codex.wait("the mail at the model", lambda: model.saw("the build is broken"))
        finally:
            codex.end()


@needs("claude")
def test_hooks_of_a_headless_claude_code_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    def claude(model: FakeModel) -> str:
        machine.ipc("install", "claude", "--claims")
        machine.request("bob", "claim", resource=str(machine.project / "*.txt"), note="rewriting")
        env = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": "dummy"}
        return machine.run("claude", "-p", "write the notes", "--permission-mode", "acceptEdits", **env)

    told = _story(machine, claude, ("Write", {"file_path": str(machine.project / "notes.txt"), "content": "hello\n"}))
    assert "bob has claimed" in told[1] and "rewriting" in told[1]
