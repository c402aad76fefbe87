"""Which way tells an agent of its mail next: the best armed one that any of the mail may go by.

A way may be there for the mail of some senders alone. Who wrote a message is known from what was stored with it: ``person`` is
a person who was seen at a terminal or page of this machine, ``webhook-SOURCE`` and ``NAME@SITE`` are names that no agent here
can take, and a remote key writes under its own name alone. What an agent says of itself counts for nothing.
"""

from math import inf
from typing import NamedTuple

import msgpack

from broker.core.batch import Batch
from broker.core.facts import Way
from broker.core.state import Mailbox
from broker.core.ways import Is, causes_of

PERSON = "person"
"""Among the senders: a person of this machine."""


class Next(NamedTuple):
    """The way that speaks next, and in how many seconds."""

    way: str
    in_s: float


def next_of(batch: Batch, mailbox: Mailbox) -> Next | None:
    """Which way speaks next, and in how many seconds; None if nothing is under way."""
    waking, at_s = mailbox.waking, batch.state.waking.get(mailbox.id)
    if at_s is None or not (waking.called or waking.due_s < inf) or (way := speaks(batch, mailbox)) is None:
        return None
    return Next(way.name, max(0.0, at_s - batch.now.mono_s))


def speaks(batch: Batch, mailbox: Mailbox) -> Way | None:
    """The best armed way that any of the mail that waits may go by."""
    for way in mailbox.waking.ways:
        if way.state == Is.ARMED and (not way.senders or newest_for(batch, mailbox, way)):
            return way
    return None


def newest_for(batch: Batch, mailbox: Mailbox, way: Way) -> int:
    """The newest message that the way may tell of; 0 for none. Mail of others costs no look at it."""
    if not way.senders:
        return batch.store.newest(mailbox.id)
    if not any_named(batch, mailbox, way):
        return 0
    waits = batch.store.fetch(mailbox.id, mailbox.returned, mailbox.cursor, batch.now.due_s)
    told = (mail for mail in waits if mail.id > way.after and mail.id not in mailbox.leased and mail.id not in mailbox.quiet)
    return max((mail.id for mail in told if is_by(mail.sender, mail.extra, way.senders)), default=0)


def writers_of(batch: Batch, mailbox: Mailbox) -> dict[str, bool]:
    """The senders of all mail that waits. Where a way is there for a person's mail, True for those who wrote as a person."""
    found = dict.fromkeys(batch.store.senders(mailbox.id), False)
    if any(PERSON in way.senders for way in mailbox.waking.ways):
        for mail in batch.store.fetch(mailbox.id, mailbox.returned, mailbox.cursor, batch.now.due_s):
            found[mail.sender] = found.get(mail.sender, False) or is_by(mail.sender, mail.extra, (PERSON,))
    return found


def any_named(batch: Batch, mailbox: Mailbox, way: Way) -> bool:
    """Whether any of the causes may be one of the way's senders. A cause without a mailbox may be anybody."""
    writers = ((passes, batch.state.by_id.get(sender_id)) for sender_id, passes in causes_of(mailbox.waking).items())
    return any(passes or writer is None or writer.name in way.senders for passes, writer in writers)


def is_by(sender: str, extra: bytes | None, senders: tuple[str, ...]) -> bool:
    """Whether one of the senders wrote the message. A person of another site is known by the address alone."""
    if sender in senders and sender != PERSON:  # which an agent may be called
        return True
    return PERSON in senders and extra is not None and "@" not in sender and bool(msgpack.unpackb(extra).get(PERSON))
