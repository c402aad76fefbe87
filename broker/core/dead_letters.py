"""Dead letters: mail that ended unread, for those who sent it and those it was for. It can be listed, sent again and dropped.

What its sender withdrew is none. A dead letter that is sent again or dropped is off the list of whoever did that; the other
end still has it. All are removed with the receipt, after ``read_ttl_s``.
"""

from typing import Any

import msgpack

from broker.core.batch import Batch, Incoming
from broker.core.drafts import Draft
from broker.core.letters import thread_of, whole_text
from broker.core.lookup import candidates, passed_on
from broker.core.loop_guard import wrote_person
from broker.core.recipients import resolve
from broker.core.repeats import Repeat, answered_before, sent_before
from broker.core.sending import post
from broker.core.state import Mailbox, Session
from broker.core.storage import DeadLetter, StoredMessage
from broker.core.values import check_size, iso, iso_term
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError

DEFAULT_PAGE: int = ACTIONS["dead"].field("limit").default
_EXCERPT = 200
_BY_SENDER, _BY_READER = 1, 2


def dead(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """The newest messages first; with ``dead_id`` that message whole, a row for each reader."""
    body, mailbox = request.body, session.mailbox
    if body.get("dead_id") is not None:
        letter, rows = find(batch, mailbox, body["dead_id"])
        shown = [r for r in rows if is_listed(r, mailbox)]
        return {"dead": [{**describe(batch, mailbox, r, letter), **whole(letter)} for r in shown], "more": False}
    before = None
    if body.get("before") is not None:
        before = find(batch, mailbox, body["before"])[0].id
    limit = body.get("limit") or DEFAULT_PAGE
    found = batch.store.dead_of(mailbox.id, before, limit + 1)
    more = len(found) > limit
    if more and found[0].message_id != found[limit].message_id:  # a message with all its readers is on one page
        found = [r for r in found if r.message_id != found[limit].message_id]
    listed = [(r, first) for r in found[:limit] if (first := batch.store.find_letter(r.message_id)) is not None]
    return {"dead": [describe(batch, mailbox, r, first) for r, first in listed], "more": more}


def find(batch: Batch, mailbox: Mailbox, text_id: str) -> tuple[StoredMessage, list[DeadLetter]]:
    """A message that ended unread at either end of it, dropped or not. Raises ``unknown_message``."""
    for message_id in candidates(batch, mailbox, text_id, own=False):
        letter = batch.store.find_letter(message_id)
        rows = batch.store.dead_rows(mailbox.id, message_id)
        if letter is not None and rows:
            return letter, rows
    raise IpcError("unknown_message", id=text_id)


def side(row: DeadLetter, mailbox: Mailbox) -> int:
    """Which of its ends the mailbox is; a message to oneself has both."""
    return (_BY_SENDER if row.sender_id == mailbox.id else 0) | (_BY_READER if row.mailbox_id == mailbox.id else 0)


def is_listed(row: DeadLetter, mailbox: Mailbox) -> bool:
    return bool(side(row, mailbox) & ~row.dropped)


def describe(batch: Batch, mailbox: Mailbox, row: DeadLetter, letter: StoredMessage) -> dict[str, Any]:
    return {"direction": "out" if row.sender_id == mailbox.id else "in", **shown(batch, row, letter, _EXCERPT)}


def shown(batch: Batch, row: DeadLetter, letter: StoredMessage, characters: int) -> dict[str, Any]:
    """A row of a list, with so many characters of the text."""
    sender = batch.state.by_id.get(letter.sender_id)
    return {
        "id": str(letter.id),
        "from": sender.name if sender is not None else letter.sender,
        "to": reader_of(batch, row),
        "timestamp": iso(letter.created_s),
        "at": iso_term(batch, row.ended_s),
        "ending": row.ending,
        "why": row.why,
        "content": letter.content[:characters],
    }


def whole(letter: StoredMessage) -> dict[str, Any]:
    """What a list leaves out."""
    fields: dict[str, Any] = {"content": letter.content}
    if letter.data is not None:
        fields["data"] = msgpack.unpackb(letter.data)
    if letter.file_path is not None:
        fields["file"] = {"path": letter.file_path, "size_bytes": letter.file_size, "sha256": letter.file_sha256}
    return fields


def reader_of(batch: Batch, row: DeadLetter) -> str:
    """The reader's name: of today, or what it was when the mail ended, if its mailbox is gone."""
    reader = batch.state.by_id.get(row.mailbox_id)
    return reader.name if reader is not None else row.name


def dead_send(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Send it as a new message, to the same reader or another. Passing on what another wrote names its writer."""
    body, sender = request.body, session.mailbox
    letter, rows = find(batch, sender, body["dead_id"])
    listed = [r for r in rows if is_listed(r, sender)]
    person = wrote_person(batch, session, request)
    reply, sent = send_again(batch, session, body, letter, rows, listed, person=person, thread_id=thread_of(letter))
    drop(batch, sender, sent)
    return reply


def send_again(
    batch: Batch,
    session: Session,
    body: dict[str, Any],
    letter: StoredMessage,
    rows: list[DeadLetter],
    listed: list[DeadLetter],
    *,
    person: bool,
    thread_id: int | None = None,
) -> tuple[dict[str, Any], list[DeadLetter]]:
    """(the reply, the rows that leave the asker's list). ``rows`` are all of the message, ``listed`` those on that list."""
    sender, to = session.mailbox, body.get("to_id") or only_reader(batch, rows)
    text, client_id = whole_text(batch, letter), body.get("message_id")
    told = {"to": to, "resends": str(letter.id)}
    known = sent_before(batch, sender, Repeat(client_id, text, letter.data, to))
    if known is not None:
        return {**answered_before(known, str(client_id)), **told}, []
    if not listed:
        raise IpcError("unknown_message", id=body["dead_id"])
    check_size(batch, text)
    draft = Draft(sender, resolve(batch, sender, to), text, letter.data, client_id, land=letter.land)
    draft.thread_id = thread_id
    draft.extra["resends"] = str(letter.id)
    if letter.sender_id != sender.id:
        draft.extra |= passed_on(batch, letter)
    answer = post(batch, session, draft, person=person)[1]
    return {**answer, **told}, [r for r in listed if reader_of(batch, r) == to] or listed


def only_reader(batch: Batch, rows: list[DeadLetter]) -> str:
    names = {reader_of(batch, r) for r in rows}
    if len(names) != 1:
        raise IpcError("bad_request", detail=f"That message ended at {len(names)} readers: name one in to_id")
    return names.pop()


def dead_drop(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Take dead letters off one's own list."""
    mailbox, dropped = session.mailbox, 0
    for text_id in request.body["ids"]:
        if not isinstance(text_id, str):
            raise IpcError("bad_request", detail="ids must be text, as dead shows them")
        rows = [r for r in find(batch, mailbox, text_id)[1] if is_listed(r, mailbox)]
        drop(batch, mailbox, rows)
        dropped += len(rows)
    return {"dropped": dropped}


def drop(batch: Batch, mailbox: Mailbox, rows: list[DeadLetter]) -> None:
    for row in rows:
        batch.store.drop_dead(row.receipt_id, side(row, mailbox))
