"""Long polls: requests that wait for mail, for at most the ``wait_s`` that they name."""

import heapq
from typing import Any, Literal

from broker.core.journal import Journal
from broker.core.state import Mailbox, Route, State, Waiter
from broker.core.ways import end_route

WAITS = 1000
"""Long polls of one mailbox at once, and likewise watchers."""
_QUEUES: tuple[Literal["waiters"], Literal["askers"]] = ("waiters", "askers")


def add_waiter(state: State, mailbox: Mailbox, waiter: Waiter, journal: Journal) -> Waiter | None:
    """Add a long poll; returns the oldest one where more than ``WAITS`` would wait, which is taken off."""
    queue: Literal["waiters", "askers"] = "askers" if waiter.question_id else "waiters"
    # a retry of the same request takes the place of the first
    others = [w for w in getattr(mailbox, queue) if (w.route, w.request_id) != (waiter.route, waiter.request_id)]
    oldest = others.pop(0) if len(others) >= WAITS else None
    journal.set(mailbox, queue, [*others, waiter])
    heapq.heappush(state.wait_ends, (waiter.deadline_s, mailbox.id))
    return oldest


def ended_waiters(state: State, mono_s: float, journal: Journal) -> list[tuple[Mailbox, Waiter]]:
    """Take off and return the long polls whose time is over."""
    ended: list[tuple[Mailbox, Waiter]] = []
    while state.wait_ends and state.wait_ends[0][0] <= mono_s:
        entry = heapq.heappop(state.wait_ends)
        journal.on_rollback(heapq.heappush, state.wait_ends, entry)
        mailbox = state.by_id.get(entry[1])
        if mailbox is None:
            continue
        for queue in _QUEUES:
            waiting: list[Waiter] = getattr(mailbox, queue)
            over = [w for w in waiting if w.deadline_s <= mono_s]
            if over:
                journal.set(mailbox, queue, [w for w in waiting if w.deadline_s > mono_s])
                ended.extend((mailbox, w) for w in over)
    return ended


def drop_waiters(mailbox: Mailbox, route: Route, request_id: Any, journal: Journal) -> list[Waiter]:
    """Take off and return the long polls that one request of a connection began."""
    ended: list[Waiter] = []
    for queue in _QUEUES:
        waiting: list[Waiter] = getattr(mailbox, queue)
        mine = [w for w in waiting if (w.route, w.request_id) == (route, request_id)]
        if mine:
            journal.set(mailbox, queue, [w for w in waiting if w not in mine])
            ended += mine
    return ended


def drop_route(state: State, mailbox: Mailbox, route: Route) -> None:
    """Forget a connection's subscription, watchers, ways and long polls. Call it between batches."""
    if mailbox.subscription is not None and mailbox.subscription.route == route:
        mailbox.subscription = None
    mailbox.waiters = [w for w in mailbox.waiters if w.route != route]
    mailbox.askers = [w for w in mailbox.askers if w.route != route]
    mailbox.watchers = [w for w in mailbox.watchers if w.route != route]
    if mailbox.waking.ways:
        end_route(state, mailbox, route)
