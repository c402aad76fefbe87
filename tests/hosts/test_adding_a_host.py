"""The host of docs/adding-a-host.md: its files are written from the page, and driven as such a host would."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service
from tests.shell import IPC

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/adding-a-host.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^<!-- file: ([\w./-]+) -->\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
SETTINGS = '{\n    "theme": "dark"\n}'


class Otter:
    """Otter CLI as the page describes it: it runs the hooks of its settings, and writes and reads its own JSON."""

    def __init__(self, service: Service, tree: Path) -> None:
        self.project = service.home / "web"
        self.project.mkdir()
        self.settings = service.home / ".otter/settings.json"
        self.settings.parent.mkdir()
        self.settings.write_text(SETTINGS)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(service.home), "PYTHONPATH": str(tree), **service.env}

    def ipc(self, *words: str) -> str:
        return self._run([*IPC, *words])

    def shell(self, *words: str) -> str:
        """What ``ipc`` prints in a shell of the agent's, if neither processes nor folder but the variable alone tells whose."""
        outside = ["setsid", "--fork", "env", "--chdir=/", *IPC]
        return self._run([*outside, *words], OTTER_SESSION_ID="swim-1")

    def _run(self, command: list[str], given: str = "", **env: str) -> str:
        run = subprocess.run(
            command, env={**self.env, **env}, cwd=self.project, input=given, capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stderr) == (0, ""), run
        return run.stdout

    def event(self, name: str, **given: Any) -> dict[str, Any]:
        """The hook's answer."""
        [group] = json.loads(self.settings.read_text())["hooks"][name]
        [hook] = group["hooks"]
        told = json.dumps({"event": name, "sessionId": "swim-1", "cwd": str(self.project), **given})
        answer: dict[str, Any] = json.loads(self._run(["/bin/sh", "-c", hook["command"]], told, OTTER_SESSION_ID="swim-1"))
        return answer


def link(folder: str, tree: Path, but: str = "") -> None:
    """A folder of ours in the tree, each entry of it a link, but for one that will be the tree's own."""
    (tree / folder).mkdir()
    for entry in (ROOT / folder).iterdir():
        if entry.name not in (but, "__pycache__"):
            (tree / folder / entry.name).symlink_to(entry)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Our code with the page's host in it."""
    (tmp_path / "nlparse").symlink_to(ROOT / "nlparse")
    (tmp_path / "agent_ipc.py").symlink_to(ROOT / "agent_ipc.py")
    link("bridges", tmp_path, but="known_hosts")
    link("bridges/known_hosts", tmp_path)
    link("broker", tmp_path, but="home")
    link("broker/home", tmp_path, but="environment.py")
    for path, text in BLOCKS.items():
        if "/" in path:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text, encoding="utf-8")
    table = (ROOT / "broker/home/environment.py").read_text(encoding="utf-8")
    longer = table.replace("HOST_SESSIONS = {", "HOST_SESSIONS = {\n" + BLOCKS["HOST_SESSIONS"])
    assert longer != table
    (tmp_path / "broker/home/environment.py").write_text(longer, encoding="utf-8")
    return tmp_path


def test_the_page_s_host_is_installed_gets_its_mail_and_is_taken_out(service: Service, tree: Path) -> None:
    otter = Otter(service, tree)
    assert "next: start otter anew" in otter.ipc("install", "otter", "--allow", "--name", "web")
    assert "send" in json.loads(otter.settings.read_text())["mcpServers"]["ipc"]["autoApprove"]
    assert "FAIL" not in otter.ipc("install", "otter", "--check")
    with service.connect("bob") as bob:
        bob.send("web", "sent before it was born")
        told = otter.event("session_start")["context"]
        assert "under the name web." in told and "sent before it was born" in told
        bob.send("web", "with the prompt")
        assert "with the prompt" in otter.event("prompt_submitted")["context"]
        call = {"toolName": "write_file", "callId": "c1", "toolInput": {"path": "notes.txt"}}
        assert otter.event("tool_called", **call) == {}
        bob.send("web", "after the tool")
        assert "after the tool" in otter.event("tool_finished", **call, toolResult="ok")["context"]
        assert otter.shell("whoami").startswith("web, ")
        bob.request("send", to_id="web", message={"content": "stop that"}, land="interrupt")
        assert "stop that" in otter.event("turn_finished")["continueWith"]
        assert otter.event("turn_finished") == {}
        assert otter.event("session_closed") == {}
        [row] = [row for row in bob.request("list")["instances"] if row["id"] == "web"]
        assert row["presence"] == "gone"
    otter.ipc("uninstall", "otter")
    assert otter.settings.read_text() == SETTINGS
