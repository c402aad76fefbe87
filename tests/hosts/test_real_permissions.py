"""Permission prompts of the real hosts, decided elsewhere: ``pytest -m host``. docs/permissions.md says what was seen."""

import json
import shlex
import threading
from pathlib import Path
from typing import Any

import pytest

from bench.hosts.machine import IPC, Machine
from bench.hosts.model_dialects import ANSWER
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Claude, Codex
from bridges.known_hosts.catalogue import about
from tests.hosts.real import machine, needs, owner, shows
from tests.prompts import Owner

pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]
__all__ = ["machine", "owner"]


class Touch:
    """A call of a shell tool that needs its user's permission, and whose having run can be seen."""

    def __init__(self, machine: Machine) -> None:
        self.file = machine.home / "touched"
        self.command = f"touch {self.file}"
        self.claude = ("Bash", {"command": self.command, "description": "touches"})
        escalated = {"sandbox_permissions": "require_escalated", "justification": "because"}
        self.codex = ("exec_command", {"cmd": self.command, **escalated})


@pytest.fixture
def touch(machine: Machine) -> Touch:
    return Touch(machine)


def claude(machine: Machine, model: RecordingModel, touch: Touch) -> Claude:
    """Claude Code whose model has called the tool."""
    machine.ipc("install", "claude", "--approvals")
    session = Claude(machine, model, "--permission-mode", "default")
    model.order(*touch.claude)
    session.type("go on")
    return session


@needs("claude", "tmux")
@pytest.mark.parametrize("decision", ["allow", "deny"])
@shows("claude", "permission")
def test_claude_code_does_as_was_decided_elsewhere_while_its_terminal_asks(
    machine: Machine, owner: Owner, touch: Touch, decision: str
) -> None:
    with RecordingModel() as model, claude(machine, model, touch) as session:
        row = owner.prompt("web")
        assert (row["host"], row["tool"], json.loads(row["shown"])) == ("claude", *touch.claude)
        session.wait("the terminal's prompt", lambda: "Do you want to proceed?" in session.screen())
        owner.decide(row["id"], decision)
        session.wait("the model's next turn", lambda: len(model.requests) > 1)
        assert "Do you want to proceed?" not in session.screen()
        assert touch.file.exists() == (decision == "allow")
        assert bool(model.saw("Your user has denied this call")) == (decision == "deny")


@needs("claude", "tmux")
def test_a_subagent_of_claude_code_asks_under_its_leader_s_name_also_after_the_leader_s_turn(
    machine: Machine, owner: Owner, touch: Touch
) -> None:
    machine.ipc("install", "claude", "--approvals")
    with RecordingModel() as model, Claude(machine, model, "--permission-mode", "default") as session:
        model.order("Agent", {"description": "d", "prompt": "touch it", "subagent_type": "general-purpose"})
        model.order(*touch.claude)
        session.type("go on")
        row = owner.prompt("web")
        session.idle()  # a subagent runs beside its leader
        owner.decide(row["id"], "allow")
        session.wait("the call", touch.file.exists)


@needs("claude", "tmux")
def test_what_claude_code_s_terminal_has_answered_waits_for_nobody_any_more(
    machine: Machine, owner: Owner, touch: Touch
) -> None:
    with RecordingModel() as model, claude(machine, model, touch) as session:
        owner.prompt("web")
        session.wait("the terminal's prompt", lambda: "Do you want to proceed?" in session.screen())
        session.press("Enter")
        session.wait("the call", touch.file.exists)
        owner.none_waits("web")  # by the call's own end: the turn of this model ends only with the next answer


@needs("claude", "tmux")
def test_claude_code_s_terminal_asks_on_when_the_broker_is_killed(machine: Machine, owner: Owner, touch: Touch) -> None:
    with RecordingModel() as model, claude(machine, model, touch) as session:
        owner.prompt("web")
        machine.ipc("down")
        session.wait("the hook's end", lambda: _hook_ended(machine))
        assert "Do you want to proceed?" in session.screen()
        assert not touch.file.exists() and len(model.requests) == 1
        session.press("Enter")
        session.wait("the call", touch.file.exists)


