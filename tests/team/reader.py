"""A model that follows the words it gets: it finds tools by their names and descriptions, fills them by their schemas, and
takes names, ids and what to do next out of the texts that it was given.

It knows its user's order (goals and facts) and English: which words stand for which intent. Of the mail between agents it
knows nothing. Where the words leave it more than one thing to do, or none, it guesses, and keeps what it guessed.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.hosts.model_dialects import Order
from bench.hosts.recording_model import Request
from tests.team.conversation import Call, Conversation, Tool, conversation

REGISTER = ("take a name", "register name take")
WHO = ("see who is there", "who list registered")
ASK = ("ask another agent", "ask question answer wait")
REPLY = ("answer a message", "reply answer message")
TELL = ("write to another agent", "send message")
CLAIM = ("claim a file", "claim edit")
RELEASE = ("release a file", "claim release")
CHECK = ("read what waits", "check read new mail wait")
SKILL = ("load a skill", "skill")
LOAD = ("load a tool", "tool search deferred select")
SHELL = ("run a command", "bash exec command shell run")
"""Intents: what is to be done, and the words that mean it."""

_SLOTS = {
    "recipient": "to recipient agent target",
    "text": "content message text body question",
    "id": "message id",
    "path": "resource path file",
    "name": "name instance own",
    "command": "command cmd",
    "seconds": "wait seconds",
    "skill": "skill name",
    "query": "query",
}
"""What an intent has to say, and the words by which a schema asks for it."""
_NAME_WEIGHT = 3
"""How much more a word counts in a tool's name than in its description."""


def words(text: str) -> set[str]:
    """The words of a name or sentence, small and in the singular."""
    parts = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    return {part.removesuffix("s") for part in parts}


@dataclass(frozen=True)
class Mail:
    """A message as the texts of the mail show it."""

    id: str
    sender: str
    head: str
    text: str

    def wants_answer(self) -> bool:
        return "wants an answer" in self.head

    def answers(self, number: str) -> bool:
        return re.search(rf"\bre {number}\b", self.head) is not None


def mails(seen: Conversation) -> list[Mail]:
    """All mail in view, each once."""
    form = r"\[mail (\w+)\] (id (\d+) from (\S+?) .*?)\n(.*?)\n\[end \1\]"
    found = re.finditer(form, seen.text(), re.DOTALL)
    return list({m[3]: Mail(m[3], m[4], m[2], m[5]) for m in found}.values())


