"""What a name is at a time. This file alone decides it; whoever registers, renames, writes, imports or sweeps asks here.

    MAILBOX    somebody is registered under it
    FORWARDED  an old name that leads to its mailbox for some time after a rename
    GROUP      mail to it goes to the members
    RESERVED   it stands for everyone or for the service, in any case of letters, so nobody can have it
    FREE       nobody has it; mail may wait for whoever will

A name that was registered before it was reserved stays its holder's until it is renamed or lapses. A forward whose time is
over decides nothing any more: it only tells who writes to the old name what its agent is called now.
"""

from enum import Enum, auto
from typing import NamedTuple

from broker.core.journal import Journal
from broker.core.state import Group, Mailbox, NameForward, State
from broker.protocol.names import is_reserved


class Kind(Enum):
    """What a name is."""

    MAILBOX = auto()
    FORWARDED = auto()
    GROUP = auto()
    RESERVED = auto()
    FREE = auto()


class Standing(NamedTuple):
    """A name at a time."""

    kind: Kind
    mailbox: Mailbox | None = None
    """Who is registered, or to whom an old name leads."""
    waiting: Mailbox | None = None
    """The mailbox in which mail waits for whoever will have the name."""
    group: Group | None = None
    until_s: float = 0.0
    """Unix time at which a forward ends."""
    formerly: Mailbox | None = None
    """Of a free name: the registered mailbox that had it last."""


def standing(state: State, name: str, now_s: float) -> Standing:
    """What the name is at that Unix time."""
    mailbox, forward, group = state.mailboxes.get(name), state.forwards.get(name), state.groups.get(name)
    if mailbox is not None and mailbox.claimed:
        return Standing(Kind.MAILBOX, mailbox)
    if forward is not None and forward.until_s > now_s:
        return Standing(Kind.FORWARDED, forward.mailbox, mailbox, until_s=forward.until_s)
    if group is not None:
        return Standing(Kind.GROUP, waiting=mailbox, group=group)
    if is_reserved(name):
        return Standing(Kind.RESERVED, waiting=mailbox)
    formerly = forward.mailbox if forward is not None and forward.mailbox.claimed else None
    return Standing(Kind.FREE, waiting=mailbox, formerly=formerly)


# changes, each of which can be taken back


def enter(state: State, mailbox: Mailbox, journal: Journal) -> None:
    """A mailbox under a name that had none."""
    journal.put(state.mailboxes, mailbox.name, mailbox)
    journal.put(state.by_id, mailbox.id, mailbox)
    _count(state, mailbox, journal, 1)


def leave(state: State, mailbox: Mailbox, journal: Journal) -> None:
    """A mailbox ends."""
    _count(state, mailbox, journal, -1)
    journal.drop(state.mailboxes, mailbox.name)
    journal.drop(state.by_id, mailbox.id)


def set_claimed(state: State, mailbox: Mailbox, journal: Journal, *, claimed: bool) -> None:
    """Somebody registers as the mailbox, or nobody is it any more."""
    if mailbox.claimed != claimed:
        _count(state, mailbox, journal, -1)
        journal.set(mailbox, "claimed", claimed)
        journal.set(mailbox, "maker", 0)
        _count(state, mailbox, journal, 1)


def give_name(state: State, mailbox: Mailbox, name: str, journal: Journal) -> None:
    """A registered mailbox has another name."""
    _count(state, mailbox, journal, -1)
    journal.drop(state.mailboxes, mailbox.name)
    journal.set(mailbox, "name", name)
    journal.put(state.mailboxes, name, mailbox)
    _count(state, mailbox, journal, 1)


def enter_group(state: State, group: Group, journal: Journal) -> None:
    journal.put(state.groups, group.name, group)
    state.nearby.add(group.name)
    journal.on_rollback(state.nearby.discard, group.name)


def leave_group(state: State, group: Group, journal: Journal) -> None:
    journal.drop(state.groups, group.name)
    state.nearby.discard(group.name)
    journal.on_rollback(state.nearby.add, group.name)


def _count(state: State, mailbox: Mailbox, journal: Journal, by: int) -> None:
    """Registered names are counted, and can be meant by a near-miss; of the others those are counted that a send has made."""
    if mailbox.claimed:
        journal.set(state, "registered", state.registered + by)
        do, undo = (state.nearby.add, state.nearby.discard) if by > 0 else (state.nearby.discard, state.nearby.add)
        do(mailbox.name)
        journal.on_rollback(undo, mailbox.name)
    elif mailbox.maker:
        left = state.unborn.get(mailbox.maker, 0) + by
        if left > 0:
            journal.put(state.unborn, mailbox.maker, left)
        else:
            journal.drop(state.unborn, mailbox.maker)


def forgotten_forwards(state: State, keep_s: float, most: int, now_s: float) -> list[str]:
    """Lapsed forwards that need not be kept: their agent is gone, they are old, or they are too many, the oldest then."""
    lapsed = sorted((f.until_s, name) for name, f in state.forwards.items() if f.until_s <= now_s)
    over = len(lapsed) - most

    def is_over(position: int, until_s: float, forward: NameForward) -> bool:
        return position < over or until_s <= now_s - keep_s or not forward.mailbox.claimed

    return [name for i, (until_s, name) in enumerate(lapsed) if is_over(i, until_s, state.forwards[name])]
