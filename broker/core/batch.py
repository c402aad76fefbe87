"""A batch: requests that are decided and committed together, what they change, and their replies."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from broker.core.facts import Body
from broker.core.journal import Journal
from broker.core.state import Mailbox, Moment, Route, Session, State
from broker.core.storage import Store
from broker.home.settings import Settings
from broker.protocol.errors import IpcError

DOOR_LENGTH = 32


class Incoming(NamedTuple):
    """One request as it was received. ``door`` names the door in logs."""

    route: Route
    body: dict[str, Any]
    token: str | None
    door: str


class Frame(NamedTuple):
    """Requests of one connection that came together. A token or door holds for the requests behind it, until the next one."""

    route: Route
    bodies: list[dict[str, Any]]
    token: str | None = None
    door: Any = "zmq"

    def requests(self) -> Iterator[Incoming]:
        """The requests one by one."""
        token, door = self.token, self.door
        for body in self.bodies:
            token, door = body.get("session_token", token), body.get("door", door)
            yield Incoming(self.route, body, token, str(door)[:DOOR_LENGTH])

    def cut(self, count: int) -> "tuple[Frame, Frame]":
        """The first ``count`` requests, and those behind them."""
        token, door = self.token, self.door
        for body in self.bodies[:count]:
            token, door = body.get("session_token", token), body.get("door", door)
        return self._replace(bodies=self.bodies[:count]), Frame(self.route, self.bodies[count:], token, door)


class Answers(NamedTuple):
    """Replies to one connection that carry no mail."""

    route: Route
    bodies: list[dict[str, Any]]


class Outgoing(NamedTuple):
    """One reply or push. If it can't be delivered, the mail in it returns to its mailbox (``leases.return_undelivered``)."""

    route: Route
    body: dict[str, Any]
    mailbox: Mailbox | None = None
    mail_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth a log line; the core does not log."""

    name: str
    fields: dict[str, Any]


@dataclass(slots=True)
class Arrival:
    """New mail of one batch in one mailbox. Without senders it is mail that came back."""

    senders: dict[str, bool] = field(default_factory=dict)
    """True where no budget of wakes holds for the mail."""
    land: int = 0


class TimeBudget(Protocol):
    """How long each connection may hold a batch. The core has no clock; the caller supplies one through this.

    Frames of one connection are adjacent.
    """

    def enter(self, route: Route) -> bool:
        """Begin a frame; False if the connection's time is used up. The first frame of a connection is always begun."""
        ...

    def over(self) -> bool: ...


def unseen(_pid: int, _started: str) -> None:
    """No process can be seen."""


def childless(_pid: int) -> None:
    """No child of a process can be seen."""


def nobody(_route: Route) -> bool:
    """No person is known."""
    return False


def anybody(_route: Route) -> bool:
    """Nothing is known against anybody."""
    return True


def no_cron(_spec: str, _after_s: float) -> float:
    """No cron time can be counted."""
    raise IpcError("no_cron")


@dataclass(slots=True)
class Batch:
    """The state that it changes, the rows that it writes, the replies that are sent once all is committed."""

    state: State
    store: Store
    settings: Settings
    now: Moment
    make_token: Callable[[], str]
    budget: TimeBudget | None = None
    """None: no limit of time."""
    is_alive: Callable[[int, str], bool | None] = unseen
    """Whether the process of that id and start lives; None where that can't be seen."""
    is_person: Callable[[Route], bool] = nobody
    """Whether a person types at the other end of a connection. What a request says of it counts only there."""
    youngest_child_s: Callable[[int], float | None] = childless
    """Seconds since the last living child of a process began; None if it has none, or where that can't be seen."""
    may_decide: Callable[[Route], bool] = anybody
    """Whether the owner's key at a connection is no agent's, as far as the system tells."""
    next_cron: Callable[[str, float], float] = no_cron
    """The first Unix time after another that cron fields name, or ``inf``. Raises ``bad_request``, ``no_cron``."""
    lives: dict[Body, bool | None] = field(default_factory=dict)
    """What ``is_alive`` said in this batch: a list of all agents asks it of each."""
    rest: list[Frame] = field(default_factory=list)
    """Frames for which there was no time."""
    aside: list[tuple[Session | None, Incoming]] = field(default_factory=list)
    """Reads of the archive. They have been checked, and wait until nobody else does."""
    journal: Journal = field(default_factory=Journal)
    out: list[Outgoing | Answers] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    request: Incoming | None = None
    """The request that is being decided."""
    ignored: dict[str, Any] = field(default_factory=dict)
    """The ``ignored`` of its reply, if there is any."""
    woken: dict[int, Mailbox] = field(default_factory=dict)
    """Mailboxes that have new mail for a waiter or subscriber."""
    arrived: dict[int, Arrival] = field(default_factory=dict)
    """What watchers are told, by mailbox id."""
    answered: list[tuple[Mailbox, int, int]] = field(default_factory=list)
    """(asker's mailbox, question, answer) of questions answered in this batch for which an ``ask`` waits."""

    def event(self, name: str, /, **fields: Any) -> None:
        """Note something for the log, with the request that is being decided."""
        if self.request is not None:
            fields = {"door": self.request.door, "request": self.request.body.get("id"), **fields}
        self.events.append(Event(name, fields))

    def chore_at(self, name: str, mono_s: float) -> None:
        self.state.chore_at(name, mono_s)

    def note_arrival(self, mailbox: Mailbox, sender: str, land: int, *, passes: bool = False) -> None:
        """New mail of which the watchers of a mailbox are told. ``passes``: no budget of wakes holds for it."""
        arrival = self.arrived.setdefault(mailbox.id, Arrival())
        arrival.senders[sender] = passes or arrival.senders.get(sender, False)
        arrival.land = max(arrival.land, land)

    def offer_again(self, mailbox: Mailbox) -> None:
        """Mail came back: hand it to whoever waits, and tell the watchers."""
        self.wake(mailbox)
        if mailbox.watchers:
            self.arrived.setdefault(mailbox.id, Arrival())

    def wake(self, mailbox: Mailbox) -> None:
        if mailbox.awaited:
            self.woken[mailbox.id] = mailbox
