"""What mail costs a Claude Code session in tokens: what is in the model's requests because of us.

Counted are the characters of what a request tells the model (system prompt, tools, messages), four to a token; no tokenizer
of the host's model can be had offline.
"""

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.hosts.machine import BIN, Machine, wait_until
from bench.hosts.recording_model import RecordingModel, Request
from bench.hosts.terminals import PROMPT, Claude, Terminal

CHARS_A_TOKEN = 4
MAIL = "The build of the branch is broken: tests/test_parser.py fails on line 12, can you have a look?"

_HOOK = "UserPromptSubmit hook additional context"
"""What the host writes before what the prompt hook adds."""
_NOTICE = re.compile("agent-ipc: .*?(?=</event>|$)", re.MULTILINE)
"""Our words in what wakes."""


@dataclass(frozen=True)
class Cost:
    """``text`` is what was added to a request, without the mail's own text. ``frame``: what of it are the host's own words."""

    what: str
    text: str
    frame: str = ""


def tokens(text: str) -> int:
    return round(len(text) / CHARS_A_TOKEN)


def lines_of(body: dict[str, Any]) -> list[str]:
    """What a request of Claude Code tells the model, line by line; tools as JSON."""
    parts = [block["text"] for block in body.get("system", ())]
    parts += [json.dumps(tool, ensure_ascii=False) for tool in body.get("tools", ())]
    parts += [text for message in body["messages"] for text in said(message)]
    return "\n".join(parts).splitlines()


def said(message: dict[str, Any]) -> list[str]:
    """The texts of one message, with those of tool results."""
    content = message["content"]
    if isinstance(content, str):
        return [content]
    found = []
    for block in content:
        inner = block.get("content") if block["type"] == "tool_result" else block.get("text")
        found += [inner] if isinstance(inner, str) else [b.get("text", "") for b in inner or ()]
    return found


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


def new_text(before: Request, after: Request) -> str:
    """What the second request tells the model beyond the first and its answer."""
    messages = after.body["messages"][len(before.body["messages"]) :]
    return "\n".join(text for message in messages if message["role"] != "assistant" for text in said(message))


def measure(home: Path, model: RecordingModel) -> list[Cost]:
    """At rest, by the hook after a tool, by each way of waking."""
    machine = Machine(home)
    env = machine.claude_env(model.url)
    with Terminal(machine, env, str(BIN / "claude")) as bare:
        bare.wait("the prompt", lambda: PROMPT in bare.screen())
        without = _ask(bare, model, "hello")
    machine.ipc("install", "claude", "--allow")
    machine.ipc("register", "bob")
    try:
        with Claude(machine, model) as claude:
            claude.wait("the tools", lambda: "footer" in machine.reach())
            with_us = _ask(claude, model, "hello")
            costs = [Cost("a session at rest", added(lines_of(without.body), lines_of(with_us.body)))]
            costs += _by_hook(machine, model, claude)
            costs.append(_by_wake(machine, model, claude, "socket"))
        (machine.home / ".claude/skills/agent-ipc/.mcp.json").unlink()  # with the server goes the way by the socket
        with Claude(machine, model) as claude:
            _ask(claude, model, "hello")
            costs.append(_by_wake(machine, model, claude, "monitor"))
    finally:
        machine.ipc("down")
    return costs


def _ask(terminal: Terminal, model: RecordingModel, prompt: str) -> Request:
    """The first request of a turn that a prompt begins, after the turn."""
    before = len(model.requests)
    terminal.type(prompt)
    terminal.wait("the request", lambda: len(model.requests) > before)
    if isinstance(terminal, Claude):
        terminal.idle()
    return model.requests[before]


def _by_hook(machine: Machine, model: RecordingModel, claude: Claude) -> list[Cost]:
    """Mail that comes while a tool runs, and is added to the tool's result."""
    plain = _after_a_tool(machine, model, claude, 0)
    return [
        Cost(f"{count} mail by the hook after a tool", _less(added(plain, _after_a_tool(machine, model, claude, count)), count))
        for count in (1, 3)
    ]


def _after_a_tool(machine: Machine, model: RecordingModel, claude: Claude, count: int) -> list[str]:
    """The lines of what follows a tool call in which that many messages came."""
    first = len(model.requests) + 1
    path = machine.project / f"notes{first}.txt"
    path.write_text("hello\n")

    def send() -> None:
        for _ in range(count):
            machine.send(MAIL)

    model.before(first, send)
    model.order("Read", {"file_path": str(path)})
    _ask(claude, model, "go on")
    return new_text(model.requests[first - 1], model.requests[first]).splitlines()


def _less(text: str, count: int) -> str:
    """The text without the mail's own."""
    if text.count(MAIL) != count:
        raise ValueError(f"not {count} messages in {text!r}")
    return text.replace(MAIL, "")


def _by_wake(machine: Machine, model: RecordingModel, claude: Claude, way: str) -> Cost:
    before = model.requests[-1]
    machine.send(MAIL)
    wait_until("the mail", lambda: MAIL in new_text(before, model.requests[-1]), explain=claude.screen)
    after = next(r for r in model.requests if r.number > before.number and MAIL in new_text(before, r))
    claude.idle()
    text = _less(new_text(before, after), 1)
    wake, _, _digest = text.partition(_HOOK)
    return Cost(f"1 mail that wakes by the {way}", text, frame=_NOTICE.sub("", wake))
