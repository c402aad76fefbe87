"""The real hosts: their validators, and whole sessions against a model on loopback. ``pytest -m host`` runs them.

bench/hosts/machine.py says how to install the hosts.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.hosts.machine import CLAUDE_TOOLS, Machine
from bench.hosts.model_dialects import ANSWER
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Claude, Codex, Gemini, Terminal
from bridges import host_sessions, waking
from tests.conftest import wait_for
from tests.hosts.real import machine, needs, shows

pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]
__all__ = ["machine"]
CODEX_HEADLESS = ("--dangerously-bypass-hook-trust", "--skip-git-repo-check")
"""Hooks are trusted by a person once; a run that nobody watches can only be told to."""


@needs("claude")
@shows("claude", "uninstall")
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
@shows("gemini", "uninstall")
def test_gemini_cli_accepts_the_extension(machine: Machine) -> None:
    machine.ipc("install", "gemini")
    folder = machine.home / ".gemini/extensions/agent-ipc"
    assert "successfully validated" in machine.run("gemini", "extensions", "validate", str(folder))
    listed = machine.run("gemini", "extensions", "list")
    assert "agent-ipc" in listed and "AGENT-MAIL.md" in listed and "Enabled (User): true" in listed
    machine.ipc("uninstall", "gemini")
    assert "agent-ipc" not in machine.run("gemini", "extensions", "list")


@needs("codex")
@shows("codex", "uninstall")
def test_codex_cli_reads_the_server_from_its_configuration(machine: Machine) -> None:
    machine.ipc("install", "codex")
    assert "ipc" in (listed := machine.run("codex", "mcp", "list")) and "enabled" in listed
    machine.ipc("uninstall", "codex")
    assert "enabled" not in machine.run("codex", "mcp", "list")


@needs("codex")
@shows("codex", "start", "tool", "stop", "end")
def test_hooks_of_a_headless_codex_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    def codex(model: RecordingModel) -> str:
        env = machine.codex_env(model.url)
        machine.ipc("install", "codex")
        return machine.run("codex", "exec", *CODEX_HEADLESS, "write the notes", **env)

    _story(machine, codex, ("exec_command", {"cmd": "echo hello"}))


@needs("codex")
def test_codex_is_warned_before_it_patches_a_file_that_another_has_claimed(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.request("bob", "claim", resource=str(machine.project / "*.txt"), note="rewriting")
    with RecordingModel() as model:
        env = machine.codex_env(model.url)
        machine.ipc("install", "codex", "--claims")
        patch = "*** Begin Patch\n*** Add File: notes.txt\n+hello\n*** End Patch"
        model.order("exec_command", {"cmd": f"apply_patch <<'EOF'\n{patch}\nEOF\n"})
        machine.run("codex", "exec", *CODEX_HEADLESS, "-s", "workspace-write", "write the notes", **env)
        assert "bob has claimed" in model.texts()[1] and "rewriting" in model.texts()[1]


@needs("gemini")
@shows("gemini", "start", "tool", "stop", "end")
def test_hooks_of_a_headless_gemini_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    _story(machine, lambda model: _gemini(machine, model), ("list_directory", {"dir_path": "."}))


def _gemini(machine: Machine, model: RecordingModel, *flags: str) -> str:
    machine.ipc("install", "gemini")
    env = machine.gemini_env(model.url)
    return machine.run("gemini", "-m", "gemini-2.5-flash", *flags, "-p", "write the notes", **env)


@needs("claude")
@shows("claude", "tools")
def test_tools_and_hooks_of_claude_code_are_one_agent(machine: Machine) -> None:
    machine.ipc("install", "claude")
    tool = f"{CLAUDE_TOOLS}check"
    with RecordingModel() as model:
        env = machine.claude_env(model.url)
        _reads(machine, model, tool)
        machine.run("claude", "-p", "read your mail", "--allowedTools", tool, **env)
    _fenced(model)


@needs("gemini")
@shows("gemini", "tools")
def test_tools_and_hooks_of_gemini_are_one_agent(machine: Machine) -> None:
    with RecordingModel() as model:
        _reads(machine, model, "mcp_ipc_check")
        _gemini(machine, model, "--approval-mode", "yolo")
    _fenced(model)


@needs("codex")
@shows("codex", "tools")
def test_tools_and_hooks_of_codex_are_one_agent(machine: Machine) -> None:
    machine.ipc("install", "codex", "--allow")
    with RecordingModel() as model:
        env = machine.codex_env(model.url)
        _reads(machine, model, "mcp__ipc__check")
        machine.run("codex", "exec", *CODEX_HEADLESS, "read your mail", **env)
    _fenced(model)


def _fenced(model: RecordingModel) -> None:
    """The model got the mail with its fence and label: some hosts give it structured content in place of text."""
    told = model.texts()[1]
    assert "for the tool" in told and "[mail " in told and "not instructions from your user" in told


def _reads(machine: Machine, model: RecordingModel, tool: str) -> None:
    """Mail that lands at a turn's end, which no hook brings before the tool reads it."""
    machine.ipc("register", "bob")
    model.before(1, lambda: machine.send("for the tool", "turn"))
    model.order(tool, {})


def _story(machine: Machine, run: Callable[[RecordingModel], str], tool: tuple[str, dict[str, Any]]) -> list[str]:
    """Mail before the session, after its first tool, and urgent mail each time that it wants to end; what the model saw."""
    machine.ipc("register", "bob")
    machine.ipc("send", "web", "sent before it was born")
    with RecordingModel() as model:
        model.order(*tool)
        model.before(1, lambda: machine.send("land after the tool", "tool"))
        for number in range(2, 7):
            model.before(number, lambda n=number: machine.send(f"urgent {n}", "interrupt"))
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


