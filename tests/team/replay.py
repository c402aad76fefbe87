"""A team's hour, or any script of messages, replayed in simulated time: the real core, and a model of hosts and their turns.

A turn begins with a prompt of a user or with a notice, calls a tool every few seconds, and lasts until what it reads has been
dealt with. Hooks add mail as those of bridges/hosts do: all at the beginning of a turn, what may land there after a tool call,
urgent mail at the turn's end, which it holds up to three times. What was added is acknowledged at the agent's next event.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from broker.core.leases import next_deadline
from tests.engine import Core
from tests.team.hour import Hour, Line
from tests.team.rules import Rules

TOOLS_S = (5.0, 15.0)
"""Seconds between tool calls."""
NOTICED_S = 0.3
"""Seconds from a notice to the turn that it begins (measured at hosts)."""
READING_S = 8.0
"""Seconds that a turn takes that a notice begins, and ``EACH_S`` for each message that it reads."""
EACH_S = 4.0
HOLDS = 3
FETCH = 50
HELD_S = 600


@dataclass
class Arrival:
    """One message on its way to one reader."""

    line: Line
    reader: str
    stored_s: float
    land: str
    working: bool
    """The reader's turn ran when it was stored, and ``turn`` is that turn's number, or that of the last one."""
    turn: int
    in_context_s: float = inf
    read_in: int = 0
    """The number of the turn in which it was read."""


@dataclass
class Counts:
    """What was counted."""

    wakes: int = 0
    injected: int = 0
    """Characters that hooks and notices gave to models, and ``own`` those of the mail's own texts among them."""
    own: int = 0
    arrivals: list[Arrival] = field(default_factory=list)
    by_kind: dict[str, int] = field(default_factory=dict)
    """Wakes by the kinds of messages that were the newest then."""


class Agent:
    """A host's session and its model."""

    def __init__(self, replay: "Replay", name: str) -> None:
        self.replay, self.name = replay, name
        self.working = False
        self.turn = 0
        self.ends: dict[int, float] = {}
        """When each turn ended."""
        self.stops: list[float] = []
        """Moments at which hooks could bring urgent mail: tool calls and ends of turns."""
        self.tool_s: dict[int, list[float]] = {}
        """When tools were called, by turn."""
        self.until_s = 0.0
        self.waits_until_s = 0.0
        self.held = 0
        self.shown: list[str] = []
        self.prompts = 0
        self.pending = False

    # turns

    def prompt(self, length_s: float) -> None:
        """Its user writes; a running turn is finished first."""
        if self.working:
            self.replay.at(self.until_s + 1, lambda: self.prompt(length_s))
        else:
            self.begin(length_s)

    def begin(self, length_s: float) -> None:
        self.working, self.turn, self.held = True, self.turn + 1, 0
        self.until_s = self.replay.now_s + length_s
        self.hook("turn_began")
        self.give(self.fetch(self.replay.rules.all_at))
        self._next_tool(self.turn)
        self._end_at(self.turn)

    def _next_tool(self, turn: int) -> None:
        self.replay.at(self.replay.now_s + self.replay.rng.uniform(*TOOLS_S), lambda: self.tool(turn))

    def _end_at(self, turn: int) -> None:
        self.replay.at(self.until_s, lambda: self.end(turn))

    def tool(self, turn: int) -> None:
        if turn != self.turn or not self.working:
            return
        if self.replay.now_s >= self.waits_until_s:
            self.hook("tool_ended")
            self.tool_s.setdefault(turn, []).append(self.replay.now_s)
            self.stops.append(self.replay.now_s)
            self.give(self.fetch("tool"))
        self._next_tool(turn)

    def end(self, turn: int) -> None:
        if turn != self.turn or not self.working:
            return
        if self.replay.now_s < self.until_s:
            self._end_at(turn)
            return
        self.settle()
        self.stops.append(self.replay.now_s)
        if self.held < HOLDS and (urgent := self.fetch("interrupt")):
            self.held += 1
            if self.replay.rules.broker_wakes:
                urgent += self.fetch(None)
            self.until_s = self.replay.now_s + READING_S
            self.give(urgent)
            self._end_at(turn)
            return
        self.working = False
        self.ends[turn] = self.replay.now_s
        self.hook("turn_ended")
        self.replay.rest(self)

    def hook(self, event: str) -> None:
        """Any event proves that the model has what it was given before."""
        self.settle()
        self.replay.core.ask(self.name, "report", event=event)

    def tools(self, turn: int) -> list[float]:
        return self.tool_s.get(turn, [])

    def settle(self) -> None:
        if self.shown:
            self.replay.core.ask(self.name, "ack", ids=self.shown)
            self.shown = []

    # mail

    def fetch(self, land: str | None) -> list[dict[str, Any]]:
        fields = {} if land is None else {"land": land}
        return self.replay.core.check(self.name, limit=FETCH, **fields)

    def give(self, messages: list[dict[str, Any]]) -> None:
        """What a hook or a tool's result adds, and what its model does about it."""
        if not messages:
            return
        replay = self.replay
        text, ids = replay.rules.digest(messages, 0, self.name, replay.core.wall_s)
        assert len(ids) == len(messages), "the hour's mail fits a turn"
        replay.counts.injected += len(text)
        replay.counts.own += sum(len(m["message"]["content"]) for m in messages)
        replay.core.ask(self.name, "touch", ids=ids, lease_s=HELD_S)
        self.shown += ids
        for message_id in ids:
            replay.has_read(self, message_id)
        self.until_s = max(self.until_s, replay.now_s + EACH_S * len(ids))

    def wake(self, count: dict[str, Any]) -> None:
        """A notice is given. It begins a turn, or is read in the running one."""
        replay = self.replay
        text = replay.rules.notice(count)
        replay.counts.wakes += 1
        replay.counts.injected += len(text)
        replay.log.append((replay.now_s, self.name, "wake", text))
        replay.at(replay.now_s + NOTICED_S, self.noticed)

    def noticed(self) -> None:
        if not self.working:
            self.begin(READING_S)

    def write(self, line: Line) -> None:
        """A model writes in a turn. If none runs, its user has begun one."""
        if not self.working:
            self.begin(READING_S)
        self.until_s = max(self.until_s, self.replay.now_s + 2)
        self.replay.send(self, line)


