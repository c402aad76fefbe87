"""Real hosts whose session was closed, and which the person's mail starts again: the same session, with what it said before."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.hosts import qwen
from bench.hosts.machine import Machine, wait_until
from bench.hosts.model_dialects import ANSWER
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Claude, Terminal
from broker.client.json_lines import request
from broker.home.files import owner_key
from broker.home.paths import Place
from tests.hosts.real import machine, needs, shows

pytestmark = [pytest.mark.host, pytest.mark.timeout(240)]
__all__ = ["machine"]
WORD = "xylophone"


class Person:
    """Writes as the person does at the page."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        body = {"kind": "process", "key": "person", "pid": os.getpid(), "started": "x"}
        self.token = self.ask("register", instance_id="me", body=body)["session_token"]
        self.ask("person", session_token=owner_key(str(machine.data)), by=self.token)

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        return request(Place(str(self.machine.data)), {"action": action, **fields})

    def write(self, text: str) -> str:
        reply = self.ask("send", session_token=self.token, to_id="web", message={"content": text}, person=True)
        return str(reply["number"])

    def receipt(self, number: str) -> dict[str, Any]:
        return dict(self.ask("receipts", session_token=self.token, ids=[number])["receipts"][0])


def allow(machine: Machine) -> None:
    machine.data.mkdir(mode=0o700)
    (machine.data / "config.toml").write_text('[hosts.resume]\nnames = ["web"]\nminutes = 2\n')


def why(machine: Machine) -> str:
    path = machine.data / "run" / "resume.json"
    state: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return str(state.get("agents", {}).get("web", "not looked at"))


def describe(machine: Machine) -> str:
    logs = [machine.data / "logs/resume.log", machine.data / "logs/hooks.log", *(machine.data / "resume").glob("*.out")]
    return "\n".join(path.read_text()[-2000:] for path in logs if path.exists())


def story(machine: Machine, model: RecordingModel, opened: Callable[[], Terminal], leave: str) -> str:
    """Say a word in a terminal, close it, and write as the person. Returns the mode that the body had."""
    with opened() as terminal:
        terminal.type(f"remember the word {WORD}")
        terminal.wait("the answer", lambda: model.saw(WORD) and ANSWER in terminal.screen())
        terminal.idle()
        binding = machine.binding()
        assert binding is not None
        terminal.type(leave)
        wait_until("the session's end", lambda: (b := machine.binding()) is not None and b.ended)
    wait_until(
        "that it may be started again", lambda: why(machine) == "", explain=lambda: f"{why(machine)}\n{describe(machine)}"
    )
    person = Person(machine)
    number = person.write("which word was it?")
    wait_until("the mail at the model", lambda: model.saw("which word was it?"), explain=lambda: describe(machine))
    asked = model.first_with("which word was it?")
    assert asked is not None and WORD in asked.told  # it goes on with what was said
    wait_until("the receipt", lambda: person.receipt(number)["step"] == "in_context", explain=lambda: describe(machine))
    assert "resume" in [step.get("way") for step in person.receipt(number)["steps"]]
    wait_until("its end", lambda: '"body_ended"' in (machine.data / "logs/resume.log").read_text())
    rows = [json.loads(line) for line in (machine.data / "logs/resume.log").read_text().splitlines()]
    (started,) = [row for row in rows if row["event"] == "body_started"]
    (ended,) = [row for row in rows if row["event"] == "body_ended"]
    assert started["session"] == binding.session and ended["why"] == "its turn was over" and ended["began"]
    wait_until("its session's end", lambda: (b := machine.binding()) is not None and b.ended and b.session == binding.session)
    return str(started["mode"])


def settings_of(machine: Machine, path: str, env: dict[str, str]) -> None:
    """Where the model is, in the host's own settings: a body has the service's environment, and not the terminal's."""
    file: Path = machine.home / path
    known = json.loads(file.read_text()) if file.exists() else {}
    machine.write(path, json.dumps(known | {"env": env}))


@needs("claude", "tmux")
@shows("claude", "resume")
def test_a_closed_claude_code_goes_on_with_its_session_for_the_persons_mail(machine: Machine) -> None:
    allow(machine)
    with RecordingModel() as model:
        settings_of(machine, ".claude/settings.json", machine.claude_env(model.url))
        machine.ipc("install", "claude", "--allow")
        opened = lambda: Claude(machine, model, "--permission-mode", "acceptEdits")  # noqa: E731
        assert story(machine, model, opened, "/exit") == "acceptEdits"


@needs("claude", "tmux")
def test_a_claude_code_that_bypassed_permissions_is_not_started_again(machine: Machine) -> None:
    allow(machine)
    with RecordingModel() as model:
        settings_of(machine, ".claude/settings.json", {**machine.claude_env(model.url), "IS_SANDBOX": "1"})
        machine.ipc("install", "claude", "--allow")
        machine.run(
            "claude", "-p", "hello", "--permission-mode", "bypassPermissions", IS_SANDBOX="1", **machine.claude_env(model.url)
        )
        wait_until(
            "the reason", lambda: "bypassPermissions" in why(machine), explain=lambda: f"{why(machine)} {describe(machine)}"
        )


@needs("qwen", "tmux")
@shows("qwen", "resume")
def test_a_closed_qwen_code_goes_on_with_its_session_for_the_persons_mail(machine: Machine) -> None:
    allow(machine)
    with RecordingModel() as model:
        settings_of(machine, ".qwen/settings.json", {})
        machine.write(".qwen/settings.json", json.dumps({**qwen._SETTINGS, "env": qwen.env(machine, model.url)}))
        machine.ipc("install", "qwen", "--allow")
        opened = lambda: qwen.Qwen(machine, model, "--approval-mode", "default")  # noqa: E731
        assert story(machine, model, opened, "/quit") == "default"
