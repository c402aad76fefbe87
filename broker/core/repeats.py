"""A request made again under the same message id is stored once.

The store remembers the ids. One that is above all others of its sender is new, which costs no look-up: clients make ids that
ascend.
"""

from typing import Any, NamedTuple

import msgpack

from broker.core.batch import Batch
from broker.core.letters import extra_of
from broker.core.outcomes import SENT, broadcast_count, forwarded
from broker.core.state import Mailbox
from broker.core.storage import Sent, StoredMessage
from broker.protocol.digests import text_digest
from broker.protocol.errors import IpcError


class Repeat(NamedTuple):
    """What a request with a message id says, to be held against what was stored under that id."""

    client_id: str | None
    content: str
    data: bytes | None
    to: str | None = None
    """The recipient's name or a group's, None for everyone."""
    reply_to: int | None = None
    """The message that a reply answers, which stands for its recipient."""


def sent_before(batch: Batch, sender: Mailbox, said: Repeat, *, forever: bool = False) -> Sent | None:
    """What was stored under this id, or None. Ids are remembered for ``dedupe_s`` and then free again.

    Raises ``id_conflict`` where another message was stored under it: this one would be dropped as a repeat.
    """
    if said.client_id is None:
        return None
    sent = batch.store.find_sent(sender.id, said.client_id)
    if sent is None:
        return None
    # by the terms' clock where the message was kept for the usual time; either way too long rather than too short
    sent_s = max(sent.created_s, sent.expires_s - batch.settings.unread_ttl_s)
    if not forever and batch.now.due_s - sent_s > batch.settings.dedupe_s:
        batch.store.forget_client_id(sender.id, said.client_id, sent.id)
        return None
    letter = batch.store.find_letter(sent.id)
    if letter is not None:
        if not is_text_of(letter, said):
            raise IpcError("id_conflict", id=said.client_id, what="another text")
        if not is_recipient_of(batch, letter, sent, said):
            raise IpcError("id_conflict", id=said.client_id, what="another recipient")
    return sent


def is_text_of(letter: StoredMessage, said: Repeat) -> bool:
    if said.data != letter.data and (said.data is None or letter.data is None or not same_data(said.data, letter.data)):
        return False
    if letter.file_sha256 is None:
        return said.content == letter.content
    return text_digest(said.content.encode("utf-8", "surrogatepass")) == letter.file_sha256


def same_data(one: bytes, other: bytes) -> bool:
    """A repeat may have its keys in another order."""
    return bool(msgpack.unpackb(one) == msgpack.unpackb(other))


def is_recipient_of(batch: Batch, letter: StoredMessage, sent: Sent, said: Repeat) -> bool:
    """Whether the stored message may have gone to that name. Names change hands: False only where it surely did not."""
    if said.reply_to is not None or letter.reply_to is not None:
        return said.reply_to == letter.reply_to
    to_all = broadcast_count(sent.outcome) is not None
    if said.to is None or to_all:
        return said.to is None and to_all
    group = extra_of(letter).get("group")
    if group is not None or letter.to_id is None:
        return bool(said.to == group)
    mailbox = batch.state.by_id.get(letter.to_id)
    if mailbox is None or mailbox.renamed_s >= letter.created_s:
        return True  # what its name was then is not kept
    return said.to == mailbox.name or sent.outcome == forwarded(said.to, mailbox.name)


def answered_before(sent: Sent, client_id: str) -> dict[str, Any]:
    """The answer that was given to the first request of this id."""
    reply: dict[str, Any] = {
        "message": sent.outcome or SENT,
        "message_id": client_id,
        "number": str(sent.id),
        "duplicate": True,
        "note": "It was sent before under this message_id and is stored once",
    }
    count = broadcast_count(sent.outcome)
    if count is not None:
        reply["count"] = count
    return reply
