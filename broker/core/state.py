"""What the broker holds in memory: names, sessions, what is on lease, who waits. Bodies stay in the store.

Every change goes through a ``Journal`` that can take it back, so memory never runs ahead of the disk.
"""

from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple

from broker.core.facts import NOBODY, Activity, AgentWatch, Alarm, Body, Schedule, Step, Waking
from broker.core.link_state import SiteLink
from broker.core.near_names import Nearby

Route = bytes
"""The connection that a reply or push goes to, by ZeroMQ's identity or the stream door's."""
TIDY = 1024
"""Entries that a heap of ends, or a set of mailboxes, may have before it is looked through for stale ones."""


class Moment(NamedTuple):
    """When something happens. ``wall_s``: Unix time, for what people are shown. ``mono_s``: never steps, for leases and waits.

    ``term_s`` is the Unix time from which new terms are counted, ``due_s`` the one by which they end (``broker.core.terms``).
    """

    wall_s: float
    mono_s: float
    ahead_s: float = 0.0
    held_s: float = 0.0

    @property
    def term_s(self) -> float:
        return self.wall_s - self.ahead_s

    @property
    def due_s(self) -> float:
        return self.wall_s - self.ahead_s - self.held_s


class Landing:
    """When mail may reach an agent, as the store keeps it, in the order of ``broker.protocol.essentials.LANDINGS``.

    Plain numbers: an enum's members take twice as long to name and four times as long to compare, and each fetch does both.
    """

    AS_DIGEST, AT_END, AFTER_TOOL, AT_ONCE = range(-1, 3)


@dataclass(slots=True)
class Waiter:
    """A long poll: a ``check`` that waits for mail, or an ``ask`` that waits for the answer to one question."""

    route: Route
    request_id: Any
    session: "Session"
    deadline_s: float
    limit: int
    max_bytes: int
    land: int = Landing.AS_DIGEST
    question_id: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    """What the reply says beside its messages."""


@dataclass(slots=True)
class Subscription:
    """A connection that mail is pushed to, at most ``window`` unacknowledged messages at once."""

    route: Route
    request_id: Any
    session: "Session"
    window: int
    client: str = ""
    """The client's own connection, behind a door that serves many."""


@dataclass(slots=True)
class Watcher:
    """A connection that is told of new mail, without the mail."""

    route: Route
    request_id: Any
    session: "Session"
    client: str = ""
    former: bool = False
    """Of a process of 0.3.0 that wakes its agent at each push (``broker.core.ways``)."""
    resumes: bool = False
    """It starts the agent again, which is closed: no sign that anybody is there (``broker.core.resumes``)."""


class Lease(NamedTuple):
    """How long messages are out (monotonic second), and the connection that got them; None once they are ``touch``-ed."""

    until_s: float
    holder: Route | None
    since_s: float = 0.0
    """When they were handed out, in seconds of the terms' clock."""


class Notice(NamedTuple):
    """A message of ``system`` that tells of renames."""

    message_id: int
    written_s: float
    lines: tuple[str, ...]
    left_out: int
    """Earlier lines that did not fit."""


class Overdue(NamedTuple):
    """How far a mailbox has been searched for mail whose reader is away too long. Of this process's life."""

    upto: int = 0
    """Message id up to which all that is to be told is; ``urgent_upto`` likewise of mail that lands at once."""
    urgent_upto: int = 0
    next_s: float = 0.0
    """Unix time before which nothing more is overdue."""


NOT_SEARCHED = Overdue()


