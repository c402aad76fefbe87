"""The real opencode against a model on loopback: ``pytest -m host``. bench/hosts/machine.py says how to install it."""

import pytest

from bench.hosts import opencode
from bench.hosts.machine import Machine
from bench.hosts.model_dialects import ANSWER
from bench.hosts.opencode import Opencode
from bench.hosts.recording_model import RecordingModel
from tests.hosts.real import machine, needs, shows

pytestmark = [pytest.mark.host, pytest.mark.timeout(180)]
__all__ = ["machine"]
SHELL = ("bash", {"command": "echo hello", "description": "says hello"})


def headless(machine: Machine, model: RecordingModel, *arguments: str, **settings: object) -> str:
    return machine.run("opencode", "run", *(arguments or ("write the notes",)), **opencode.env(machine, model.url, **settings))


@needs("opencode")
@shows("opencode", "start", "tool", "end")
def test_hooks_of_a_headless_opencode_inject_mail_and_none_into_the_request_for_a_title(machine: Machine) -> None:
    machine.ipc("install", "opencode")
    machine.ipc("register", "bob")
    machine.ipc("send", "web", "sent before it was born")
    with RecordingModel() as model:
        model.order(*SHELL)
        model.before(1, lambda: machine.send("land after the tool", "tool"))
        assert ANSWER in headless(machine, model)
        told = model.texts()
        assert "under the name web." in told[0] and "sent before it was born" in told[0]
        assert "land after the tool" in told[1]
    binding = machine.binding()
    assert binding is not None and binding.ended
    rows = machine.request("bob", "history", peer="web")["messages"]
    states = [row["state"] for row in machine.request("bob", "receipts", ids=[m["id"] for m in rows])["receipts"]]
    assert states == ["read"] * len(rows)


@needs("opencode", "tmux")
@shows("opencode", "wake", "prompt", "stop")
def test_an_idle_opencode_wakes_and_reads_its_mail_once(machine: Machine) -> None:
    machine.ipc("install", "opencode")
    machine.ipc("register", "bob")
    with RecordingModel() as model, Opencode(machine, model) as session:
        for text in ("the build is broken", "and now it is green"):
            session.wait("the way", lambda: "monitor" in machine.reach())
            asked = len(model.requests)
            machine.ipc("send", "web", text)
            session.wait("the mail at the model", lambda text=text: model.saw(text))
            session.idle()
            assert len(model.requests) == asked + 1
        assert "agent-ipc: mail #" in session.screen()