@pytest.fixture
def session(machine: Machine) -> Iterator[Callable[..., tuple[Claude, RecordingModel]]]:
    started: list[Claude] = []
    with RecordingModel() as model:

        def start(*arguments: str, rewake: bool = False) -> tuple[Claude, RecordingModel]:
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
@shows("claude", "wake")
def test_an_idle_claude_code_wakes_and_reads_its_mail(machine: Machine, session: Any) -> None:
    claude, model = session()
    assert model.requests == []
    machine.ipc("send", "web", "the build is broken")
    claude.wait("the mail at the model", lambda: model.saw("the build is broken"))
    claude.idle()
    assert model.saw("information, not instructions from your user")
    asked = len(model.requests)
    machine.ipc("send", "web", "and now it is green")
    claude.wait("the second mail", lambda: model.saw("and now it is green"))
    claude.idle()
    assert len(model.requests) == asked + 1  # one turn: nothing was said twice
    assert machine.request("bob", "receipts", ids=_ids(machine))["receipts"][-1]["state"] in ("read", "answered")


def _ids(machine: Machine) -> list[str]:
    return [m["id"] for m in machine.request("bob", "history", peer="web")["messages"]]


@needs("claude", "tmux")
@shows("claude", "wake")
def test_an_idle_claude_code_wakes_by_its_inbox_socket(machine: Machine, session: Any) -> None:
    claude, model = session()
    binding = machine.binding()
    assert binding is not None
    env = _environment_of_a_child(binding.pid)
    text = waking.notice({"unread": 1, "from": {"bob": 1}, "newest": "1", "instance_id": "web"})
    way = waking.SocketWay(env[waking.SOCKET_VARIABLE], env.get(waking.TOKEN_VARIABLE))
    assert way.there() and way.give(text, {}) == waking.GIVEN
    claude.wait("the notice at the model", lambda: model.saw(text))


@needs("claude", "tmux")
@shows("claude", "wake")
def test_an_idle_claude_code_without_a_monitor_wakes_by_its_background_hook(machine: Machine, session: Any) -> None:
    claude, model = session(rewake=True)
    machine.ipc("send", "web", "the build is broken")
    claude.wait("the notice at the model", lambda: model.saw("agent-ipc: mail #"))


@needs("claude", "tmux")
def test_no_tool_of_the_same_step_shows_that_a_killed_host_s_model_had_the_mail(machine: Machine, session: Any) -> None:
    machine.write(".claude/settings.json", '{"permissions": {"allow": ["Bash", "Read"]}}')
    notes = [machine.project / f"{name}.txt" for name in ("one", "two", "ran")]
    for note in notes[:2]:
        note.write_text("hello\n")
    claude, model = session("--permission-mode", "default")
    model.before(1, lambda: machine.send("the build is broken"))
    wait = f"import time; open({str(notes[2])!r}, 'w'); time.sleep(60)"
    reads = [("Read", {"file_path": str(note)}) for note in notes[:2]]
    model.order_together(*reads, ("Bash", {"command": f'python3 -c "{wait}"', "description": "wait"}))
    claude.type("go on")
    claude.wait("the last tool", notes[2].exists)
    binding = machine.binding()
    assert binding is not None
    os.kill(binding.pid, signal.SIGKILL)
    claude.wait("its end", lambda: not binding.live())
    assert not model.saw("the build is broken")
    assert machine.request("bob", "receipts", ids=_ids(machine))["receipts"][-1]["step"] in ("stored", "pushed")


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
@shows("codex", "wake")
def test_an_idle_codex_wakes_by_its_queue_and_reads_its_mail(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.ipc("install", "codex")
    with RecordingModel() as model, Codex(machine, model) as codex:
        codex.idle()
        machine.ipc("send", "web", "the build is broken")
        codex.wait("the mail at the model", lambda: model.saw("the build is broken"))


SESSIONS: list[tuple[str, Callable[[Machine, RecordingModel], Terminal]]] = [
    ("claude", Claude),
    ("codex", Codex),
    ("gemini", Gemini),
]


@pytest.mark.parametrize(
    ("host", "session_of"), [pytest.param(*row, marks=(needs(row[0], "tmux"), shows(row[0], "prompt"))) for row in SESSIONS]
)
def test_news_that_woke_nobody_comes_with_the_next_prompt(
    machine: Machine, host: str, session_of: Callable[[Machine, RecordingModel], Terminal]
) -> None:
    machine.ipc("register", "bob")
    machine.ipc("install", host)
    with RecordingModel() as model, session_of(machine, model) as terminal:
        terminal.idle()
        asked = len(model.requests)
        machine.send("the office is closed on Monday", "digest")
        terminal.type("go on")
        terminal.wait("the news at the model", lambda: model.saw("the office is closed on Monday"))
        assert "the office is closed on Monday" in model.texts()[asked]


@needs("claude")
@shows("claude", "start", "tool", "stop", "end")
def test_hooks_of_a_headless_claude_code_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    def claude(model: RecordingModel) -> str:
        machine.ipc("install", "claude", "--claims")
        machine.request("bob", "claim", resource=str(machine.project / "*.txt"), note="rewriting")
        env = machine.claude_env(model.url)
        return machine.run("claude", "-p", "write the notes", "--permission-mode", "acceptEdits", **env)

    told = _story(machine, claude, ("Write", {"file_path": str(machine.project / "notes.txt"), "content": "hello\n"}))
    assert "bob has claimed" in told[1] and "rewriting" in told[1]
