"""The plugin folder in both forms: what it holds, where it is written, and that the checker of it finds breaches."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.version import VERSION
from tests.install.agent_plugins import breaches
from tests.shell import Shell

FILES = {"plugin.json", "mcp.json", ".claude-plugin/plugin.json", ".mcp.json", "skills/agent-mail/SKILL.md"}
MARKETPLACES = {".agents/plugins/marketplace.json", ".github/plugin/marketplace.json"}


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(home)
    yield shell
    if (shell.data / "run").exists():
        shell.run("down")


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_plugin_folder_has_both_forms_and_is_written_once(shell: Shell) -> None:
    said = shell.ok("install", "--plugin", "my plugins/mail", "--name", "fred")
    folder = shell.home / "my plugins" / "mail"
    assert f"Wrote the plugin {folder}" in said and "next:" in said
    assert breaches(folder) == [] and set(files(folder)) == FILES | MARKETPLACES
    before = files(folder)
    assert "already there" in shell.ok("install", "--plugin", str(folder), "--name", "fred")
    assert files(folder) == before
    assert "Wrote the plugin" in shell.ok("install", "--plugin", "~/my plugins/mail")  # no --name: that is written anew
    assert "fred" not in (folder / "mcp.json").read_text() and files(folder).keys() == before.keys()
    assert not (shell.home / "ipc").exists()  # it is the user's folder, and needs no note of ours


def test_both_forms_say_the_same_and_start_the_same_server(shell: Shell) -> None:
    shell.ok("install", "--plugin", "mail")
    found = {name: json.loads(text) for name, text in files(shell.home / "mail").items() if name.endswith(".json")}
    ours, claudes = found["plugin.json"], found[".claude-plugin/plugin.json"]
    assert ours["version"] == VERSION and {k: ours[k] for k in ours.keys() & claudes.keys()} == {
        k: v for k, v in claudes.items() if k != "channels"
    }
    portable, plain = (found[name]["mcpServers"]["ipc"] for name in ("mcp.json", ".mcp.json"))
    assert portable["args"] == [plain["command"], *plain["args"]] and portable["env"] == plain["env"]
    assert portable["env"] == {"IPC_HOME": str(shell.data)}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode() + b"\n"
    command = [portable["command"], *portable["args"]]
    env = {**shell.env, **portable["env"]}
    done = subprocess.run(command, cwd=shell.home / "mail", env=env, input=line, capture_output=True, timeout=40)
    assert json.loads(done.stdout.splitlines()[0])["result"]["serverInfo"]["name"] == "ipc"


def test_the_folder_that_claude_code_loads_is_one_too(shell: Shell) -> None:
    shell.ok("install", "claude")
    folder = shell.home / ".claude/skills/agent-ipc"
    assert breaches(folder) == [] and set(files(folder)) > FILES and not MARKETPLACES & set(files(folder))


@pytest.mark.parametrize("held", ["README.md", "plugin.json"])
def test_a_folder_that_holds_something_else_stays_as_it_is(shell: Shell, held: str) -> None:
    folder = shell.home / "mine"
    folder.mkdir()
    (folder / held).write_text('{"name": "other"}')
    said = shell.fails(2, "install", "--plugin", str(folder))
    assert "not ours" in said and "name a new folder" in said and list(files(folder)) == [held]


@pytest.mark.parametrize("more", [("claude",), ("--claims",), ("--allow",), ("--approvals",)])
def test_a_plugin_folder_takes_no_host_and_nothing_that_needs_hooks(shell: Shell, more: tuple[str, ...]) -> None:
    assert "ipc install HOST" in shell.fails(2, "install", "--plugin", "mail", *more)
    assert not (shell.home / "mail").exists()


Change = Callable[[dict[str, Any]], object]
BREACHES: list[tuple[str, Change, str]] = [
    ("plugin.json", lambda v: v.update(hooks={}), "unknown field hooks"),
    ("plugin.json", lambda v: v.update(name="Agent--IPC"), "no name of a plugin"),
    ("plugin.json", lambda v: v.pop("$schema"), "not of version 1.0.0"),
    ("plugin.json", lambda v: v.update(author={"name": 1}), "author holds"),
    ("mcp.json", lambda v: v.update(other=1), "unknown field other"),
    ("mcp.json", lambda v: v["mcpServers"]["ipc"].pop("type"), "no stdio server"),
    ("mcp.json", lambda v: v["mcpServers"]["ipc"].update(command="/usr/bin/env"), "bare or plugin-relative"),
    ("mcp.json", lambda v: v["mcpServers"]["ipc"].update(env={"PLUGIN_ROOT": "/"}), "env sets"),
]


@pytest.mark.parametrize(("file", "change", "found"), BREACHES)
def test_the_checker_finds_each_breach(home: Path, file: str, change: Change, found: str) -> None:
    from bridges.known_hosts.plugin_folder import both_forms

    for name, text in both_forms({"command": "/x/ipc", "args": ["mcp"], "env": {}}).items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert breaches(home) == []
    value = json.loads((home / file).read_text())
    change(value)
    (home / file).write_text(json.dumps(value))
    assert any(found in one for one in breaches(home))
