"""What a name is at a time. This file alone decides it; whoever registers, renames, writes, imports or sweeps asks here.

    MAILBOX    somebody is registered under it
    FORWARDED  an old name that still leads to its mailbox after a rename (``forwards``)
    GROUP      mail to it goes to the members
    RESERVED   it stands for everyone, the service or a webhook, in any case of letters, so nobody can have it
    FREE       nobody has it; mail may wait for whoever will

A name that was registered before it was reserved stays its holder's until it is renamed or lapses.
"""

from enum import Enum, auto
from itertools import count
from typing import NamedTuple

from broker.core.batch import Batch
from broker.core.forwards import leads
from broker.core.state import Group, Mailbox, State
from broker.protocol.errors import IpcError
from broker.protocol.names import NAME_LENGTH, is_name, is_reserved


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
    if forward is not None and leads(forward, now_s):
        return Standing(Kind.FORWARDED, forward.mailbox, mailbox, until_s=forward.until_s)
    if group is not None:
        return Standing(Kind.GROUP, waiting=mailbox, group=group)
    if is_reserved(name):
        return Standing(Kind.RESERVED, waiting=mailbox)
    formerly = forward.mailbox if forward is not None and forward.mailbox.claimed else None
    return Standing(Kind.FREE, waiting=mailbox, formerly=formerly)


def wanted(batch: Batch, name: str) -> Standing:
    """A name that someone wants to have. Raises ``invalid_name`` or ``name_reserved`` where nobody can."""
    if not is_name(name):
        raise IpcError("invalid_name")
    found = standing(batch.state, name, batch.now.due_s)
    if found.kind is Kind.RESERVED:
        raise IpcError("name_reserved", name=name)
    return found


def free_beside(batch: Batch, name: str) -> str:
    """The name with a number, for whoever can't have it; one that nobody has and for which no mail waits."""
    numbered = (f"{name[: NAME_LENGTH - len(str(n)) - 1]}-{n}" for n in count(2))
    found = ((other, standing(batch.state, other, batch.now.due_s)) for other in numbered)
    return next(other for other, what in found if what.kind is Kind.FREE and what.waiting is None)


def known_mailbox(batch: Batch, name: str) -> Mailbox:
    """The mailbox that a name means, of those who are there or will be. Raises ``unknown_name``."""
    found = standing(batch.state, name, batch.now.due_s)
    mailbox = found.mailbox or found.waiting
    if mailbox is None:
        raise IpcError("unknown_name", name=name[:64], did_you_mean=resembling(batch, name, found))
    return mailbox


def resembling(batch: Batch, name: str, found: Standing) -> str | None:
    """What the writer of a free name probably meant: its agent's present name, or one that is typed nearly so."""
    return batch.state.nearby.miss(name) if found.formerly is None else found.formerly.name
