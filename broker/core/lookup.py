"""Stored messages, for those who wrote or got them and nobody else."""

from typing import Any

import msgpack

from broker.core.batch import Batch
from broker.core.endings import Ending, end_mail
from broker.core.letters import extra_of, recipients
from broker.core.link import GONE
from broker.core.state import Mailbox
from broker.core.storage import StoredMessage
from broker.core.values import parse_id
from broker.protocol.errors import IpcError


def party_letter(batch: Batch, mailbox: Mailbox, text_id: str, *, own: bool = False) -> StoredMessage:
    """The message of an id, if the mailbox wrote it (with ``own``), or wrote or got it.

    An id is what ``check`` showed or ``send`` answered, which for the writer may be a client-made one. Raises
    ``unknown_message`` for all else, so that nobody learns which ids of others exist.
    """
    for message_id in candidates(batch, mailbox, text_id, own=own):
        letter = batch.store.find_letter(message_id)
        if letter is None:
            continue
        if letter.sender_id == mailbox.id or (not own and has(batch, mailbox, letter.id)):
            return letter
    raise IpcError("unknown_message", id=text_id)


def has(batch: Batch, mailbox: Mailbox, message_id: int) -> bool:
    """True where the mailbox got the message, and it was not withdrawn."""
    copy = batch.store.copy_of(mailbox.id, message_id)
    return copy is not None and copy.ending != Ending.WITHDRAWN


def candidates(batch: Batch, mailbox: Mailbox, text_id: str, *, own: bool) -> list[int]:
    """Message ids that a text may stand for: of one's own messages the client's id goes first."""
    found = []
    sent = batch.store.find_sent(mailbox.id, text_id)
    if sent is not None:
        found.append(sent.id)
    number = parse_id(text_id)
    if number is not None:
        found.insert(len(found) if own else 0, number)
    return found


def take_back(batch: Batch, sender: Mailbox, message_id: int, why: str) -> int:
    """Withdraw the copies that have been handed to nobody; how many there were."""
    letter = batch.store.find_letter(message_id)
    assert letter is not None and letter.sender_id == sender.id
    gone, sites = 0, set[str]()
    for mailbox in recipients(batch, letter):
        copy = batch.store.copy_of(mailbox.id, message_id)
        out = may_have_left(batch, mailbox, message_id) if mailbox.site else message_id in mailbox.leased
        if not out and copy is not None and copy.queued and not copy.attempts:
            end_mail(batch, mailbox, [message_id], Ending.WITHDRAWN, why)
            gone += 1
            sites.add(mailbox.site)
    for site in sites - {""}:
        batch.store.take_back(site, message_id, msgpack.packb(GONE))
    return gone


def may_have_left(batch: Batch, mailbox: Mailbox, message_id: int) -> bool:
    """Whether mail for another site may be out of reach: its number was published, or is there already."""
    waits = [row for row in batch.store.outbox_of(message_id) if row.site == mailbox.site and not row.tries]
    return not waits or (mailbox.site, waits[0].seq) in batch.state.link.flying


def next_hop(batch: Batch, letter: StoredMessage) -> int:
    hops = int(extra_of(letter).get("hops", 0)) + 1
    if hops > batch.settings.hop_limit:
        raise IpcError("too_many_hops", limit=batch.settings.hop_limit)
    return hops


def passed_on(batch: Batch, letter: StoredMessage) -> dict[str, Any]:
    """What a message says that passes this one on: who wrote it first, and how often it was."""
    first = extra_of(letter).get("forwarded") or {"from": letter.sender, "id": str(letter.id), "at": letter.created_s}
    return {"forwarded": first, "hops": next_hop(batch, letter)}
