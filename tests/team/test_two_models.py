"""A team of Claude Code, Codex CLI and opencode does a small job. Their models know of our mail what our texts say.

``pytest -m host`` runs it. bench/hosts/machine.py says how to install the hosts.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.hosts import opencode
from bench.hosts.machine import BIN, Machine
from bench.hosts.model_dialects import Order
from bench.hosts.recording_model import RecordingModel, Request
from bench.hosts.terminals import Claude, Codex, Terminal
from tests.hosts.real import machine, needs
from tests.team.goals import HandOver, Learn, Serve, Write
from tests.team.reader import Reader

pytestmark = [pytest.mark.host, pytest.mark.timeout(400), needs("claude", "codex", "opencode", "tmux")]
__all__ = ["machine"]

_JOB_S, _TAKEN_S = 240.0, 10.0


class Model:
    """A host's model: the reader, behind the recording model's address."""

    def __init__(self, reader: Reader, recorder: RecordingModel) -> None:
        self.reader = reader
        self.recorder = recorder
        self.failures: list[BaseException] = []
        recorder.script = self._answer

    def _answer(self, request: Request) -> Sequence[Order]:
        try:
            return self.reader(request)
        except BaseException as e:  # in a thread of the recorder's; the test raises it
            self.failures.append(e)
            raise

    def has(self, goals: int) -> bool:
        if self.failures:
            raise self.failures[0]
        return self.reader.done >= goals


CODEX = "The server's port is 8123. Add name=web to settings.txt; keep that file until an agent asks for it. Answer them."
CLAUDE = (
    "Ask the agent in Codex for the port and add port=N to settings.txt. Then have the agent in opencode add host=localhost."
)
OPENCODE = "Do what the agent in Claude Code hands over to you in mail."
QUESTION = "Which port does the server use?"
HANDED_OVER = "settings.txt has name and port now. Please add the line host=localhost to settings.txt."


@pytest.fixture
def models() -> Iterator[dict[str, Model]]:
    readers = {
        "codex": Reader(CODEX, [Write("settings.txt", "name=web", keep=True)], {"port": "8123"}),
        "claude": Reader(
            CLAUDE,
            [
                Learn("codex", QUESTION, "port"),
                Write("settings.txt", "port={port}"),
                HandOver("opencode", HANDED_OVER),
            ],
        ),
        "opencode": Reader(OPENCODE, [Serve()]),
    }
    with ExitStack() as stack:
        yield {name: Model(reader, stack.enter_context(RecordingModel())) for name, reader in readers.items()}


def with_tools_alone(machine: Machine, model: Model) -> Terminal:
    """opencode with our server in its configuration and nothing else of ours, for one turn."""
    server = {"type": "local", "command": [str(Path(sys.executable).parent / "ipc"), "mcp"], "enabled": True}
    env = opencode.env(machine, model.recorder.url, mcp={"ipc": server})
    return Terminal(machine, env, str(BIN / "opencode"), "run", OPENCODE)


def installed(machine: Machine, model: Model) -> Terminal:
    """opencode with our plugin. It has had its order, and is idle."""
    env = opencode.env(machine, model.recorder.url)
    machine.ipc("install", "opencode", "--allow")
    session = Terminal(machine, env, str(BIN / "opencode"))
    session.wait("the prompt", lambda: opencode.READY in session.screen(), _JOB_S)
    while not model.recorder.saw(OPENCODE):  # it may not listen yet when it shows the prompt
        session.type(OPENCODE)
        with suppress(TimeoutError):
            session.wait("the order", lambda: model.recorder.saw(OPENCODE), _TAKEN_S)
    return session


@pytest.mark.parametrize(("start", "helper"), [(with_tools_alone, "web-2"), (installed, "web-opencode")])
def test_three_hosts_do_a_job_with_a_question_a_claim_and_a_hand_over_by_our_texts_alone(
    machine: Machine, models: dict[str, Model], start: Callable[[Machine, Model], Terminal], helper: str
) -> None:
    settings = machine.project / "settings.txt"
    machine.write(".claude/settings.json", '{"permissions": {"allow": ["Bash"]}}')
    machine.ipc("install", "codex", "--allow")
    machine.ipc("install", "claude", "--allow")
    machine.ipc("register", "bob")
    with ExitStack() as stack:
        codex = stack.enter_context(Codex(machine, models["codex"].recorder, "--dangerously-bypass-approvals-and-sandbox"))
        codex.type(CODEX)
        codex.wait("the first line", lambda: settings.exists() and models["codex"].has(1))
        other = stack.enter_context(start(machine, models["opencode"]))
        other.wait("its name", lambda: machine.reach(helper) and models["opencode"].has(0), _JOB_S)
        claude = stack.enter_context(Claude(machine, models["claude"].recorder, "--permission-mode", "default"))
        claude.wait("the tools", lambda: "footer" in machine.reach("web-claude"))
        claude.type(CLAUDE)
        claude.wait("the job's end", lambda: all(m.has(len(m.reader.goals)) for m in models.values()), _JOB_S)
        claude.wait("the evidence that all was read", lambda: {row["readers"][0]["state"] for row in mail(machine)} == {"read"})
    assert {name: model.reader.guesses for name, model in models.items()} == {name: [] for name in models}
    assert settings.read_text() == "name=web\nport=8123\nhost=localhost\n"
    assert models["claude"].recorder.saw("web has claimed") and not machine.request("bob", "claims", all=True)["claims"]
    assert [(row["from"], row["readers"][0]["name"], row["message"]["content"]) for row in mail(machine)] == [
        ("web-claude", "web", QUESTION),
        ("web", "web-claude", "8123"),
        ("web-claude", "web", "Can you release settings.txt? I have a line to add."),
        ("web", "web-claude", "settings.txt is released."),
        ("web-claude", helper, HANDED_OVER),
        (helper, "web-claude", "host=localhost stands in settings.txt."),
    ]


def mail(machine: Machine) -> list[dict[str, Any]]:
    """All mail, as the broker has it."""
    path = machine.home / "mail.jsonl"
    machine.ipc("export", "--force", "-o", str(path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row for row in rows if "message" in row]
