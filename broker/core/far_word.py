"""Word to another site of what became of its letters: {k: read | ended | spread | away, uid, to, ...}.

It is numbered like a letter, in the transaction in which it became true.
"""

from math import inf
from typing import Any

from broker.core.batch import Batch
from broker.core.letters import extra_of
from broker.core.link import put_body
from broker.core.state import Mailbox
from broker.core.storage import StoredMessage

_MOST_WORDS = 100_000
"""Rows in the outbox of a site beyond which it gets no words, but letters."""
EXPIRED = "expired_far"
"""Name of the chore."""


def put_word(batch: Batch, site: str, body: dict[str, Any]) -> None:
    """Number something that is no letter. A site that takes nothing makes us keep a bounded number of words for it."""
    out = batch.state.link.outbound.get(site)
    if out is not None and out.assigned - out.high >= _MOST_WORDS:
        batch.state.link.dropped += 1
        return
    put_body(batch, site, body)


def tell_of(batch: Batch, mailbox: Mailbox, letter: StoredMessage, kind: str, **more: Any) -> None:
    """Tell the site that a letter came from what became of it at one reader, by the name it was sent to.

    Of one that got it with others that site was told that it was spread.
    """
    sender = batch.state.by_id.get(letter.sender_id)
    if sender is None or not sender.site:
        return
    extra = extra_of(letter)
    names: dict[str, str] = extra.get("as", {})
    to = names.get(str(mailbox.id), mailbox.name)
    if to in names.values():  # it may have waited for a name that another took over
        put_word(batch, sender.site, {"k": kind, "uid": extra.get("uid", ""), "to": to, **more})


def told_read(batch: Batch, mailbox: Mailbox, ids: set[int], evidence: str | None) -> None:
    """Letters of other sites were read here."""
    for message_id in sorted(ids & mailbox.from_far):
        letter = batch.store.find_letter(message_id)
        if letter is not None:
            tell_of(batch, mailbox, letter, "read", **({} if evidence is None else {"evidence": evidence}))


def tell_expired(batch: Batch) -> float:
    """The chore: tell other sites which of their letters were not read here in time."""
    for mailbox_id, message_id, why in batch.state.expired_far:
        mailbox, letter = batch.state.by_id.get(mailbox_id), batch.store.find_letter(message_id)
        if mailbox is not None and letter is not None:
            tell_of(batch, mailbox, letter, "ended", ending="expired", why=why)
    batch.journal.set(batch.state, "expired_far", [])
    return inf
