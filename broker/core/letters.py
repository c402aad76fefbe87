"""What a stored message holds: its thread, its readers, its whole text, and the fields that few messages have."""

from typing import Any

import msgpack

from broker.core.batch import Batch
from broker.core.state import Mailbox
from broker.core.storage import StoredMessage
from broker.protocol.errors import IpcError


def thread_of(letter: StoredMessage) -> int:
    """A thread is named by the message that began it."""
    return letter.thread_id or letter.id


def extra_of(letter: StoredMessage) -> dict[str, Any]:
    extra: dict[str, Any] = msgpack.unpackb(letter.extra) if letter.extra else {}
    return extra


def recipient_ids(letter: StoredMessage) -> list[int]:
    """Mailbox ids of its readers, also of mailboxes that are gone."""
    return [letter.to_id] if letter.to_id is not None else list(extra_of(letter).get("to", []))


def recipients(batch: Batch, letter: StoredMessage) -> list[Mailbox]:
    return [m for i in recipient_ids(letter) if (m := batch.state.by_id.get(i)) is not None]


def whole_text(batch: Batch, letter: StoredMessage) -> str:
    """The text of a message, read from its file where it is large."""
    if letter.file_sha256 is None:
        return letter.content
    found = batch.store.read_large(letter.file_path, letter.file_sha256)
    if found is None:
        raise IpcError("bad_request", detail="The file with that message's text is gone, so it can't be forwarded")
    return found