def _hook_ended(machine: Machine) -> bool:
    lines = (machine.data / "logs" / "hooks.log").read_text().splitlines()
    return any(json.loads(line)["event"] == "permission_lost" for line in lines)


@needs("claude")
def test_a_headless_claude_code_does_as_was_decided_elsewhere(machine: Machine, owner: Owner, touch: Touch) -> None:
    machine.ipc("install", "claude", "--approvals")
    with RecordingModel() as model:
        model.order(*touch.claude)
        env, said = machine.claude_env(model.url), list[str]()
        flags = ("--permission-mode", "default")
        run = threading.Thread(target=lambda: said.append(machine.run("claude", "-p", "go on", *flags, **env)))
        run.start()
        owner.decide(owner.prompt("web")["id"], "allow")
        run.join()
    assert said and touch.file.exists()


@needs("claude")
def test_an_agent_s_shell_can_neither_see_nor_decide(machine: Machine, owner: Owner) -> None:
    machine.ipc("install", "claude", "--approvals")
    with RecordingModel() as model:
        model.order(
            "Bash", {"command": f"{shlex.join(IPC)} permissions; {shlex.join(IPC)} permit 0123456789", "description": "d"}
        )
        env = machine.claude_env(model.url)
        machine.run("claude", "-p", "go on", "--allowedTools", "Bash", **env)
        assert model.texts()[1].count("decides about no permission") == 2


def codex(machine: Machine, model: RecordingModel, touch: Touch) -> Codex:
    """Codex CLI whose model has called the tool in its second turn."""
    machine.ipc("install", "codex", "--approvals")
    session = Codex(machine, model, "-a", "on-request")
    session.wait("the first turn's end", lambda: ANSWER in session.screen())
    model.order(*touch.codex)
    session.type("go on")
    return session


@needs("codex", "tmux")
@pytest.mark.parametrize("decision", ["allow", "deny"])
@shows("codex", "permission")
def test_codex_does_as_was_decided_elsewhere_before_its_terminal_asks(
    machine: Machine, owner: Owner, touch: Touch, decision: str
) -> None:
    with RecordingModel() as model, codex(machine, model, touch) as session:
        row = owner.prompt("web")
        shown: dict[str, Any] = json.loads(row["shown"])
        assert (row["host"], row["tool"], shown["command"]) == ("codex", "Bash", touch.command)
        assert "Would you like to run" not in session.screen()
        asked = len(model.requests)
        owner.decide(row["id"], decision)
        session.wait("the model's next turn", lambda: len(model.requests) > asked)
        assert touch.file.exists() == (decision == "allow")
        assert bool(model.saw("Your user has denied this call")) == (decision == "deny")


@needs("codex", "tmux")
def test_codex_s_terminal_asks_when_the_broker_is_gone(machine: Machine, owner: Owner, touch: Touch) -> None:
    with RecordingModel() as model, codex(machine, model, touch) as session:
        owner.prompt("web")
        machine.ipc("down")
        session.wait("the terminal's prompt", lambda: "Would you like to run" in session.screen())
        assert not touch.file.exists()


@needs("codex", "tmux")
def test_a_turn_of_codex_that_is_broken_off_takes_its_prompt_along(machine: Machine, owner: Owner, touch: Touch) -> None:
    with RecordingModel() as model, codex(machine, model, touch) as session:
        owner.prompt("web")
        session.press("Escape")
        owner.none_waits("web")
        assert not touch.file.exists()


def test_the_pinned_versions_are_those_that_were_seen() -> None:
    page = (Path(__file__).parents[2] / "docs/permissions.md").read_text()
    assert all(f"{about(host).title} {about(host).version}" in page for host in ("claude", "codex"))