@dataclass
class Reader:
    """``order`` is what its user writes, ``goals`` what it means, ``facts`` what it tells, by a word of a question."""

    order: str
    goals: Sequence["Goal"]
    facts: Mapping[str, str] = field(default_factory=dict)
    role: str = ""
    """What its user calls it, if anything."""
    answers: dict[str, str] = field(default_factory=dict)
    """What others answered, by what was asked for."""
    guesses: list[str] = field(default_factory=list)
    done: int = 0
    """How many goals are reached."""

    def __call__(self, request: Request) -> Sequence[Order]:
        seen = conversation(request.body)
        if self.order not in seen.text():
            return []
        for rule in (self.take_name, self.read_skill, self.read_notice, self.serve, self.follow_goals):
            order = rule(seen)
            if order is not None:
                return self.unless_stuck(seen, order)
        return []

    def unless_stuck(self, seen: Conversation, order: Order) -> Sequence[Order]:
        """What it has just done twice it does not do again."""
        if [(call.tool, call.arguments) for call in seen.calls[-2:]] == [order, order] and "wait_s" not in order[1]:
            self.guess(f"what to do in place of {order} after {seen.calls[-1].result!r}")
            return []
        return [order]

    # what it does by itself, because the texts say so

    def take_name(self, seen: Conversation) -> Order | None:
        """A server may say that one must take a name, if no line told it."""
        if self.name(seen) or "register first" not in " ".join(tool.whose for tool in seen.tools):
            return None
        last = next((call for call in reversed(seen.calls) if self.is_for(call, REGISTER)), None)
        if last is None:
            return self.act(seen, REGISTER, name=self.new_name(seen, ""))
        return self.act(seen, REGISTER, name=self.new_name(seen, last.result))

    def name(self, seen: Conversation) -> str:
        """Its own name, as a line or a result of a tool told it; empty if none did."""
        found = re.findall(r"under the name ([\w-]+)|Registered ([\w-]+)|Resumed ([\w-]+)", seen.text())
        return next((name for names in reversed(found) for name in names if name), "")

    def new_name(self, seen: Conversation, refused: str) -> str:
        offered = re.search(r"another name such as ([\w-]+)", refused)
        if offered:
            return offered[1]
        advice = " ".join(t.description for t in seen.tools if self.fits(t, REGISTER)) + refused
        if refused:
            self.guess(f"which other name may be free: {refused}")
        folder = re.search(r"(?:[Ww]orking directory|<cwd>)\W*(\S+/)?([\w-]+)", seen.text())
        if "folder" in advice or "project" in advice or "role" in advice:
            base = self.role or (folder[2] if folder else "")
        else:
            self.guess("what name to take")
            base = "agent"
        return f"{base}-2" if refused else base

    def read_skill(self, seen: Conversation) -> Order | None:
        """A skill for what the user ordered is read first."""
        listed = re.search(r"^- (\S+): Mail with other AI agents", seen.text(), re.MULTILINE)
        if listed is None or seen.said(listed[1]):
            return None
        return self.act(seen, SKILL, skill=listed[1])

    def read_notice(self, seen: Conversation) -> Order | None:
        """A text may say that mail waits, and how it is read."""
        notice = re.search(r"mail #(\d+)\. If it is not shown here, call check", seen.heard[-1])
        waits = re.search(r"call check\]", seen.heard[-1])
        if waits or (notice and notice[1] not in [mail.id for mail in mails(seen)]):
            return self.act(seen, CHECK)
        return None

    def serve(self, seen: Conversation) -> Order | None:
        """Answer those who wait for an answer, as its user told it to."""
        for mail in mails(seen):
            if not mail.wants_answer() or seen.gave(mail.id):
                continue
            for word, fact in self.facts.items():
                if word in mail.text:
                    return self.act(seen, REPLY, id=mail.id, text=fact)
            asked = re.search(r"release (\S+?)[.?,]?(?: |$)", mail.text)
            if asked:
                path = asked[1]
                if self.holds(seen, path):
                    return self.act(seen, RELEASE, path=path, choice="release")
                return self.act(seen, REPLY, id=mail.id, text=f"{path} is released.")
        return None

    def holds(self, seen: Conversation, path: str) -> bool:
        """Whether its last word about a claim was that it has it."""
        claims = [c for c in seen.calls if self.is_for(c, CLAIM) and c.holds(path.rpartition("/")[2])]
        told = [c.result for c in claims if re.search(r"Claimed|Released", c.result)]
        return bool(told) and "Claimed" in told[-1]

    # what its user ordered

    def follow_goals(self, seen: Conversation) -> Order | None:
        while self.done < len(self.goals):
            order = self.goals[self.done].next(self, seen)
            if order is None:
                return None  # nothing to do but wait
            if order is not REACHED:
                return order
            self.done += 1
        return None

    def peer(self, seen: Conversation, program: str) -> str | Order:
        """The name of the agent that runs in a program, or the call that shows who is there."""
        listed = next((c for c in reversed(seen.calls) if self.is_for(c, WHO) and program in c.result.lower()), None)
        if listed is None:
            return self.act(seen, WHO)
        rows = [row for row in _rows(listed.result) if program in json.dumps(row).lower()]
        if len(rows) != 1:
            self.guess(f"which name the agent in {program} has: {listed.result}")
        return str(rows[0]["id"])

    def wait(self, seen: Conversation) -> Order | None:
        """For mail. Who was told that mail comes by itself ends its turn; else it reads, and waits there."""
        if "mail comes by itself" in seen.text():
            return None
        return self.act(seen, CHECK, seconds=60)

    # tools

    def act(self, seen: Conversation, intent: tuple[str, str], **said: Any) -> Order:
        """The call of the tool that the words fit best."""
        tool = self.choose(seen, intent, said)
        if tool.deferred:
            return self.act(seen, LOAD, query=f"select:{tool.name}")
        return tool.name, self.fill(tool, intent, said)

    def choose(self, seen: Conversation, intent: tuple[str, str], said: dict[str, Any]) -> Tool:
        own = {"choice", "recipient", "id", "name", "path"} & said.keys() or intent in (WHO, CHECK)
        tools = [t for t in seen.tools if not own or _for_agents(t)]
        tools = [t for t in tools if t.name not in _reaching_others_only(seen) and fillable(t, said)]
        ranked = sorted(tools, key=lambda t: -_score(t, intent))
        if len(ranked) > 1 and _score(ranked[0], intent) == _score(ranked[1], intent):
            self.guess(f"how to {intent[0]}: by {ranked[0].name} or by {ranked[1].name}")
        return ranked[0]

    def fits(self, tool: Tool, intent: tuple[str, str]) -> bool:
        return bool(words(intent[1]) & words(_own_name(tool)))

    def is_for(self, call: Call, intent: tuple[str, str]) -> bool:
        """Whether a call of its own was for that intent."""
        return bool(words(intent[1]) & words(call.tool.rpartition("__")[2].removeprefix("ipc_")))

    def fill(self, tool: Tool, intent: tuple[str, str], said: dict[str, Any]) -> dict[str, Any]:
        """The arguments, each where the schema asks for it."""
        places, doubts = assigned(tool, said)
        for slot, others in doubts.items():
            self.guess(f"whether {tool.name} takes the {slot} as {' or '.join(others)}")
        for slot in said.keys() - places.keys():
            self.guess(f"where {tool.name} takes the {slot} to {intent[0]}")
        filled = {places[slot]: value for slot, value in said.items() if slot in places}
        return filled | ({"description": intent[0]} if "description" in tool.required else {})

    def guess(self, what: str) -> None:
        if what not in self.guesses:
            self.guesses.append(what)


