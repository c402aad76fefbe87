"""Leases: mail that a connection was handed and has not acknowledged.

Theory of operation. A message is on lease from the moment a reply or push holds it. It comes back to its mailbox, before all
newer mail, by whichever is first:

    its time is over             ``expired_leases``       ``lease_s`` after it was handed out, or what ``touch`` asked for
    its connection ends          ``end_connection``       unless ``touch`` detached the lease from it
    it can't be delivered        ``return_undelivered``   nobody reads the reply
    its reader gives it back     ``return_leases``        ``release``
    its session is replaced      ``return_leases``        another takes over the name

Leases live in memory; a restart returns everything. A heap holds when they end. Entries of leases that ended early stay in it
until they come up or ``tidy`` drops them, so an acknowledgement costs no search.
"""

import heapq
from collections.abc import Iterable, Sequence
from math import inf

from broker.core.journal import Journal
from broker.core.permissions import leave
from broker.core.state import TIDY, Lease, Mailbox, Route, State
from broker.core.waits import drop_route


def add_lease(state: State, mailbox: Mailbox, message_id: int, lease: Lease, journal: Journal) -> None:
    journal.put(mailbox.leased, message_id, lease)
    heapq.heappush(state.lease_ends, (lease.until_s, mailbox.id, message_id))


def return_leases(mailbox: Mailbox, ids: Iterable[int], journal: Journal) -> int:
    """Return leased messages, so that the next fetch takes them first; how many were on lease."""
    ids = [i for i in dict.fromkeys(ids) if i in mailbox.leased]  # each once: a heap may hold equal entries
    if ids:
        for message_id in ids:
            journal.drop(mailbox.leased, message_id)
        seen = [i for i in ids if i <= mailbox.cursor]  # what was taken before older mail is still ahead of the cursor
        journal.set(mailbox, "returned", sorted([*mailbox.returned, *seen]))
    return len(ids)


def expired_leases(state: State, mono_s: float, journal: Journal) -> dict[int, list[int]]:
    """Ids of messages whose time is over, by mailbox id. They leave the heap and must be returned."""
    ended: dict[int, list[int]] = {}
    while state.lease_ends and state.lease_ends[0][0] <= mono_s:
        entry = heapq.heappop(state.lease_ends)
        journal.on_rollback(heapq.heappush, state.lease_ends, entry)
        until_s, mailbox_id, message_id = entry
        mailbox = state.by_id.get(mailbox_id)
        if mailbox is not None and _ends(mailbox.leased.get(message_id), until_s):
            ended.setdefault(mailbox_id, []).append(message_id)
    return ended


def _ends(lease: Lease | None, until_s: float) -> bool:
    return lease is not None and lease.until_s == until_s


def return_undelivered(state: State, mailbox: Mailbox, route: Route, ids: Sequence[int]) -> None:
    """A reply or push can't be delivered: its mail comes back, and nothing waits for its connection any more."""
    return_leases(mailbox, ids, Journal())  # never rolled back: what a commit decided has happened
    drop_route(state, mailbox, route)
    if ids and mailbox.awaited:
        state.given_back.add(mailbox.id)


def begin_connection(state: State, route: Route) -> None:
    """Announce a connection whose end ``end_connection`` will tell. Leases of other connections end by time alone."""
    state.connections[route] = set()


def note_use(state: State, route: Route, mailbox: Mailbox) -> None:
    """Note that a connection may hold mail of this mailbox, or wait for some."""
    used = state.connections.get(route)
    if used is not None:
        used.add(mailbox.id)
        if len(used) > len(state.by_id) + TIDY:
            used.intersection_update(state.by_id)


def end_connection(state: State, route: Route) -> None:
    """Return the mail that a connection held, and forget what waits for it. Call it between batches."""
    leave(state, route)
    journal = Journal()  # never rolled back
    state.feeds.pop(route, None)
    for mailbox_id in state.connections.pop(route, ()):
        mailbox = state.by_id.get(mailbox_id)
        if mailbox is not None:
            held = [i for i, lease in mailbox.leased.items() if lease.holder == route]
            drop_route(state, mailbox, route)
            if return_leases(mailbox, held, journal) and mailbox.awaited:
                state.given_back.add(mailbox_id)


def next_deadline(state: State) -> float:
    """The monotonic second at which a lease or a wait may end next; infinite if there is none."""
    if state.given_back:
        return 0.0
    leases, waits = state.lease_ends, state.wait_ends
    return min(leases[0][0] if leases else inf, waits[0][0] if waits else inf)


def tidy(state: State) -> None:
    """Drop entries of leases and waits that have ended early, once they may be half of a heap.

    Nearly all do: mail is acknowledged long before its lease ends. Without this a heap holds what was handed out in the last
    half minute, and of waits in the last hour. Call it while no journal is open: a rollback brings leases back.
    """
    leases, waits = state.tidy_at
    if len(state.lease_ends) > leases:
        held = {mailbox_id: box.leased for mailbox_id, box in state.by_id.items() if box.leased}
        none: dict[int, Lease] = {}
        state.lease_ends[:] = [e for e in state.lease_ends if _ends(held.get(e[1], none).get(e[2]), e[0])]
        heapq.heapify(state.lease_ends)
        leases = max(TIDY, 2 * len(state.lease_ends))
    if len(state.wait_ends) > waits:
        waiting = {(w.deadline_s, i) for i, box in state.by_id.items() for w in (*box.waiters, *box.askers)}
        state.wait_ends[:] = sorted(waiting)
        waits = max(TIDY, 2 * len(state.wait_ends))
    state.tidy_at = leases, waits
