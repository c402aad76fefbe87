"""What the broker holds in memory: names, sessions and what is out on lease. Bodies stay in the store.

Memory never runs ahead of the disk: every change goes through a ``Journal`` that can take it back. A batch that can't be
committed is undone as a whole; a request that is refused is undone alone.
"""

import heapq
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from broker.core.journal import Journal
from broker.core.near_names import Nearby

Route = bytes
"""The connection that a reply or push goes to, by ZeroMQ's identity or the stream door's."""
WAITS = 1000
"""Long polls of one mailbox at once, and watchers."""
_TIDY = 1024


@dataclass(frozen=True, slots=True)
class Moment:
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


TURN, TOOL, INTERRUPT = 0, 1, 2
"""Landings as the store keeps them, the mildest first (see ``broker.protocol.actions.LANDINGS``)."""


@dataclass(slots=True)
class Waiter:
    """A ``check`` that waits for mail, or an ``ask`` that waits for the answer to one question (long poll)."""

    route: Route
    request_id: Any
    session: "Session"
    deadline_s: float
    limit: int
    max_bytes: int
    land: int = TURN
    question_id: int = 0
    fields: dict[str, Any] = field(default_factory=dict)
    """What the reply of an ``ask`` says beside its answer."""


@dataclass(slots=True)
class Subscription:
    """A connection that gets its mail pushed, at most ``window`` unacknowledged messages at once."""

    route: Route
    request_id: Any
    session: "Session"
    window: int


@dataclass(slots=True)
class Watcher:
    """A connection that is told of new mail and gets none."""

    route: Route
    request_id: Any
    session: "Session"


class Lease(NamedTuple):
    """How long messages are out (monotonic second), and the connection that got them; None once they are ``touch``-ed."""

    until_s: float
    holder: Route | None


class Notice(NamedTuple):
    """What ``system`` told of renames in one message."""

    message_id: int
    written_s: float
    lines: tuple[str, ...]
    left_out: int
    """Earlier lines that did not fit."""


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
    """Of an unclaimed mailbox that a send has made: the sender's mailbox."""
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
    """The last one of renames that this process has written to it, if it is unread."""
    watchers: list[Watcher] = field(default_factory=list)
    urgent: set[int] = field(default_factory=set)
    """Unread messages that land at once; ``later`` those that wait for the end of a turn."""
    later: set[int] = field(default_factory=set)
    blocked: dict[int, str] = field(default_factory=dict)
    """Mailbox id of a sender to ``block`` or ``mute``."""
    # What its agent says of itself.
    presence: str = ""
    note: str = ""
    autocheck_min: int = 0
    reach: tuple[str, ...] = ()

    @property
    def available(self) -> int:
        """Unread messages that nobody holds."""
        return self.queued - len(self.leased)

    @property
    def awaited(self) -> bool:
        """Whether anybody would be told of new mail."""
        return bool(self.waiters or self.subscription or self.watchers or self.askers)


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


