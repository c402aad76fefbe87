"""What mail costs each host in tokens: what is in its model's requests because of us, beside the mail's own text.

Two runs of one turn, with our installation and without, and a session that mail wakes. Counted are the characters of what a
request tells the model (system prompt, tools, messages), four to a token; no tokenizer of the hosts' models can be had offline.
"""

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.hosts import cline
from bench.hosts.machine import BIN, Machine, wait_until
from bench.hosts.model_dialects import Order
from bench.hosts.recording_model import RecordingModel, Request
from bench.hosts.terminals import Terminal
from bench.hosts.turns import TURNS, Turn

CHARS_A_TOKEN = 4
MAIL = "The build of the branch is broken: tests/test_parser.py fails on line 12, can you have a look?"
REST, HOOK, TOOL, WAKE = "a session at rest", "a message by a hook", "a message by the tool check", "a message that wakes"

_CONVERSATION = ("system", "systemInstruction", "instructions", "messages", "input", "contents")
_UNTOLD = frozenset({"id", "call_id", "tool_use_id", "tool_call_id", "type", "role", "status", "signature", "cache_control"})
"""Fields that are the API's, no words for the model."""
_NOTICE = re.compile("agent-ipc: .*?check\\.")
"""Our words in what wakes."""
_NUMBER = re.compile(r"[0-9a-f]*[0-9][0-9a-f.]*")
"""What differs from run to run: times, ids."""
_WOKEN_S = 120.0


@dataclass(frozen=True)
class Cost:
    """``text`` is what was added to a request, without the mail's own text; ``own``: tokens of it that are the host's words."""

    what: str
    text: str
    own: int = 0


def tokens(text: str) -> int:
    return round(len(text) / CHARS_A_TOKEN)


def lines_of(body: dict[str, Any], tools: dict[str, Any] | None = None) -> list[str]:
    """What a request of any host tells its model, a tool in a line; the tools of another request where that is given."""
    offered = (body if tools is None else tools).get("tools", ())
    return [*(json.dumps(tool, ensure_ascii=False) for one in offered for tool in _flat(one)), *told_of(body)]


def told_of(body: dict[str, Any]) -> list[str]:
    return "\n".join(text for key in _CONVERSATION for text in _strings(body.get(key))).splitlines()


def _flat(tool: dict[str, Any]) -> list[dict[str, Any]]:
    """A tool, or the tools of a list that has a name of its own."""
    inner = tool.get("functionDeclarations") or (tool["tools"] if tool.get("type") == "namespace" else None)
    if inner is None:
        return [tool]
    head = {k: v for k, v in tool.items() if k not in ("tools", "functionDeclarations")}
    return [*([head] if head else []), *inner]


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict) and value.get("role") not in ("assistant", "model") and "arguments" not in value:
        for key, one in value.items():
            if key not in _UNTOLD:
                yield from _strings(one)


def added(before: list[str], after: list[str]) -> str:
    """The lines that are in the second alone. Where a line grew, what it grew by."""
    found = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag in ("insert", "replace"):
            found += _grown(before[a:b], after[c:d])
    return "\n".join(found)


def _grown(old: list[str], new: list[str]) -> list[str]:
    grown = []
    for number, line in enumerate(new):
        was = old[number] if number < len(old) else ""
        matcher = difflib.SequenceMatcher(None, was, line, autojunk=False)
        grown.append("".join(line[c:d] for tag, _a, _b, c, d in matcher.get_opcodes() if tag in ("insert", "replace")))
    return grown


def measure(home: Path, model: RecordingModel, host: str) -> Iterator[Cost]:
    """At rest, by a hook after a tool, by the tool that reads it, by a wake where the host has one."""
    machine, turn = Machine(home), TURNS[host]
    bare = _turn(machine, model, turn, turn.shell)
    machine.ipc("install", host, "--allow")
    machine.ipc("register", "bob")
    try:
        begun = len(model.requests)
        model.before(begun + 1, lambda: machine.send(MAIL))
        model.before(begun + 2, lambda: machine.send(MAIL, "digest"))
        ours = _turn(machine, model, turn, turn.shell, (turn.check, {}))
        rest = lines_of(ours[0].body, tools=ours[-1].body)  # a host may ask before it has all tools
        yield Cost(REST, added(lines_of(bare[0].body, tools=bare[-1].body), rest))
        by_hook = _rest("\n".join(beyond(new_lines(bare[0], bare[1]), new_lines(ours[0], ours[1]))))
        yield Cost(HOOK, by_hook)
        yield Cost(TOOL, _rest("\n".join(new_lines(ours[1], ours[2]))))
        if turn.session is not None:
            text = _rest("\n".join(_woken(machine, model, turn.session)))
            yield Cost(WAKE, text, max(0, tokens(_NOTICE.sub("", text)) - tokens(by_hook)))
    finally:
        machine.ipc("down")
        if host == "cline":
            cline.end_hub(machine)


def _turn(machine: Machine, model: RecordingModel, turn: Turn, *orders: Order) -> list[Request]:
    """The requests of a turn in which the model calls these tools."""
    before = len(model.requests)
    for order in orders:
        model.order(*order)
    program, *arguments = turn.command
    machine.run(str(BIN / program), *arguments, "say hello", **turn.env(machine, model.url))
    return model.requests[before:]


def _woken(machine: Machine, model: RecordingModel, session: Callable[[Machine, RecordingModel], Terminal]) -> list[str]:
    with session(machine, model) as terminal:
        terminal.wait("a way", lambda: {"socket", "monitor", "queue"} & set(machine.reach()), _WOKEN_S)
        terminal.type("good morning")
        terminal.wait("the turn", lambda: model.saw("good morning"))
        terminal.idle()
        before = model.requests[-1]
        machine.send(MAIL)
        held = wait_until("the mail", lambda: next(_held(model, before), None), _WOKEN_S, terminal.screen)
        return new_lines(before, held)


def _held(model: RecordingModel, before: Request) -> Iterator[Request]:
    return (r for r in model.requests if r.number > before.number and MAIL in "\n".join(new_lines(before, r)))


def new_lines(before: Request, after: Request) -> list[str]:
    """The lines that the second request tells beyond the first."""
    return beyond(told_of(before.body), told_of(after.body))


def beyond(before: list[str], after: list[str]) -> list[str]:
    """The lines of the second that the first has not, whatever their numbers are."""
    left = Counter(_NUMBER.sub("#", line) for line in before)
    found = []
    for line in after:
        left[_NUMBER.sub("#", line)] -= 1
        if left[_NUMBER.sub("#", line)] < 0:
            found.append(line)
    return found


def _rest(text: str) -> str:
    """The text without the mail's own. Raises ValueError if it holds none."""
    if MAIL not in text:
        raise ValueError(f"no mail in {text!r}")
    return text.replace(MAIL, "")
