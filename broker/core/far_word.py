"""Word to another site of what became of its letters: {k: read | ended | spread | away, uid, to, ...}.

It is numbered like a letter, in the transaction in which it became true.
"""

from typing import Any

import msgpack

from broker.core.batch import Batch
from broker.core.letters import extra_of
from broker.core.link import fresh, put_out
from broker.core.state import Mailbox
from broker.core.storage import StoredMessage


def put_word(batch: Batch, site: str, body: dict[str, Any]) -> None:
    """Number something that is no letter."""
    put_out(batch, site, None, f"-{fresh(batch, 16)}", msgpack.packb(body))


def tell_of(batch: Batch, mailbox: Mailbox, letter: StoredMessage, kind: str, **more: Any) -> None:
    """Tell the site that a letter came from what became of it at one reader."""
    sender = batch.state.by_id.get(letter.sender_id)
    if sender is not None and sender.site:
        extra = extra_of(letter)
        to = extra.get("as", {}).get(str(mailbox.id), mailbox.name)
        put_word(batch, sender.site, {"k": kind, "uid": extra.get("uid", ""), "to": to, **more})


def told_read(batch: Batch, mailbox: Mailbox, ids: set[int], evidence: str | None) -> None:
    """Letters of other sites were read here."""
    for message_id in sorted(ids & mailbox.from_far):
        letter = batch.store.find_letter(message_id)
        if letter is not None:
            tell_of(batch, mailbox, letter, "read", **({} if evidence is None else {"evidence": evidence}))
