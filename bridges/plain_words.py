"""Plain words at any door: what a sentence means, and the requests that carry it out.

    text --CONTEXT: who is there--> understand --> Plan --the door agrees--> its requests, one after the other --> Said

``saying`` goes this way without a connection: it yields each request and is sent the reply. ``carry_out`` drives it where a
door's ``ask`` returns the reply, ``carry_out_async`` where ``ask`` is awaited. A sentence that denies a command ("don't tell
fred") has no requests: the parser finds no command in it (nlparse), or ``understand`` asks back.

Two commands are more than a request: ``register`` changes the door's session, and ``share_file`` reads a file where the words
were said. The door's ``ask`` knows them by their action.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nlparse
from broker.home.files import read_trusted
from broker.protocol.errors import IpcError, SettingsError
from broker.protocol.names import SYSTEM
from nlparse import commands as c

CONTEXT: tuple[dict[str, Any], ...] = (
    {"action": "whoami"},
    {"action": "list", "all": True},
    {"action": "groups"},
    {"action": "history", "limit": 50},
)
"""Requests whose replies the parser needs, in this order."""
SHARE_FILE = "share_file"
_WRITTEN = ("send", "ask", "reply")
"""Actions that say whether a person wrote the mail."""
Vocabulary = nlparse.Vocabulary
EXAMPLES = (
    "msg fred: the build is green",
    "tell barney and wilma lunch is at noon",
    "tell everyone the freeze starts",
    "check messages",
    "reply: on it",
    "forward it to wilma",
    "share notes.md with fred",
    "who is online?",
    "start auto checking every 5 minutes",
    "tell me when fred is idle",
    "change my name to fred-2",
)


@dataclass(frozen=True, slots=True)
class Context:
    """What a text is read against."""

    me: str | None = None
    known: tuple[str, ...] = ()
    """Instances, groups, and addresses of other sites."""
    groups: tuple[str, ...] = ()
    last_from: str | None = None
    last_id: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a text means. ``requests`` is empty for help and for what was not understood."""

    intent: str
    understood: dict[str, Any]
    requests: tuple[dict[str, Any], ...] = ()
    question: str | None = None
    """To ask back. After a yes, the door makes ``requests``. Without requests, words are missing and yes is no answer."""
    problem: str | None = None
    """Why there is nothing to do."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, and the replies to its requests; None if the door did not agree to the plan."""

    plan: Plan
    replies: tuple[dict[str, Any], ...] | None = None


Steps = Generator[dict[str, Any], dict[str, Any], Said]


def saying(
    text: str, words: Vocabulary, agree: Callable[[Plan], bool], *, registered: bool = True, person: bool = False
) -> Steps:
    """The requests of a sentence: those that its reading needs, unless nobody is ``registered`` yet, then those of its plan.

    ``agree`` is shown the plan before its first request; it returns False, or raises, to end there. ``person``: a person
    at a terminal wrote what is sent.
    """
    asked = []
    for request in CONTEXT if registered else ():
        asked.append((yield request))
    plan = understand(text, read_context(asked) if asked else Context(), words)
    if not agree(plan):
        return Said(plan)
    replies = []
    for request in plan.requests:
        replies.append((yield {**request, "person": True} if person and request["action"] in _WRITTEN else request))
    return Said(plan, tuple(replies))


def carry_out(steps: Steps, ask: Callable[[dict[str, Any]], dict[str, Any]]) -> Said:
    """Make each request with ``ask``. An error of ``ask`` ends the sentence."""
    try:
        request = next(steps)
        while True:
            request = steps.send(ask(request))
    except StopIteration as end:
        said: Said = end.value
    return said


