"""What an export reads: mail of everybody, the oldest first, each message with every reader and what became of that copy.

A page looks at a bounded number of messages and says where the next goes on, however few pass the filter: so an export of few
messages among many is never refused, and holds nobody up. Nothing is leased or acknowledged.
"""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.facts import Mark
from broker.core.history import shown
from broker.core.letters import extra_of, recipient_ids, thread_of
from broker.core.retention import known_thread
from broker.core.standing import known_mailbox
from broker.core.steps import steps_of
from broker.core.storage import Archived, Copy, StoredMessage
from broker.core.values import iso_term, parse_id
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError

_PAGE: int = ACTIONS["export"].field("limit").default


def export(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    body = request.body
    after = parse_id(body.get("after") or "0")
    if after is None:
        raise IpcError("bad_request", detail="after is a message's number, as next of the page before said")
    name, peer = (None if body.get(field) is None else known_mailbox(batch, body[field]).id for field in ("name", "peer"))
    if peer is not None and name is None:
        raise IpcError("bad_request", detail="peer goes with name: what the two wrote to each other")
    thread = None if body.get("thread") is None else int(known_thread(batch, body["thread"]))
    if thread is not None:
        after = max(after, thread - 1)
    group, since_s = body.get("group"), float(body.get("since_s") or 0.0)

    def is_wanted(letter: StoredMessage) -> bool:
        if letter.created_s < since_s or (thread is not None and thread_of(letter) != thread):
            return False
        if group is not None and extra_of(letter).get("group") != group:
            return False
        return name is None or is_between(letter, name, peer)

    found, more = batch.store.letters_after(after, body.get("limit") or _PAGE)
    reply: dict[str, Any] = {"messages": [row_of(batch, one) for one in found if is_wanted(one)], "more": more}
    reply["last"] = str(batch.state.last_message_id)
    return {**reply, "next": str(found[-1].id)} if more else reply


def is_between(letter: StoredMessage, name: int, peer: int | None) -> bool:
    """Whether a mailbox wrote or got it; with a peer, whether one of the two wrote it to the other."""
    to = recipient_ids(letter)
    if peer is None:
        return letter.sender_id == name or name in to
    return (letter.sender_id == name and peer in to) or (letter.sender_id == peer and name in to)


def row_of(batch: Batch, letter: StoredMessage) -> dict[str, Any]:
    row = shown(batch, Archived(letter, "", None))
    if "question" in row:
        row["question"] = {"deadline": row["question"]["deadline"]}
    row["readers"] = [reader_of(batch, letter, mailbox_id, imported="was" in row) for mailbox_id in recipient_ids(letter)]
    return row


def reader_of(batch: Batch, letter: StoredMessage, mailbox_id: int, *, imported: bool) -> dict[str, Any]:
    """A reader and what became of the copy. One whose mailbox is gone has no name."""
    mailbox = batch.state.by_id.get(mailbox_id)
    copy = batch.store.copy_of(mailbox_id, letter.id) or Copy(False)  # swept: it was read, or ended, long ago
    row: dict[str, Any] = {"name": mailbox.name if mailbox is not None else None}
    if copy.queued or copy.muted:
        return {**row, "state": "unread"}
    row["state"] = copy.ending or "read"
    at_s = copy.at_s
    if imported and mailbox is not None:
        at_s = next((step.at_s for step in steps_of(batch, mailbox, letter.id) if step.step == Mark.LEFT), 0.0)
    if at_s:
        row["at"] = iso_term(batch, at_s)
    return {**row, **{k: v for k, v in (("evidence", copy.evidence), ("why", copy.why)) if v is not None}}