def _own_name(tool: Tool) -> str:
    """A tool's name without its server's."""
    return tool.name.rpartition("__")[2].removeprefix("ipc_")


def _score(tool: Tool, intent: tuple[str, str]) -> int:
    wanted = words(intent[1])
    first = ". ".join(tool.description.split(". ")[:2])
    return _NAME_WEIGHT * len(wanted & words(_own_name(tool))) + len(wanted & words(first))


def _for_agents(tool: Tool) -> bool:
    """A tool for other agents is one that says so, or whose server does."""
    return "agent" in words(tool.whose.split(".")[0]) or "agent" in words(tool.description.split(".")[0])


def _reaching_others_only(seen: Conversation) -> set[str]:
    """Tools of which a text says that they reach only agents of one kind."""
    found = re.search(r"(\w+) and (\w+) (?:know|reach|see) only", seen.text())
    return set(found.groups()) if found else set()


def fillable(tool: Tool, said: dict[str, Any]) -> bool:
    """False for a tool that asks for what is not to be said, or for what only another tool could have told."""
    asked = " ".join(str(tool.properties[name].get("description", "")) for name in tool.required)
    places = {*assigned(tool, said)[0].values(), "description"}
    return set(tool.required) <= places and "(from " not in asked and "never call" not in tool.description


def assigned(tool: Tool, said: dict[str, Any]) -> tuple[dict[str, str], dict[str, list[str]]]:
    """(property of each part, for parts that two properties ask for alike: those). The clearest go first."""
    pairs = [
        (_affinity(name, p, tool, slot, value), slot, name)
        for slot, value in said.items()
        for name, p in tool.properties.items()
    ]
    places: dict[str, str] = {}
    doubts: dict[str, list[str]] = {}
    for rank, slot, name in sorted(pairs, key=lambda pair: -pair[0]):
        if not rank or slot in places or name in places.values():
            continue
        alike = [n for r, s, n in pairs if (r, s) == (rank, slot) and n not in places.values()]
        places[slot] = name
        if len(alike) > 1:
            doubts[slot] = alike
    return places, doubts


def _affinity(name: str, schema: dict[str, Any], tool: Tool, slot: str, value: Any) -> int:
    """How clearly a property asks for a part, by its name and description; 0: not at all."""
    if slot == "choice":
        return 9 * (value in schema.get("enum", ()))
    wanted = words(_SLOTS[slot])
    rank = 2 * len(wanted & words(name)) + len(wanted & words(str(schema.get("description", ""))))
    return rank and rank + (name in tool.required)


def _rows(result: str) -> Iterator[dict[str, Any]]:
    """The agents of a list, from JSON or from lines that begin with a name."""
    if result.startswith("{"):
        yield from json.loads(result)["instances"]
        return
    for line in result.splitlines():
        if "  " in line:
            yield {"id": line.split()[0], "line": line}


REACHED: Order = ("", {})
"""What a goal answers that is reached."""


class Goal:
    """A part of the user's order."""

    def next(self, reader: Reader, seen: Conversation) -> Order | None:
        """The next call; None while it waits for others; REACHED."""
        raise NotImplementedError