@dataclass(slots=True)
class Mailbox:
    """Where mail for one agent waits. A rename moves the name, not the mailbox."""

    id: int
    name: str
    claimed: bool
    created_s: float
    last_seen_s: float
    renamed_s: float = 0.0
    queued: int = 0
    """Unread messages, leased ones included."""
    maker: int = 0
    """Mailbox id of the sender whose message made this unclaimed mailbox; 0 where none did."""
    site: str = ""
    """Of a mailbox that stands for a name of another site: that site. Its unread mail is what is not read there yet."""
    hint: tuple[int, str | None] = (-1, None)
    """Of an unclaimed mailbox: the near-miss among registered names, as of ``State.names_version``."""
    # Delivery state of this process's life; a restart returns everything that is not acknowledged.
    cursor: int = 0
    """Highest message id handed out; what is above it has not been fetched yet."""
    returned: list[int] = field(default_factory=list)
    """Ids at or below the cursor that came back and go out first, oldest first."""
    leased: dict[int, Lease] = field(default_factory=dict)
    """By message id."""
    waiters: list[Waiter] = field(default_factory=list)
    askers: list[Waiter] = field(default_factory=list)
    subscription: Subscription | None = None
    session: "Session | None" = None
    """The live one: a name has one session."""
    ended: tuple[bytes, ...] = ()
    """Hashes of the tokens that were replaced last, the newest at the end."""
    notice: Notice | None = None
    """The unread notice of renames, if this process wrote it."""
    watchers: list[Watcher] = field(default_factory=list)
    urgent: set[int] = field(default_factory=set)
    """Unread messages that land at once; ``later`` those that wait for the end of a host's turn."""
    later: set[int] = field(default_factory=set)
    quiet: dict[int, float] = field(default_factory=dict)
    """Unread messages that come with other mail, by when they count as ``later``, in seconds of the terms' clock."""
    from_far: set[int] = field(default_factory=set)
    """Unread messages of other sites, which are told when they are read."""
    blocked: dict[int, str] = field(default_factory=dict)
    """Mailbox id of a sender to ``block`` or ``mute``."""
    # What its agent says of itself.
    presence: str = ""
    note: str = ""
    autocheck_min: int = 0
    reach: tuple[str, ...] = ()
    activity: Activity = field(default_factory=Activity)
    """What its hooks say of it."""
    overdue: Overdue = NOT_SEARCHED
    waking: Waking = NOBODY
    """By which ways it can be woken, and what is under way."""
    bounced_s: float = 0.0
    """When its agent was last told of own mail that does not arrive, in seconds of the terms' clock."""

    @property
    def available(self) -> int:
        """Unread messages that nobody holds."""
        return self.queued - len(self.leased)

    @property
    def loud(self) -> int:
        """Those of them that are not to come with other mail."""
        return self.available - (len(self.quiet.keys() - self.leased.keys()) if self.quiet else 0)

    @property
    def awaited(self) -> bool:
        """True if anybody waits for mail or is told of it."""
        return bool(self.waiters or self.subscription or self.watchers or self.askers)

    @property
    def attended(self) -> bool:
        """True if any of those act for its agent."""
        return bool(self.waiters or self.subscription or self.askers) or any(not w.resumes for w in self.watchers)


@dataclass(slots=True)
class Session:
    """The right to act as a mailbox. Only the SHA-256 of its token is kept."""

    token_hash: bytes
    mailbox: Mailbox
    uid: int | None
    created_s: float
    last_seen_s: float
    tokens: float
    """Of the rate limit's bucket, and ``refilled_s`` when it was last filled (monotonic)."""
    refilled_s: float
    replaced: bool = False
    body: Body | None = None
    """Who acts by it, where the door that registered it knows."""
    client: tuple[Route, str] | None = None
    """The connection that registered it, in this process's life: its route, and what the door calls its client."""


@dataclass(frozen=True, slots=True)
class NameForward:
    """An old name that leads to a mailbox until ``until_s`` (Unix time)."""

    mailbox: Mailbox
    until_s: float