@dataclass(slots=True)
class Alternation:
    """How two mailboxes alternate: turns since ``since_s`` (monotonic), and who wrote last."""

    last_sender: int
    since_s: float
    turns: int = 0


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
    pairs: dict[tuple[int, int], Alternation] = field(default_factory=dict)
    last_message_id: int = 0
    last_group_id: int = 0
    last_claim_id: int = 0
    registered: int = 0
    """Mailboxes that somebody has."""
    unborn: dict[int, int] = field(default_factory=dict)
    """Sender's mailbox id to how many mailboxes of names that nobody has its sends have made."""
    nearby: Nearby = field(default_factory=Nearby)
    """Registered names and groups, of which a mistyped one may mean one."""
    crowded_s: float = 0.0
    """Until this monotonic second no silent name is looked for: none was there a moment ago."""
    next_expiry_s: float | None = None
    """Unix time at which the first message with an expiry of its own may be swept."""
    names_version: int = 0
    """Grows whenever a name is registered or changes."""
    last_mailbox_id: int = 0
    lease_ends: list[tuple[float, int, int]] = field(default_factory=list)
    """Heap of (monotonic second, mailbox id, message id); stale entries are skipped when they come up, see ``tidy``."""
    wait_ends: list[tuple[float, int]] = field(default_factory=list)
    """Heap of (monotonic second, mailbox id) of long polls; stale entries are skipped likewise."""
    tidy_at: tuple[int, int] = (_TIDY, _TIDY)
    """Lengths at which these two are looked through for stale entries."""
    given_back: set[int] = field(default_factory=set)
    """Ids of mailboxes that got mail back between turns; the next turn hands it to whoever waits."""
    connections: dict[Route, set[int]] = field(default_factory=dict)
    """Connections whose end will be told, with the ids of the mailboxes of which each may hold mail or wait for some."""
    touched: set[int] = field(default_factory=set)
    """Ids of mailboxes whose last_seen is newer than the store's."""

    def begin_connection(self, route: Route) -> None:
        """A connection is there whose end will be told by ``end_connection``; of others leases end by time alone."""
        self.connections[route] = set()

    def note_use(self, route: Route, mailbox: Mailbox) -> None:
        """The end of a connection concerns this mailbox."""
        used = self.connections.get(route)
        if used is not None:
            used.add(mailbox.id)
            if len(used) > len(self.by_id) + _TIDY:
                used.intersection_update(self.by_id)

    def end_connection(self, route: Route) -> None:
        """Mail that a connection held comes back, and nothing waits for it any more. To be called between batches."""
        journal = Journal()  # never rolled back
        for mailbox_id in self.connections.pop(route, ()):
            mailbox = self.by_id.get(mailbox_id)
            if mailbox is not None:
                held = [i for i, lease in mailbox.leased.items() if lease.holder == route]
                self.drop_route(mailbox, route)
                if self.return_leases(mailbox, held, journal) and mailbox.awaited:
                    self.given_back.add(mailbox_id)

    def add_lease(self, mailbox: Mailbox, message_id: int, lease: Lease, journal: Journal) -> None:
        journal.put(mailbox.leased, message_id, lease)
        heapq.heappush(self.lease_ends, (lease.until_s, mailbox.id, message_id))

    def return_leases(self, mailbox: Mailbox, ids: list[int], journal: Journal) -> int:
        """Put leased messages back where the next fetch takes them first; return how many were leased."""
        ids = [i for i in dict.fromkeys(ids) if i in mailbox.leased]  # each once: a heap may hold equal entries
        if ids:
            for message_id in ids:
                journal.drop(mailbox.leased, message_id)
            seen = [i for i in ids if i <= mailbox.cursor]  # what was taken out of turn is still ahead of the cursor
            journal.set(mailbox, "returned", sorted([*mailbox.returned, *seen]))
        return len(ids)

    def forget_mail(self, mailbox: Mailbox, ids: set[int], journal: Journal) -> None:
        """These unread messages have left the mailbox, for whatever reason."""
        for message_id in ids & mailbox.leased.keys():
            journal.drop(mailbox.leased, message_id)
        if mailbox.returned:
            journal.set(mailbox, "returned", sorted(i for i in mailbox.returned if i not in ids))
        for special in (mailbox.urgent, mailbox.later):
            for message_id in ids & special if special else ():
                journal.discard(special, message_id)
        if mailbox.notice is not None and mailbox.notice.message_id in ids:
            journal.set(mailbox, "notice", None)
        journal.set(mailbox, "queued", mailbox.queued - len(ids))

    def drop_route(self, mailbox: Mailbox, route: Route) -> None:
        """A connection is gone: nothing waits for it any more."""
        if mailbox.subscription is not None and mailbox.subscription.route == route:
            mailbox.subscription = None
        mailbox.waiters = [w for w in mailbox.waiters if w.route != route]
        mailbox.askers = [w for w in mailbox.askers if w.route != route]
        mailbox.watchers = [w for w in mailbox.watchers if w.route != route]

    def add_waiter(self, mailbox: Mailbox, waiter: Waiter, journal: Journal) -> Waiter | None:
        """Let a long poll wait; the oldest of its kind if that must end, since so many wait."""
        queue = "askers" if waiter.question_id else "waiters"
        # a retry of the same request takes the place of the first
        others = [w for w in getattr(mailbox, queue) if (w.route, w.request_id) != (waiter.route, waiter.request_id)]
        oldest = others.pop(0) if len(others) >= WAITS else None
        journal.set(mailbox, queue, [*others, waiter])
        self.note_use(waiter.route, mailbox)
        heapq.heappush(self.wait_ends, (waiter.deadline_s, mailbox.id))
        return oldest

    def ended_waiters(self, mono_s: float, journal: Journal) -> list[tuple[Mailbox, Waiter]]:
        """Long polls whose time is over; they leave their mailbox."""
        ended: list[tuple[Mailbox, Waiter]] = []
        while self.wait_ends and self.wait_ends[0][0] <= mono_s:
            entry = heapq.heappop(self.wait_ends)
            journal.on_rollback(heapq.heappush, self.wait_ends, entry)
            mailbox = self.by_id.get(entry[1])
            if mailbox is None:
                continue
            for queue in ("waiters", "askers"):
                waiting: list[Waiter] = getattr(mailbox, queue)
                over = [w for w in waiting if w.deadline_s <= mono_s]
                if over:
                    journal.set(mailbox, queue, [w for w in waiting if w.deadline_s > mono_s])
                    ended.extend((mailbox, w) for w in over)
        return ended

    def next_deadline(self) -> float | None:
        """The monotonic second at which a lease or a wait may end next, or None."""
        if self.given_back:
            return 0.0
        heads = [heap[0][0] for heap in (self.lease_ends, self.wait_ends) if heap]
        return min(heads, default=None)

    def tidy(self) -> None:
        """Drop entries of leases and waits that have ended early, once they may be half of a heap.

        Nearly all do: mail is acknowledged long before its lease ends. Without this a heap holds what was handed out in the
        last half minute, and of waits in the last hour. To be called while no journal is open: a rollback brings leases back.
        """
        leases, waits = self.tidy_at
        if len(self.lease_ends) > leases:
            held = {mailbox_id: box.leased for mailbox_id, box in self.by_id.items() if box.leased}
            none: dict[int, Lease] = {}
            self.lease_ends[:] = [e for e in self.lease_ends if _ends(held.get(e[1], none).get(e[2]), e[0])]
            heapq.heapify(self.lease_ends)
            leases = max(_TIDY, 2 * len(self.lease_ends))
        if len(self.wait_ends) > waits:
            waiting = {(w.deadline_s, i) for i, box in self.by_id.items() for w in (*box.waiters, *box.askers)}
            self.wait_ends[:] = sorted(waiting)
            waits = max(_TIDY, 2 * len(self.wait_ends))
        self.tidy_at = leases, waits

    def expired_leases(self, mono_s: float, journal: Journal) -> dict[int, list[int]]:
        """Message ids by mailbox id whose lease has ended; they leave the heap."""
        ended: dict[int, list[int]] = {}
        while self.lease_ends and self.lease_ends[0][0] <= mono_s:
            entry = heapq.heappop(self.lease_ends)
            journal.on_rollback(heapq.heappush, self.lease_ends, entry)
            until_s, mailbox_id, message_id = entry
            mailbox = self.by_id.get(mailbox_id)
            if mailbox is not None and _ends(mailbox.leased.get(message_id), until_s):
                ended.setdefault(mailbox_id, []).append(message_id)
        return ended


def _ends(lease: Lease | None, until_s: float) -> bool:
    return lease is not None and lease.until_s == until_s
