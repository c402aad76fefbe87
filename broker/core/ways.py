"""The ways by which an agent can be woken: which are armed, in which order they are tried, what became of the last notice.

Theory of operation. A process beside a host arms ways for its agent's mailbox (``subscribe`` with ``ways``). Each way goes
through the states of this table, and through no others:

    off --armed--> armed --given--> tried --sign------------------> armed
     ^               ^                |---no_sign, could_not------> failed --new_mail, sign--> armed
     '--disarmed-----'                '---host_refused------------> refused --sign-----------> armed

A way that failed is tried again for the next mail. One that the host refused rests until its session shows a sign of life.
Two processes may arm the same way; the second is ``off`` until the first has gone. ``wakes`` says when a way is given a notice.
"""

from collections.abc import Callable
from math import inf
from typing import Any

from broker.core.batch import Batch
from broker.core.facts import Waking, Way
from broker.core.state import Mailbox, Route, State
from broker.core.values import iso_term

ORDER = ("socket", "channel", "monitor", "queue", "rewake")
"""The best first. A way that is not named here comes behind them, so that a new host's needs no change of the broker."""
RESUME = "resume"
"""Starts a closed session again (``broker.core.resumes``). The last of all."""
GATHER_S = 0.3
"""Seconds for which a burst of mail is gathered into one notice."""
CHORE = "wakes"
"""The chore that gives notices (``wakes.go_on``)."""


class Is:
    """States of a way."""

    OFF, ARMED, TRIED, FAILED, REFUSED = ALL = ("off", "armed", "tried", "failed", "refused")


class Happens:
    """What happens to a way.

    ``given``: its process was handed a notice. ``could_not`` and ``host_refused``: that process says so. ``sign``: the agent's
    turn began, its tools ran, or it took mail. ``no_sign``: nothing of that in time.
    """

    ARMED, GIVEN, COULD_NOT, HOST_REFUSED, SIGN, NO_SIGN, NEW_MAIL, DISARMED = ALL = (
        "armed", "given", "could_not", "host_refused", "sign", "no_sign", "new_mail", "disarmed",
    )  # fmt: skip

    RESULTS = frozenset({GIVEN, COULD_NOT, HOST_REFUSED, SIGN, NO_SIGN})
    """Those that say what became of a notice."""


MOVES: dict[tuple[str, str], str] = {
    (Is.OFF, Happens.ARMED): Is.ARMED,
    (Is.FAILED, Happens.ARMED): Is.ARMED,
    (Is.REFUSED, Happens.ARMED): Is.ARMED,
    (Is.ARMED, Happens.GIVEN): Is.TRIED,
    **dict.fromkeys(((state, Happens.COULD_NOT) for state in (Is.ARMED, Is.TRIED)), Is.FAILED),
    **dict.fromkeys(((state, Happens.HOST_REFUSED) for state in (Is.ARMED, Is.TRIED, Is.FAILED)), Is.REFUSED),
    **dict.fromkeys(((state, Happens.SIGN) for state in (Is.TRIED, Is.FAILED, Is.REFUSED)), Is.ARMED),
    (Is.TRIED, Happens.NO_SIGN): Is.FAILED,
    (Is.FAILED, Happens.NEW_MAIL): Is.ARMED,
    **dict.fromkeys(((state, Happens.DISARMED) for state in Is.ALL), Is.OFF),
}
"""What follows from an event in a state. A pair that is not here changes nothing."""


def moved(way: Way, event: str, at_s: float) -> Way:
    """The way after the event."""
    state = MOVES.get((way.state, event), way.state)
    if state == way.state:
        return way
    return way._replace(state=state, since_s=at_s, result=event if event in Happens.RESULTS else way.result)


def rank(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER) + (name == RESUME)


def keep(batch: Batch, mailbox: Mailbox, waking: Waking) -> None:
    batch.journal.set(mailbox, "waking", waking)


def go_on_at(batch: Batch, mailbox: Mailbox, mono_s: float) -> None:
    """Look at the mailbox at that monotonic second, or earlier."""
    due = batch.state.waking
    if mono_s < due.get(mailbox.id, mono_s + 1):
        batch.journal.put(due, mailbox.id, mono_s)
    batch.chore_at(CHORE, mono_s)


def all_after(waking: Waking, event: str, at_s: float) -> Waking:
    return waking._replace(ways=tuple(moved(way, event, at_s) for way in waking.ways))


def one_after(waking: Waking, name: str, event: str, at_s: float) -> Waking:
    """The holder of that way after the event; those behind it stay off."""
    held = next((way for way in waking.ways if way.name == name and way.state != Is.OFF), None)
    if held is None:
        return waking
    return waking._replace(ways=tuple(moved(way, event, at_s) if way is held else way for way in waking.ways))


