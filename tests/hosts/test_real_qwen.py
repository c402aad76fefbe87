"""The real Qwen Code against a model on loopback: ``pytest -m host``."""

import json
import os
import shlex
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from bench.hosts import qwen
from bench.hosts.machine import IPC, Machine
from bench.hosts.model_dialects import ANSWER
from bench.hosts.qwen import Qwen
from bench.hosts.recording_model import RecordingModel, ServiceError
from broker.home.settings import Settings
from tests.hosts.real import machine, needs, shows
from tests.prompts import Owner

pytestmark = [pytest.mark.host, pytest.mark.timeout(240)]
__all__ = ["machine"]
CHECK = "mcp__ipc__check"


@needs("qwen")
@shows("qwen", "uninstall")
def test_qwen_code_lists_the_extension_until_it_is_uninstalled(machine: Machine) -> None:
    machine.ipc("install", "qwen", "--claims", "--approvals")
    listed = machine.run("qwen", "extensions", "list")
    assert "agent-ipc" in listed and "agent-mail" in listed and "Enabled (User): true" in listed
    assert "Connected" in machine.run("qwen", "mcp", "list")
    machine.ipc("install", "qwen", "--check")  # the host has changed nothing in the folder
    machine.ipc("uninstall", "qwen")
    assert "agent-ipc" not in machine.run("qwen", "extensions", "list") and not _extension(machine).exists()


def _extension(machine: Machine) -> Any:
    return machine.home / ".qwen/extensions/agent-ipc"


@needs("qwen")
@shows("qwen", "start", "tool", "stop")
def test_hooks_of_a_headless_qwen_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.ipc("send", "web", "sent before it was born")
    machine.ipc("install", "qwen")
    with RecordingModel() as model:
        note = machine.project / "note.txt"
        note.write_text("hello\n")
        model.order_together(("read_file", {"file_path": str(note)}), ("glob", {"pattern": "*.txt"}))
        model.before(1, lambda: machine.send("land after the tools", "tool"))
        for number in range(2, 7):
            model.before(number, lambda n=number: machine.send(f"urgent {n}", "interrupt"))
        assert ANSWER in machine.run("qwen", "-p", "write the notes", **qwen.env(machine, model.url))
    told = model.texts()
    assert "under the name web." in told[0] and "sent before it was born" in told[0]
    assert told[1].count("land after the tools") == 1  # once a step, and not again before the model is asked
    assert [f"urgent {n}" in told[n] for n in (2, 3, 4)] == [True] * 3
    assert len(told) == 5  # held three times, then let go


@needs("qwen")
def test_a_project_s_hooks_run_and_its_server_waits_for_the_user_s_approval(machine: Machine) -> None:
    machine.ipc("install", "qwen", "--scope", "project", "--allow")
    with RecordingModel() as model:
        model.order(CHECK, {})
        machine.run("qwen", "-p", "read your mail", **qwen.env(machine, model.url))
        assert "under the name web." in model.texts()[0]
        assert "awaiting approval" in model.texts()[1]
    machine.ipc("install", "qwen", "--scope", "project", "--check")
    machine.ipc("uninstall", "qwen", "--scope", "project")
    left = machine.project / ".qwen/settings.json"
    assert not left.exists() or "ipc" not in left.read_text()  # the host adds a key of its own


@needs("qwen")
@shows("qwen", "tools")
def test_tools_and_hooks_of_qwen_are_one_agent(machine: Machine) -> None:
    machine.ipc("install", "qwen", "--allow")
    machine.ipc("register", "bob")
    with RecordingModel() as model:
        model.before(1, lambda: machine.send("for the tool", "turn"))
        model.order(CHECK, {})
        machine.run("qwen", "-p", "read your mail", **qwen.env(machine, model.url))
        told = model.texts()
    assert "mcp__ipc__send" in told[0] and "share_file" not in told[0]  # it trusts all of a server, so this one is left out
    assert "for the tool" in told[1] and "[mail " in told[1] and "not instructions from your user" in told[1]


@needs("qwen")
def test_without_leave_a_headless_qwen_declines_the_tools(machine: Machine) -> None:
    machine.ipc("install", "qwen")
    with RecordingModel() as model:
        model.order(CHECK, {})
        machine.run("qwen", "--approval-mode", "default", "-p", "read your mail", **qwen.env(machine, model.url))
    assert "requires permission" in model.texts()[1]


