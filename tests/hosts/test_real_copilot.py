"""The real Copilot CLI against a model on loopback: ``pytest -m host``. bench/hosts/machine.py says how to install it."""

import json
from collections.abc import Iterator

import pytest

from bench.hosts import copilot
from bench.hosts.copilot import READY, Copilot
from bench.hosts.machine import Machine
from bench.hosts.model_dialects import ANSWER
from bench.hosts.recording_model import RecordingModel
from tests.hosts.real import machine, needs, owner, shows
from tests.prompts import Owner

pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]
__all__ = ["machine", "owner"]
SHELL = ("bash", {"command": "echo hello", "description": "says hello", "mode": "sync"})


def headless(machine: Machine, model: RecordingModel, *flags: str) -> str:
    return machine.run("copilot", "-p", "write the notes", *flags, **copilot.env(machine, model.url))


@needs("copilot")
@shows("copilot", "start", "tool", "stop", "end")
def test_hooks_of_a_headless_copilot_inject_mail_and_hold_it_at_its_end(machine: Machine) -> None:
    machine.ipc("install", "copilot")
    machine.ipc("register", "bob")
    machine.ipc("send", "web", "sent before it was born")
    with RecordingModel() as model:
        model.order(*SHELL)
        model.before(1, lambda: machine.send("land after the tool", "tool"))
        for number in range(2, 7):
            model.before(number, lambda n=number: machine.send(f"urgent {n}", "interrupt"))
        assert ANSWER in headless(machine, model, "--allow-tool", "shell")
        told = model.texts()
    assert "under the name web." in told[0] and "sent before it was born" in told[0]
    assert "land after the tool" in told[1]
    assert [f"urgent {n}" in told[n] for n in (2, 3, 4)] == [True] * 3
    assert len(told) == 5  # held three times, then let go
    binding = machine.binding()
    assert binding is not None and binding.ended


@needs("copilot")
@shows("copilot", "tools")
def test_tools_and_hooks_of_copilot_are_one_agent_and_run_unasked_where_that_was_allowed(machine: Machine) -> None:
    machine.ipc("install", "copilot", "--allow")
    machine.ipc("register", "bob")
    with RecordingModel() as model:
        model.before(1, lambda: machine.send("for the tool", "turn"))
        model.order("ipc-check", {})
        model.order("ipc-share_file", {"to": "bob", "path": "/etc/hostname"})
        headless(machine, model)
        told = model.texts()
    assert "for the tool" in told[1] and "[mail " in told[1] and "not instructions from your user" in told[1]
    assert "Permission denied" in told[2]


@needs("copilot")
def test_copilot_is_warned_before_it_patches_a_file_that_another_has_claimed(machine: Machine) -> None:
    machine.ipc("install", "copilot", "--claims")
    machine.ipc("register", "bob")
    machine.request("bob", "claim", resource=str(machine.project / "*.txt"), note="rewriting")
    with RecordingModel() as model:
        model.order("apply_patch", {"input": "*** Begin Patch\n*** Add File: notes.txt\n+hello\n*** End Patch"})
        headless(machine, model, "--allow-tool", "write")
        assert "bob has claimed" in model.texts()[1] and "rewriting" in model.texts()[1]


@needs("copilot", "tmux")
@shows("copilot", "wake", "prompt")
def test_an_idle_copilot_wakes_and_reads_its_mail_once_though_the_host_loads_the_extension_twice(machine: Machine) -> None:
    machine.ipc("install", "copilot")
    extensions = machine.home / ".copilot/extensions"
    (extensions / "twin").mkdir()
    (extensions / "twin/extension.mjs").write_bytes((extensions / "agent-ipc/extension.mjs").read_bytes())
    machine.ipc("register", "bob")
    with RecordingModel() as model, Copilot(machine, model, "--experimental") as session:
        for text in ("the build is broken", "and now it is green"):
            session.wait("the way", lambda: "monitor" in machine.reach())
            asked = len(model.requests)
            machine.ipc("send", "web", text)
            session.wait("the mail at the model", lambda text=text: model.saw(text))
            session.idle()
            assert len(model.requests) == asked + 1
        assert "agent-ipc: mail #" in session.screen()
        assert machine.request("bob", "receipts", ids=_ids(machine))["receipts"][-1]["state"] in ("read", "answered")


