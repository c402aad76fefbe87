"""Endings: how unread mail leaves a mailbox without having been read.

    queued --its time is over-----------------> expired     (``broker.server.upkeep``)
           --its sender takes it back---------> withdrawn
           --its reader does not want it------> refused
           --handed out ``attempt_limit`` times,
             or its handler failed for good---> dead

What ended stays for ``read_ttl_s``, as read mail does. All but what its sender withdrew are dead letters
(``broker.core.dead_letters``), and their senders are told (``broker.core.bounces``).
"""

import heapq

from broker.core.batch import Batch
from broker.core.far_word import tell_of
from broker.core.journal import Journal
from broker.core.mailboxes import forget_mail
from broker.core.state import Mailbox, Moment, State

GATHERED_S = 2.0
"""Seconds for which what a sender is to be told is gathered: a sweep of a mailbox takes several steps."""


class Ending:
    """Words for the ways in which mail ends, as the store keeps them."""

    EXPIRED, WITHDRAWN, REFUSED, DEAD = "expired", "withdrawn", "refused", "dead"


ENDINGS = frozenset({Ending.EXPIRED, Ending.WITHDRAWN, Ending.REFUSED, Ending.DEAD})


def end_mail(batch: Batch, mailbox: Mailbox, ids: list[int], ending: str, why: str) -> None:
    """These unread messages leave the mailbox, and their senders are to be told, unless they did it themselves."""
    batch.store.end_mail(mailbox.id, ids, ending, why, batch.now.term_s)
    forget_mail(mailbox, set(ids), batch.journal)
    if ending != Ending.WITHDRAWN:
        letters = [letter for i in ids if (letter := batch.store.find_letter(i)) is not None]
        senders = {one.sender_id for one in letters} - {0, mailbox.id}
        far = {i for i in senders if (sender := batch.state.by_id.get(i)) is not None and sender.site}
        owe(batch.state, senders - far, batch.now, batch.journal)
        for letter in letters if far else ():
            if letter.sender_id in far:
                tell_of(batch, mailbox, letter, "ended", ending=ending, why=why)


def owe(state: State, sender_ids: set[int], now: Moment, journal: Journal) -> None:
    """Note that these senders are to be told of what the store's ``untold`` has."""
    new = sender_ids - state.untold
    for sender_id in new:
        journal.add(state.untold, sender_id)
        heapq.heappush(state.digests, (now.due_s + GATHERED_S, sender_id))  # of no effect if this is taken back
    if new:
        state.chore_at("bounces", now.mono_s + GATHERED_S)
