"""How soon mail is in a request of the model: from the moment of sending to the request's arrival, in ms.

An idle session is woken by one of its ways; in a turn, the hook after the next tool brings the mail, so what is measured there
is a turn of short tool calls. Gemini CLI is woken by nothing: its next prompt brings the mail.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from bench.hosts.copilot import Copilot
from bench.hosts.machine import NO_LIMITS, Machine
from bench.hosts.model_dialects import Order
from bench.hosts.recording_model import RecordingModel
from bench.hosts.terminals import Claude, Codex, Gemini, Terminal

_NUMBERS = itertools.count(1)
_QUEUED_S = 10.0
TOOL_S = 0.2
"""Seconds that each tool of a running turn takes."""


Measured = tuple[str, list[float]]
"""What was measured, and its times in ms."""


def mail_after(machine: Machine, model: RecordingModel, terminal: Terminal) -> float:
    """Send one message. Returns the ms until a request held it."""
    words = f"Number {next(_NUMBERS)} of the measured messages."
    sent_s = time.monotonic()
    machine.send(words)
    held = terminal.wait("the mail at the model", lambda: model.first_with(words))
    return float(held.at_s - sent_s) * 1e3


def idle(machine: Machine, model: RecordingModel, terminal: Terminal, count: int, rest_s: float = 1.0) -> list[float]:
    """Each message finds the session at rest, for ``rest_s`` at most: a host that looks every so often is met at any moment."""
    times = []
    for _ in range(count):
        terminal.idle()
        time.sleep(random.uniform(0, rest_s))  # noqa: S311
        times.append(mail_after(machine, model, terminal))
    terminal.idle()
    return times


def prompted(machine: Machine, model: RecordingModel, terminal: Gemini) -> float:
    """Milliseconds from the prompt that follows a message until the request that holds it."""
    terminal.idle()
    words = f"Number {next(_NUMBERS)} of the measured messages."
    machine.send(words)
    while True:
        terminal.type("go on")
        typed_s = time.monotonic()
        with suppress(TimeoutError):  # a prompt that comes while a turn ends may stay queued until the next
            held = terminal.wait("the mail at the model", lambda: model.first_with(words), _QUEUED_S)
            return float(held.at_s - typed_s) * 1e3


def in_a_turn(
    machine: Machine, model: RecordingModel, terminal: Terminal, count: int, tool: Callable[[int], Order]
) -> list[float]:
    """Each message finds a turn of short tool calls."""
    model.script = lambda request: (tool(request.number),)  # no two are alike: hosts look for loops
    before = len(model.requests)
    try:
        terminal.type("work")
        terminal.wait("the turn", lambda: len(model.requests) > before + 2)
        return [mail_after(machine, model, terminal) for _ in range(count)]
    finally:
        model.script = lambda _request: ()
        terminal.idle()


@contextmanager
def installed(machine: Machine, *host: str) -> Iterator[None]:
    """Our side of a host, and bob."""
    machine.env |= NO_LIMITS
    machine.ipc("install", *host, "--allow")
    machine.ipc("register", "bob")
    try:
        yield
    finally:
        machine.ipc("down")


def claude(machine: Machine, model: RecordingModel, count: int) -> Iterator[Measured]:
    machine.write(".claude/settings.json", '{"permissions": {"allow": ["Bash"]}}')
    with installed(machine, "claude"):
        with Claude(machine, model, "--permission-mode", "default") as session:
            session.wait("the way by the socket", lambda: "socket" in machine.reach())
            yield "Claude Code, idle, by its inbox socket", idle(machine, model, session, count)

            def tool(number: int) -> Order:
                return "Bash", {"command": f"python3 -c 'import time; time.sleep({TOOL_S}); {number}'", "description": "wait"}

            yield f"Claude Code, in a turn of tools of {TOOL_S} s", in_a_turn(machine, model, session, count, tool)
        (machine.home / ".claude/skills/agent-ipc/.mcp.json").unlink()  # with the server goes the way by the socket
        with Claude(machine, model) as session:
            yield "Claude Code, idle, by the plugin's monitor", idle(machine, model, session, count)


def codex(machine: Machine, model: RecordingModel, count: int) -> Iterator[Measured]:
    with installed(machine, "codex"), Codex(machine, model, "--dangerously-bypass-approvals-and-sandbox") as session:
        yield "Codex CLI, idle, by its queue", idle(machine, model, session, count, rest_s=10.0)

        def tool(number: int) -> Order:
            return "exec_command", {"cmd": f"sleep {TOOL_S}; : {number}"}

        yield f"Codex CLI, in a turn of tools of {TOOL_S} s", in_a_turn(machine, model, session, count, tool)


def gemini(machine: Machine, model: RecordingModel, count: int) -> Iterator[Measured]:
    with installed(machine, "gemini"), Gemini(machine, model, "--approval-mode", "yolo") as session:
        session.wait("the tools", lambda: "footer" in machine.reach())  # until then the host holds prompts up
        yield "Gemini CLI, idle, from its next prompt", [prompted(machine, model, session) for _ in range(count)]

        def tool(number: int) -> Order:
            return "run_shell_command", {"command": f"sleep {TOOL_S}; : {number}"}

        yield f"Gemini CLI, in a turn of tools of {TOOL_S} s", in_a_turn(machine, model, session, count, tool)


def copilot(machine: Machine, model: RecordingModel, count: int) -> Iterator[Measured]:
    with installed(machine, "copilot"), Copilot(machine, model, "--experimental", "--allow-tool", "shell") as session:
        session.wait("the way by the extension", lambda: "monitor" in machine.reach())
        yield "Copilot CLI, idle, by its extension", idle(machine, model, session, count)

        def tool(number: int) -> Order:
            return "bash", {"command": f"sleep {TOOL_S}; : {number}", "description": "wait", "mode": "sync"}

        yield f"Copilot CLI, in a turn of tools of {TOOL_S} s", in_a_turn(machine, model, session, count, tool)


HOSTS: dict[str, Callable[[Machine, RecordingModel, int], Iterator[Measured]]] = {
    "claude": claude,
    "codex": codex,
    "copilot": copilot,
    "gemini": gemini,
}
