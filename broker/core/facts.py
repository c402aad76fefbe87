"""Records of what is known of agents and their mail: who acts for a name, what it does, what each message went through.

Doors and hooks report; the modules named for these records decide by them. Times are of the terms' clock
(``broker.core.terms``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple


class Body(NamedTuple):
    """Who acts for a name: a terminal, a host's session, or a program."""

    kind: str
    """``terminal``, ``session`` or ``process``."""
    key: str
    """Tells it from others of its kind."""
    pid: int = 0
    """The process that lives as long as it does; 0 where none is known. ``started`` tells it from a later one of that id."""
    started: str = ""
    host: str = ""
    """The host's program, such as ``claude``."""
    where: str = ""
    """Its folder or terminal, for people."""
    person: bool = False
    """A person types there."""


WAITING = ("permission", "answer")
"""States of an activity in which the agent waits for its user."""


class Call(NamedTuple):
    """A tool call that an agent's hooks told of."""

    key: str
    """The host's id of it."""
    tool: str
    """Empty once it has ended, while the word that it began may still be on its way."""
    since_s: float


class Activity(NamedTuple):
    """What an agent's hooks told last."""

    state: str = ""
    """``working``, ``idle``, ``permission`` or ``answer`` (it waits for its user), ``failed``, ``ended``; empty if untold."""
    since_s: float = 0.0
    """When it came to this state, and ``event_s`` when its hooks last told anything."""
    event_s: float = 0.0
    tool: str = ""
    """The tool that was told of last: of ``permission``, the one that waits."""
    calls: tuple[Call, ...] = ()
    """Tool calls that run, and those that ended a moment ago."""
    digest: str = ""
    """A hash of the last tool call and its result, and how many times in a row it was the same."""
    repeats: int = 0
    acted_s: float = 0.0
    """When it last did something else than read and write mail."""

    def running(self) -> tuple[Call, ...]:
        return tuple(call for call in self.calls if call.tool)


class Way(NamedTuple):
    """A way by which a process can wake an agent. ``broker.core.ways`` has its states."""

    name: str
    route: bytes
    """Connection and id of the subscribe request that armed it."""
    request_id: Any
    look_s: float
    """Seconds that a notice has to bring a sign of the agent."""
    state: str
    since_s: float
    result: str = ""
    """What became of the last notice."""
    former: bool = False
    """Of a process of 0.3.0, which is told of mail, decides by itself, and answers nothing."""
    senders: tuple[str, ...] = ()
    """Only mail of these goes by it (``broker.core.resumes``); empty: everybody's."""
    after: int = 0
    """Of that mail only what is newer than this message."""


class Waking(NamedTuple):
    """What is under way to wake the agent of a mailbox. Times are monotonic seconds, but for those of ways."""

    ways: tuple[Way, ...] = ()
    """The best first."""
    due_s: float = inf
    """When a notice of mail that no notice told of is due."""
    urgent: bool = False
    """Some of it lands at once; ``land`` is when."""
    land: int = 0
    in_turn: bool = False
    """It came while a turn ran."""
    ended_s: float = -inf
    """When the last turn ended."""
    causes: Mapping[int, bool] = {}
    """Mailbox ids of its senders. True: no budget of wakes holds for it."""
    called: str = ""
    """The way whose notice is outstanding."""
    until_s: float = inf
    """By when a sign must come; 0 if none will."""
    answered: bool = False
    """Its process says that the notice was given."""
    announced: Mapping[int, bool] = {}
    """The senders of mail that notices told of, since the agent last gave a sign."""
    told: frozenset[int] = frozenset()
    """Those who know that no way wakes it."""
    given: tuple[tuple[float, tuple[int, ...]], ...] = ()
    """The wakes of the last hour, and whose mail caused each."""


NOBODY = Waking()
"""Of a mailbox that nobody can wake."""


class Mark:
    """Steps of a message on its way to one reader, as the store keeps them."""

    PUSHED, LEFT, ANSWERED, BOUNCED, AWAY = range(1, 6)
    """LEFT: when a copy that was imported had been read or had ended. AWAY: its site said that its reader is away."""


class Step(NamedTuple):
    """One step of one message on its way to one reader."""

    message_id: int
    mailbox_id: int
    step: int
    way: str
    """Of a push: how. Empty for other steps."""
    at_s: float
    inferred: bool = False
    """Concluded, not seen."""


@dataclass(slots=True)
class Alarm:
    """Something that does not go on. Open until ``closed_s``."""

    id: int
    mailbox_id: int
    kind: str
    other: str
    """The other agent of a loop, or the tool."""
    since_s: float
    """When the trouble began, and ``opened_s`` when it was found."""
    opened_s: float
    evidence: str
    told: int = 0
    """0: nobody, 1: those who wait for the agent, 2: the person."""
    closed_s: float | None = None


class AgentWatch(NamedTuple):
    """A wish to be told when something happens to an agent."""

    id: int
    mailbox_id: int
    """Who is told."""
    subject_id: int
    """Mailbox id of the agent that is watched; 0 for any."""
    events: tuple[str, ...]
    resource: str
    """A pattern of paths or resources; empty for all."""
    once: bool
    wake: bool
    until_s: float


class Schedule(NamedTuple):
    """Mail that is due later. Its text and data are in the store alone. ``broker.core.schedules`` says what its fields mean."""

    id: int
    mailbox_id: int
    """Whose it is."""
    client_id: str | None
    """The id that its request was made under."""
    to_name: str
    land: int
    kind: str
    """``at``, ``in``, ``every`` or ``cron``."""
    spec: str
    """What was asked: a Unix time, seconds, or five fields."""
    next_s: float
    """When it is due: ``at`` and ``cron`` in Unix time of the wall clock, the others in seconds of the terms' clock."""
    until_s: float | None
    """Unix time of the wall clock."""
    created_s: float
    sent_count: int = 0
    """How many messages it has sent, and the last one's id."""
    last_id: int | None = None
    failed: str = ""
    """Why the last one was refused."""