class Replay:
    """One replay."""

    def __init__(self, core: Core, rules: Rules, hour: Hour, names: tuple[str, ...], seed: str = "turns") -> None:
        self.core, self.rules, self.hour = core, rules, hour
        self.rng = random.Random(seed)  # noqa: S311 (a model, which is to do the same each time)
        self.start_s = core.mono_s
        self.now_s = 0.0
        self.counts = Counts()
        self.log: list[tuple[float, str, str, str]] = []
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self.sent: dict[int, str] = {}
        """Number of a line to the id of its message."""
        self._arrivals: dict[tuple[str, str], Arrival] = {}
        core.register(*names)
        self.agents = {name: Agent(self, name) for name in names}
        for name in names:
            fields = {"ways": ["socket"]} if rules.broker_wakes else {}
            core.ask(name, "subscribe", notify=True, id=f"watch {name}", **fields)
            core.ask(name, "report", event="began")
        for turn in hour.turns:
            self.at(turn.at_s, lambda t=turn: self.agents[t.agent].prompt(t.length_s))  # type: ignore[misc]
        for line in hour.lines:
            if line.cause is None:
                self.at(line.at_s, lambda one=line: self.agents[one.sender].write(one))  # type: ignore[misc]

    def at(self, second: float, do: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._heap, (second, self._number, do))

    def run(self) -> Counts:
        """Until nothing is left to happen."""
        state = self.core.engine.state
        while True:
            due_s = self._heap[0][0] if self._heap else inf
            broker_s = min(state.chore_s, next_deadline(state))
            waits = any(mailbox.queued for mailbox in state.by_id.values())
            if due_s == inf and (broker_s == inf or not waits):
                return self.counts
            if due_s + self.start_s <= broker_s:
                self.now_s, next_s = max(self.now_s, due_s), due_s + self.start_s
            else:
                self.now_s, next_s = max(self.now_s, broker_s - self.start_s), broker_s
            self.core.wall_s += max(0.0, next_s - self.core.mono_s)
            self.core.mono_s = max(self.core.mono_s, next_s)
            if state.chore_s <= self.core.mono_s:
                self.core.late += self.core.keep_house()
            elif next_deadline(state) <= self.core.mono_s:
                self.core.batch()
            else:
                heapq.heappop(self._heap)[2]()
            self._hear()

    # the broker's pushes, and replies that come later

    def _hear(self) -> None:
        while self.core.late:
            body = self.core.late.pop(0)
            kind, _, name = str(body.get("id")).partition(" ")
            if kind == "watch":
                self._told(self.agents[name], body)
            elif kind == "ask":
                self._answered(self.agents[name.partition(" ")[0]], body)

    def _told(self, agent: Agent, push: dict[str, Any]) -> None:
        if push["push"] == "wake":
            self.core.ask(agent.name, "way", way=push["way"], result="given")
            agent.wake(push)
        elif not self.rules.broker_wakes and not agent.pending:
            agent.pending = True
            self.at(self.now_s + self.rules.gather_s, lambda: self._gathered(agent, bool(push["interrupt"])))

    def _gathered(self, agent: Agent, urgent: bool) -> None:
        """Of 0.3.0: who watches gives notice once the burst is over, at the end of a running turn unless it is urgent."""
        if agent.working and not urgent:
            return  # ``rest`` goes on
        agent.pending = False
        count = self.core.ask(agent.name, "count")
        if count["unread"]:
            agent.wake(count)

    def rest(self, agent: Agent) -> None:
        """A turn is over."""
        if agent.pending:
            self.at(self.now_s + 1.0, lambda: self._gathered(agent, False))

    def _answered(self, agent: Agent, reply: dict[str, Any]) -> None:
        agent.waits_until_s = self.now_s
        agent.until_s = max(self.now_s + 2, min(agent.until_s, self.now_s + 20))
        agent.give(reply["messages"])

    # the script

    def send(self, agent: Agent, line: Line) -> None:
        message: dict[str, Any] = {"content": line.text}
        if line.data is not None:
            message["data"] = line.data
        fields: dict[str, Any] = {**line.fields, "message": message}
        if (land := self.rules.landing(fields.get("land"))) is not None:
            fields["land"] = land
        client_id = f"line-{line.number}"
        fields |= {"message_id": client_id}
        if line.replies:
            assert line.cause is not None
            self.core.ask(agent.name, "reply", to_message=self.sent[line.cause], **fields)
        elif line.asks:
            if line.waits_s:
                agent.waits_until_s = self.now_s + line.waits_s
                agent.until_s = max(agent.until_s, agent.waits_until_s + 2)
                fields |= {"wait_s": line.waits_s, "id": f"ask {agent.name} {line.number}"}
            self.core.ask(agent.name, "ask", to_id=line.to, **fields)
        elif line.to == "all":
            self.core.ask(agent.name, "broadcast", **fields)
        else:
            self.core.ask(agent.name, "send", to_id=line.to, **fields)
        number = str(self.core.engine.state.last_message_id)
        self.sent[line.number] = number
        for reader in self.agents.values():
            if reader is not agent and line.to in ("all", reader.name):
                arrival = Arrival(line, reader.name, self.now_s, self._landing(reader, number), reader.working, reader.turn)
                self._arrivals[number, reader.name] = arrival
                self.counts.arrivals.append(arrival)

    def _landing(self, reader: Agent, number: str) -> str:
        mailbox = self.core.engine.state.mailboxes[reader.name]
        special = {"interrupt": mailbox.urgent, "turn": mailbox.later, "digest": mailbox.quiet}
        return next((word for word, ids in special.items() if int(number) in ids), "tool")

    def has_read(self, agent: Agent, message_id: str) -> None:
        arrival = self._arrivals[message_id, agent.name]
        if arrival.in_context_s < inf:
            return
        arrival.in_context_s, arrival.read_in = self.now_s, agent.turn
        for line in self.hour.after(arrival.line.number):
            if line.sender == agent.name:
                agent.until_s = max(agent.until_s, self.now_s + line.delay_s + 2)
                self.at(self.now_s + line.delay_s, lambda one=line: agent.write(one))  # type: ignore[misc]