def arm(batch: Batch, mailbox: Mailbox, wanted: list[Way]) -> list[str]:
    """Arm a connection's ways in place of what its same request had armed; the names of those that it holds now."""
    at_s = batch.now.term_s
    mine = {(way.route, way.request_id, way.name): way for way in wanted}
    whose = {key[:2] for key in mine}
    before = without(mailbox.waking, lambda way: key_of(way) not in mine and key_of(way)[:2] in whose, at_s)
    known = {key_of(way) for way in before.ways}
    rows = [moved(way, Happens.ARMED, at_s) if key_of(way) in mine and way.state != Is.OFF else way for way in before.ways]
    rows += [way for key, way in mine.items() if key not in known]
    rows.sort(key=lambda way: rank(way.name))  # of one name the earlier one stays first
    waking = before._replace(ways=first_of_each(rows, at_s))
    keep(batch, mailbox, waking)
    return [way.name for way in waking.ways if key_of(way) in mine and way.state != Is.OFF]


def key_of(way: Way) -> tuple[Route, Any, str]:
    return way.route, way.request_id, way.name


def without(waking: Waking, meant: Callable[[Way], bool], at_s: float) -> Waking:
    """Disarm ways. A notice whose giver goes before it has answered is as good as not given.

    Who takes a way over tells of the mail that waits, as who arms it does: its holder before may have been unable to.
    """
    ways = [way for way in waking.ways if not meant(way)]
    if len(ways) == len(waking.ways):
        return waking
    left = waking._replace(ways=first_of_each(ways, at_s))
    if waking.called:
        lost = not waking.answered and all(way.state != Is.TRIED for way in left.ways)
        return left._replace(until_s=0.0) if lost else left
    taken_over = any(was.state == Is.OFF != now.state for was, now in zip(ways, left.ways, strict=True))
    return left._replace(due_s=0.0) if taken_over else left


def causes_of(waking: Waking) -> dict[int, bool]:
    """Whose mail waits, told already or not, by the sender's mailbox; True where no budget of wakes holds."""
    both = (waking.announced, waking.causes)
    return {sender: any(causes.get(sender) for causes in both) for causes in both for sender in causes}


def first_of_each(ways: list[Way], at_s: float) -> tuple[Way, ...]:
    """Of each name the first way is armed if it is off."""
    seen: set[str] = set()
    rows = []
    for way in ways:
        rows.append(way if way.name in seen or way.state != Is.OFF else moved(way, Happens.ARMED, at_s))
        seen.add(way.name)
    return tuple(rows)


def disarm(batch: Batch, mailbox: Mailbox, meant: Callable[[Way], bool]) -> None:
    left = without(mailbox.waking, meant, batch.now.term_s)
    if left is not mailbox.waking:
        keep(batch, mailbox, left)
        if not left.until_s or not left.due_s:
            go_on_at(batch, mailbox, batch.now.mono_s)


def end_route(state: State, mailbox: Mailbox, route: Route) -> None:
    """Disarm the ways of a connection that has ended. Call it between batches."""
    left = without(mailbox.waking, lambda way: way.route == route, mailbox.last_seen_s)
    if left is not mailbox.waking:
        mailbox.waking = left
        if not left.until_s or not left.due_s:
            state.waking[mailbox.id] = state.chores[CHORE] = state.chore_s = 0.0


def sign(batch: Batch, mailbox: Mailbox) -> None:
    """The agent shows that it is at work: what was said has been heeded, and every way is good again."""
    waking = mailbox.waking
    if not waking.called and not waking.told and all(way.state in (Is.ARMED, Is.OFF) for way in waking.ways):
        return
    # a prompt's hook takes the mail right after it has reported the turn
    due_s = max(waking.due_s, batch.now.mono_s + GATHER_S) if waking.due_s < inf else inf
    heeded = all_after(waking, Happens.SIGN, batch.now.term_s)
    keep(batch, mailbox, heeded._replace(called="", until_s=inf, due_s=due_s, announced={}, told=frozenset()))
    if due_s < inf:
        go_on_at(batch, mailbox, due_s)


def names(mailbox: Mailbox) -> list[str]:
    """The ways that somebody holds, the best first."""
    return [way.name for way in mailbox.waking.ways if way.state != Is.OFF]


def shown(batch: Batch, mailbox: Mailbox) -> list[dict[str, Any]]:
    """The table of a mailbox, for people and receipts."""
    rows = ((way, iso_term(batch, way.since_s)) for way in mailbox.waking.ways if way.state != Is.OFF)
    return [{"way": way.name, "state": way.state, "since": since, "result": way.result} for way, since in rows]