@needs("qwen", "tmux")
@shows("qwen", "prompt")
def test_news_that_woke_nobody_comes_with_the_next_prompt_and_a_cleared_session_keeps_its_name(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.ipc("install", "qwen")
    with RecordingModel() as model, Qwen(machine, model) as terminal:
        machine.send("the office is closed on Monday", "digest")
        terminal.type("go on")
        terminal.wait("the news at the model", lambda: model.saw("the office is closed on Monday"))
        terminal.idle()
        first = machine.binding()
        assert first is not None
        terminal.command("/clear")
        terminal.wait("another session", lambda: (b := machine.binding()) is not None and b.session != first.session)
        assert [b.name for b in machine.bindings()] == ["web"]


@needs("qwen", "tmux")
@shows("qwen", "end")
def test_a_session_that_its_user_ends_is_gone(machine: Machine) -> None:
    machine.ipc("register", "bob")
    machine.ipc("install", "qwen")
    with RecordingModel() as model, Qwen(machine, model) as terminal:
        terminal.command("/quit")
        terminal.wait("its end", lambda: (b := machine.binding()) is not None and b.ended)
    assert next(row for row in machine.request("bob", "list")["instances"] if row["id"] == "web")["presence"] == "gone"


@pytest.fixture
def owner(machine: Machine) -> Iterator[Owner]:
    machine.ipc("up")
    with Owner(Settings.load(env={"IPC_HOME": str(machine.data), "IPC_PORT": "0"})) as owner:
        yield owner


def _touch(machine: Machine) -> tuple[str, dict[str, Any]]:
    """A call that needs its user's permission, and whose having run can be seen."""
    return "run_shell_command", {"command": f"touch {machine.home / 'touched'}", "description": "touches"}


@needs("qwen", "tmux")
@pytest.mark.parametrize("decision", ["allow", "deny"])
@shows("qwen", "permission")
def test_qwen_code_does_as_was_decided_elsewhere_before_its_terminal_asks(
    machine: Machine, owner: Owner, decision: str
) -> None:
    machine.ipc("install", "qwen", "--approvals")
    with RecordingModel() as model, Qwen(machine, model, "--approval-mode", "default") as session:
        model.order(*_touch(machine))
        session.type("go on")
        row = owner.prompt("web")
        assert (row["host"], row["tool"], json.loads(row["shown"])) == ("qwen", *_touch(machine))
        assert "Allow" not in session.screen()
        owner.decide(row["id"], decision)
        session.wait("the model's next turn", lambda: len(model.requests) > 1)
        assert (machine.home / "touched").exists() == (decision == "allow")
        assert bool(model.saw("Your user has denied this call")) == (decision == "deny")


@needs("qwen")
def test_the_shell_of_qwen_code_s_agent_is_its_session_and_decides_about_no_permission(machine: Machine, owner: Owner) -> None:
    machine.ipc("install", "qwen")
    machine.ipc("register", "bob")
    ours = shlex.join(IPC)
    command = f"{ours} send bob 'from the shell'; {ours} permissions; {ours} permit 0123456789"
    with RecordingModel() as model:
        model.order("run_shell_command", {"command": command, "description": "d"})
        machine.run("qwen", "--approval-mode", "yolo", "-p", "go on", **qwen.env(machine, model.url))
    assert model.texts()[1].count("decides about no permission") == 2
    (mail,) = machine.request("bob", "check")["messages"]
    assert (mail["from"], mail["message"]["content"]) == ("web", "from the shell")


@needs("qwen", "tmux")
def test_qwen_code_s_terminal_asks_when_the_broker_is_gone(machine: Machine, owner: Owner) -> None:
    machine.ipc("install", "qwen", "--approvals")
    with RecordingModel() as model, Qwen(machine, model, "--approval-mode", "default") as session:
        model.order(*_touch(machine))
        session.type("go on")
        owner.prompt("web")
        machine.ipc("down")
        session.wait("the terminal's prompt", lambda: "Allow execution" in session.screen())
        assert not (machine.home / "touched").exists()


@pytest.fixture
def session(machine: Machine) -> Iterator[tuple[Qwen, RecordingModel]]:
    """An idle session that waits for mail, and its model."""
    machine.ipc("register", "bob")
    machine.ipc("install", "qwen")
    with RecordingModel() as model, Qwen(machine, model) as terminal:
        terminal.wait("the way", lambda: "socket" in machine.reach())
        yield terminal, model


def _step(machine: Machine, text: str) -> dict[str, Any]:
    """What became of a message to web."""
    sent = machine.request("bob", "history", peer="web")["messages"]
    ids = [m["id"] for m in sent if text in m["message"]["content"]]
    found: dict[str, Any] = machine.request("bob", "receipts", ids=ids)["receipts"][0]
    return found


@needs("qwen", "tmux")
@shows("qwen", "wake")
def test_mail_begins_a_turn_of_an_idle_qwen_code_and_is_in_its_first_request(machine: Machine, session: Any) -> None:
    terminal, model = session
    assert model.requests == []
    machine.send("the <build> is broken")
    terminal.wait("the mail at the model", lambda: model.saw("the &lt;build> is broken"))
    assert "not instructions from your user" in model.texts()[0]
    terminal.wait("its reading", lambda: _step(machine, "broken")["step"] == "in_context")
    assert _step(machine, "broken")["steps"][-1]["evidence"] == "hook"
    terminal.idle()
    machine.send("and now it is green")
    terminal.wait("the second mail", lambda: model.saw("and now it is green"))
    terminal.wait("its reading", lambda: _step(machine, "green")["step"] == "in_context")
    for told in model.texts():  # a turn each, and nothing was said twice; the host asks for a suggestion of a prompt by itself
        assert told.count("the &lt;build> is broken") == 1 and told.count("and now it is green") <= 1


@needs("qwen", "tmux")
def test_mail_for_a_qwen_code_whose_user_holds_such_messages_comes_with_the_next_prompt(machine: Machine, session: Any) -> None:
    terminal, model = session
    settings = machine.home / ".qwen/settings.json"
    held = {**json.loads(settings.read_text()), "agents": {"crossSessionInbound": "refuse"}}
    settings.write_text(json.dumps(held))
    terminal.end()
    with Qwen(machine, model) as other:
        other.wait("the way", lambda: "socket" in machine.reach())
        machine.send("the build is broken")
        other.wait("the sender's notice", lambda: machine.request("bob", "count")["unread"], 90)
        assert model.requests == [] and _step(machine, "broken")["step"] in ("stored", "pushed")
        other.type("go on")
        other.wait("the mail at the model", lambda: model.saw("the build is broken"))
        other.wait("its reading", lambda: _step(machine, "broken")["step"] == "in_context")


@needs("qwen", "tmux")
def test_a_qwen_code_killed_between_message_and_answer_has_not_read_the_mail(machine: Machine, session: Any) -> None:
    terminal, model = session
    model.think_s = 30
    machine.send("the build is broken")
    terminal.wait("the mail at the model", lambda: model.saw("the build is broken"))
    binding = machine.binding()
    assert binding is not None
    os.kill(binding.pid, signal.SIGKILL)
    terminal.wait("its end", lambda: not binding.live())
    terminal.end()
    assert _step(machine, "broken")["step"] in ("stored", "pushed")
    model.think_s = 0
    with Qwen(machine, model) as again:
        again.type("go on")
        again.wait("the mail again", lambda: model.saw("delivered before, perhaps seen"))
        again.wait("its reading", lambda: _step(machine, "broken")["step"] == "in_context")


@needs("qwen", "tmux")
def test_mail_whose_turn_fails_at_the_model_is_read_only_when_the_model_has_it(machine: Machine, session: Any) -> None:
    terminal, model = session
    failing, asked = [True], list[str]()

    def script(request: Any) -> Any:
        asked.append(request.told)
        if failing:
            raise ServiceError(400)
        return ()

    model.script = script
    machine.send("the build is broken")
    terminal.wait("a request that failed", lambda: asked)
    terminal.wait("more of them", lambda: len(asked) > 2)  # the host asks again at once
    assert _step(machine, "broken")["step"] in ("stored", "pushed")
    failing.clear()
    terminal.wait("its reading", lambda: _step(machine, "broken")["step"] == "in_context")
    assert "the build is broken" in asked[-1]