@dataclass(slots=True)
class Group:
    """A name whose mail goes to all members. ``members`` are mailbox ids, in the order they joined, after a restart by id."""

    id: int
    name: str
    created_s: float
    members: dict[int, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claim:
    """An advisory lease on a resource, until ``until_s`` (Unix time) or the end of its holder's session."""

    id: int
    mailbox: Mailbox
    resource: str
    since_s: float
    until_s: float
    note: str


class Permission(NamedTuple):
    """A prompt of an agent's host, for which its hook waits here (``broker.core.permissions``). Never on disk."""

    id: str
    session: Session
    call: str
    tool: str
    shown: str
    """The tool's input, exactly as the host gave it; ``input`` a hash of both."""
    input: str
    asked_s: float
    """In seconds of the terms' clock."""
    until_s: float
    """Monotonic: when nobody waits any more, or a decision is forgotten."""
    route: Route
    request_id: Any
    beside: bool = False
    """Of a subagent: its leader's turn may end meanwhile."""
    decision: str = ""
    """``allow`` or ``deny`` once decided."""


@dataclass(slots=True)
class Alternation:
    """How often two mailboxes have answered each other since ``since_s`` (monotonic), and who wrote last."""

    last_sender: int
    since_s: float
    count: int = 0


class OwnerFeed(NamedTuple):
    """Who is told of changes. ``armed``: it has read since it was told."""

    request_id: Any
    armed: bool


@dataclass(slots=True)
class State:
    """Everything in memory, as loaded from the store at start."""

    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    """By present name."""
    by_id: dict[int, Mailbox] = field(default_factory=dict)
    forwards: dict[str, NameForward] = field(default_factory=dict)
    sessions: dict[bytes, Session] = field(default_factory=dict)
    """By hash of the token."""
    groups: dict[str, Group] = field(default_factory=dict)
    claims: dict[int, Claim] = field(default_factory=dict)
    permissions: dict[str, Permission] = field(default_factory=dict)
    """By id: those that wait, and those decided a while ago."""
    keeps: dict[tuple[str, str], float] = field(default_factory=dict)
    """(``group``, its name) or (``thread``, its number) to the seconds for which its read mail is kept."""
    pairs: dict[tuple[int, int], Alternation] = field(default_factory=dict)
    pauses: dict[tuple[int, int], float] = field(default_factory=dict)
    """What the person holds, since when (Unix time): two mailboxes, the lower id first, that can't write to each other; or 0
    and the mailbox whose agent nothing wakes."""
    last_message_id: int = 0
    last_group_id: int = 0
    last_claim_id: int = 0
    registered: int = 0
    """Number of mailboxes that somebody is registered as."""
    unborn: dict[int, int] = field(default_factory=dict)
    """Sender's mailbox id to the number of unclaimed mailboxes that its messages made."""
    nearby: Nearby = field(default_factory=Nearby)
    """Registered names and groups, of which a mistyped one may mean one."""
    crowded_s: float = 0.0
    """Monotonic second until which no silent name is looked for, since none was found."""
    next_expiry_s: float | None = None
    """Unix time at which the first message with an expiry of its own may be swept."""
    names_version: int = 0
    """Grows whenever a name is registered or changes."""
    last_mailbox_id: int = 0
    lease_ends: list[tuple[float, int, int]] = field(default_factory=list)
    """Heap of (monotonic second, mailbox id, message id); stale entries are skipped when they come up, see ``leases.tidy``."""
    wait_ends: list[tuple[float, int]] = field(default_factory=list)
    """Heap of (monotonic second, mailbox id) of long polls; stale entries are skipped likewise."""
    chore_s: float = 0.0
    """Monotonic second at which a chore is due (``broker.core.chores``), and when each is."""
    chores: dict[str, float] = field(default_factory=dict)
    quiet_boxes: set[int] = field(default_factory=set)
    """Ids of the mailboxes that may hold quiet mail."""
    waking: dict[int, float] = field(default_factory=dict)
    """Mailbox id to the monotonic second at which its waking goes on."""
    steps: list[Step] = field(default_factory=list)
    """Steps of messages that are not written yet."""
    untold: set[int] = field(default_factory=set)
    """Mailbox ids of senders that are to be told of mail that did not arrive (``broker.core.bounces``)."""
    digests: list[tuple[float, int]] = field(default_factory=list)
    """Heap of (Unix time, mailbox id): when each may be told; stale entries are skipped."""
    searched: list[int] = field(default_factory=list)
    """Ids of the mailboxes that the present search for overdue mail has still to look into."""
    dropped_bounces: int = 0
    """Digests for which a sender's mailbox had no room."""
    alarms: dict[int, Alarm] = field(default_factory=dict)
    """The open ones."""
    agent_watches: dict[int, AgentWatch] = field(default_factory=dict)
    schedules: dict[int, Schedule] = field(default_factory=dict)
    scheduled_ahead_s: float | None = None
    """``ahead_s`` of the moment when the cron times among them were last held against the wall clock."""
    looks: dict[int, float] = field(default_factory=dict)
    """Mailbox id to the monotonic second at which the radar looks at its agent."""
    chains: dict[int, int] = field(default_factory=dict)
    """Mailbox id to its last answer to an answer."""
    radar_begun: bool = False
    awake_s: float = 0.0
    """Term second at which the machine last woke, and by how much that clock is ahead of the monotonic one."""
    awake_gap_s: float | None = None
    stopped_s: float = 0.0
    """Term second at which the broker was last stopped in order."""
    watch_notices: dict[int, tuple[float, Notice | None, tuple[str, ...]]] = field(default_factory=dict)
    """By watch: when its watcher was last told (monotonic), the notice, and what has happened since."""
    last_alarm_id: int = 0
    last_watch_id: int = 0
    last_schedule_id: int = 0
    tidy_at: tuple[int, int] = (TIDY, TIDY)
    """Lengths at which these two are looked through for stale entries."""
    given_back: set[int] = field(default_factory=set)
    """Ids of mailboxes that got mail back between batches; the next batch hands it to whoever waits."""
    connections: dict[Route, set[int]] = field(default_factory=dict)
    """Connections whose end will be told, with the ids of the mailboxes of which each may hold mail or wait for some."""
    feeds: dict[Route, OwnerFeed] = field(default_factory=dict)
    """Connections of the owner that are told that something has changed."""
    touched: set[int] = field(default_factory=set)
    """Ids of mailboxes whose last_seen is newer than the store's."""
    expired_far: list[tuple[int, int, str]] = field(default_factory=list)
    """(mailbox id, message id, why) of letters of other sites that expired, of which those are still to be told."""
    link: SiteLink = field(default_factory=SiteLink)
    """Mail between this site and others."""

    def chore_at(self, name: str, mono_s: float) -> None:
        """Have a chore run at that monotonic second, or earlier. A run too many does no harm, so this is not undone."""
        self.chores[name] = min(mono_s, self.chores.get(name, inf))
        self.chore_s = min(self.chore_s, mono_s)