@needs("copilot", "tmux")
def test_a_session_after_clear_has_the_name_of_the_one_before_and_wakes(machine: Machine) -> None:
    machine.ipc("install", "copilot")
    machine.ipc("register", "bob")
    with RecordingModel() as model, Copilot(machine, model, "--experimental") as session:
        before = machine.binding()
        session.type("/clear")
        session.wait("the end of the session", lambda: all(b.ended for b in machine.bindings()))
        asked = len(model.requests)
        session.wait("the prompt", lambda: READY in session.screen())
        session.type("go on")
        session.wait("the model's turn", lambda: len(model.requests) > asked)
        session.idle()
        after = machine.binding()
        assert before is not None and after is not None and before.session != after.session and before.name == after.name
        machine.ipc("send", "web", "the build is broken")
        session.wait("the mail at the model", lambda: model.saw("the build is broken"))


@needs("copilot")
def test_a_project_s_copilot_has_tools_and_hooks_once_the_folder_is_trusted(machine: Machine) -> None:
    machine.ipc("install", "copilot", "--scope", "project", "--allow")
    machine.ipc("register", "bob")
    with RecordingModel() as model:
        model.before(1, lambda: machine.send("for the tool", "turn"))
        model.order("ipc-check", {})
        headless(machine, model)
        assert "under the name web." in model.texts()[0] and "for the tool" in model.texts()[1]


def _ids(machine: Machine) -> list[str]:
    return [m["id"] for m in machine.request("bob", "history", peer="web")["messages"]]


@needs("copilot")
@shows("copilot", "uninstall")
def test_copilot_knows_the_server_while_it_is_installed(machine: Machine) -> None:
    with RecordingModel() as model:
        env = copilot.env(machine, model.url)
        before = (machine.home / ".copilot/config.json").read_text()
        machine.ipc("install", "copilot")
        assert "ipc" in machine.run("copilot", "mcp", "list", **env)
        assert "FAIL" not in machine.ipc("install", "copilot", "--check")
        machine.ipc("uninstall", "copilot")
        assert "ipc" not in machine.run("copilot", "mcp", "list", **env)
    assert json.loads((machine.home / ".copilot/config.json").read_text()) == json.loads(before)


class Prompted:
    """A session whose model has called a command that needs its user's permission."""

    def __init__(self, machine: Machine, model: RecordingModel, session: Copilot) -> None:
        self.model, self.session = model, session
        self.file = machine.project / "touched"
        self.command = f"touch {self.file}"
        model.order("bash", {"command": self.command, "description": "touches", "mode": "sync"})
        self.asked = len(model.requests)
        session.type("go on")

    def terminal_asks(self) -> None:
        self.session.wait("the terminal's prompt", lambda: "Do you want to run this command?" in self.session.screen())

    def goes_on(self) -> None:
        self.session.wait("the model's next turn", lambda: len(self.model.requests) > self.asked + 1)


@pytest.fixture
def prompted(machine: Machine, owner: Owner) -> Iterator[Prompted]:
    machine.ipc("install", "copilot", "--approvals")
    with RecordingModel() as model, Copilot(machine, model, "--experimental") as session:
        yield Prompted(machine, model, session)


@needs("copilot", "tmux")
@shows("copilot", "permission")
@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_copilot_does_as_was_decided_elsewhere_while_its_terminal_asks(owner: Owner, prompted: Prompted, decision: str) -> None:
    row = owner.prompt("web")
    shown = json.loads(row["shown"])
    assert (row["host"], row["tool"], shown["fullCommandText"]) == ("copilot", "commands", prompted.command)
    prompted.terminal_asks()
    owner.decide(row["id"], decision)
    prompted.goes_on()
    assert prompted.file.exists() == (decision == "allow")
    assert bool(prompted.model.saw("Your user has denied this call")) == (decision == "deny")


@needs("copilot", "tmux")
def test_what_copilot_s_terminal_has_answered_waits_for_nobody_any_more(owner: Owner, prompted: Prompted) -> None:
    owner.prompt("web")
    prompted.terminal_asks()
    prompted.session.press("Enter")
    prompted.goes_on()
    assert prompted.file.exists()
    owner.none_waits("web")


@needs("copilot", "tmux")
def test_copilot_s_terminal_asks_on_when_the_broker_is_gone(machine: Machine, owner: Owner, prompted: Prompted) -> None:
    owner.prompt("web")
    machine.ipc("down")
    prompted.terminal_asks()
    assert not prompted.file.exists()
    prompted.session.press("Enter")
    prompted.goes_on()
    assert prompted.file.exists()


@needs("copilot", "tmux")
def test_a_turn_of_copilot_that_is_broken_off_takes_its_prompt_along(owner: Owner, prompted: Prompted) -> None:
    owner.prompt("web")
    prompted.terminal_asks()
    prompted.session.press("Escape")
    owner.none_waits("web")
    assert not prompted.file.exists()