async def carry_out_async(steps: Steps, ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> Said:
    """Make each request with ``ask``, which is awaited."""
    try:
        request = next(steps)
        while True:
            request = steps.send(await ask(request))
    except StopIteration as end:
        said: Said = end.value
    return said


def read_context(replies: list[dict[str, Any]]) -> Context:
    """The context that the replies to ``CONTEXT`` tell, in its order."""
    whoami, listed, groups, history = replies
    named = tuple(row["name"] for row in groups["groups"])
    rows = [row for row in listed["instances"] if not row.get("unclaimed")]
    known = (*(row["id"] for row in rows), *named, *_everyone_at({row["site"] for row in rows if "site" in row}))
    last = next((m for m in history["messages"] if m["direction"] == "in" and m.get("read") and m["from"] != SYSTEM), None)
    return Context(whoami["instance_id"], known, named, last["from"] if last else None, last["id"] if last else None)


def _everyone_at(sites: set[str]) -> list[str]:
    return [f"*@{site}" for site in (*sorted(sites), "*")] if sites else []


def vocabulary(home: Path) -> Vocabulary:
    """The parser's words, with those of ``[nlparse]`` in config.toml added. Raises SettingsError."""
    import tomllib

    path = home / "config.toml"
    try:
        table = tomllib.loads(read_trusted(str(path)))
    except FileNotFoundError:
        return Vocabulary()
    except PermissionError as e:
        raise SettingsError(str(e)) from None
    except (OSError, ValueError) as e:
        raise SettingsError(f"{path}: {e}") from None
    try:
        return Vocabulary().extend(table.get("nlparse", {}))
    except (ValueError, TypeError, AttributeError) as e:
        raise SettingsError(f"{path}, [nlparse]: {e}") from None


def understand(text: str, context: Context, words: Vocabulary) -> Plan:
    """What to do for a text, what to ask back, or why neither."""
    command = nlparse.parse(text, me=context.me, known=context.known, last_from=context.last_from, vocabulary=words)
    if command.question is not None:
        would_be = command.question.would_be or command
        return Plan("unknown", would_be.answer(), requests_for(would_be, context), question=command.question.text)
    if isinstance(command, c.Unknown):
        return Plan("unknown", command.answer(), problem="That is no command I know")
    needs_last = isinstance(command, (c.Reply, c.Forward)) and context.last_id is None
    if needs_last:
        return Plan(command.intent, command.answer(), problem="There is no message yet to answer or forward")
    requests = requests_for(command, context)
    if command.did_you_mean is not None:
        question = f"Nobody is registered as {_strangers(command, context)}. Did you mean {command.did_you_mean}? Send anyway?"
        return Plan(command.intent, command.answer(), requests, question=question)
    if isinstance(command, c.ShareFile):
        question = f"Share the file {command.path} with {' and '.join(command.to)}?"
        return Plan(command.intent, command.answer(), requests, question=question)
    return Plan(command.intent, command.answer(), requests)


def _strangers(command: c.Command, context: Context) -> str:
    known = {name.lower() for name in context.known}
    return ", ".join(name for name in command.slots()["to"] if name.lower() not in known)


def requests_for(command: c.Command, context: Context) -> tuple[dict[str, Any], ...]:
    """The requests that a command stands for. Names are spelled as they are registered."""
    match command:
        case c.Send(to=to):
            return tuple(_send(command, _spelled(n, context), context) for n in to)
        case c.Broadcast(content=content):
            return ({"action": "broadcast", "message": {"content": content}},)
        case c.Reply(content=content):
            return ({"action": "reply", "to_message": context.last_id, "message": {"content": content}},)
        case c.Forward(to=to):
            return tuple({"action": "forward", "forward_id": context.last_id, "to_id": _spelled(n, context)} for n in to)
        case c.ShareFile(to=to, path=path):
            return tuple({"action": SHARE_FILE, "to_id": _spelled(n, context), "path": path} for n in to)
        case c.Register(name=name):
            return ({"action": "register", "instance_id": name},)
        case c.Rename(name=name):
            return ({"action": "rename", "new_id": name},)
        case c.WatchAgent(name=name, event=event):
            return ({"action": "watch_agent", "name": _spelled(name, context), "events": [event]},)
        case c.AutocheckStart(minutes=minutes):
            return ({"action": "autocheck", "minutes": minutes},)
        case c.AutocheckStop():
            return ({"action": "autocheck", "minutes": 0},)
        case c.AutocheckStatus():
            return ({"action": "autocheck"},)
    plain = {"check", "list", "whoami"}
    return ({"action": command.intent},) if command.intent in plain else ()


def _send(command: c.Send, name: str, context: Context) -> dict[str, Any]:
    """``ask fred: …`` is a question, which stays open until it is answered. A group can't be asked, only written to,
    like everyone at a site."""
    request = {"action": "send", "to_id": name, "message": {"content": command.content}}
    one = name not in context.groups and not name.startswith("*")
    return {**request, "action": "ask", "wait_s": 0} if command.asking and one else request


def _spelled(name: str, context: Context) -> str:
    """The registered spelling of a name, if exactly one registered name differs from it in case alone."""
    if name in context.known:
        return name
    same = [known for known in context.known if known.lower() == name.lower()]
    return same[0] if len(same) == 1 else name


def help_text() -> str:
    return "For example:\n" + "\n".join(f"  {example}" for example in EXAMPLES)


def refuse(action: str) -> IpcError:
    """A door's answer to a command that it can't carry out."""
    return IpcError("bad_request", detail=f"{action} can't be said at this door")
