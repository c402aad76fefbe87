"""The archive: history by peer, thread and time, and full-text search."""

from typing import Any

import msgpack

from broker.core.batch import Batch, Incoming
from broker.core.endings import ENDINGS
from broker.core.letters import recipients, thread_of
from broker.core.lookup import party_letter
from broker.core.rendering import render_extra
from broker.core.standing import known_mailbox
from broker.core.state import Session
from broker.core.storage import Archived, Filter
from broker.core.values import iso, land_word
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError

DEFAULT_PAGE: int = ACTIONS["history"].field("limit").default


def history(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    body, mailbox = request.body, session.mailbox
    peer_id = thread_id = None
    if body.get("peer") is not None:
        peer_id = known_mailbox(batch, body["peer"]).id
    if body.get("thread") is not None:
        thread_id = thread_of(party_letter(batch, mailbox, body["thread"]))
    wanted = Filter(peer_id, thread_id, float(body.get("since_s") or 0.0))
    if body.get("history_id") is not None:
        wanted = wanted._replace(only=party_letter(batch, mailbox, body["history_id"]).id)
    return page(batch, session, request, wanted)


def search(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    return page(batch, session, request, Filter(query=words_query(request.body["query"])))


def words_query(text: str) -> str:
    """The query of the text index that finds what has all words. Raises ``bad_request``."""
    words = text.replace("\0", " ").split()  # FTS5 takes a NUL for the end of the query
    if not words:
        raise IpcError("bad_request", detail="query must hold a word")
    # quote each word, so that nothing in it is query syntax. The last may be the beginning of a word, from three letters on:
    # half of all words begin with one or two letters
    beginning = "*" if len(words[-1]) > 2 or not words[-1].isascii() else ""
    return " ".join('"' + word.replace('"', '""') + '"' for word in words) + beginning


def page(batch: Batch, session: Session, request: Incoming, wanted: Filter) -> dict[str, Any]:
    mailbox, body = session.mailbox, request.body
    if body.get("before") is not None:
        wanted = wanted._replace(before=party_letter(batch, mailbox, body["before"]).id)
    limit = body.get("limit") or DEFAULT_PAGE
    found, more = batch.store.archive(mailbox.id, wanted, limit)
    reply: dict[str, Any] = {"messages": [render(batch, mailbox.id, row) for row in found], "more": more}
    behind = batch.store.archive_behind()
    if behind:
        reply["behind"] = behind
    return reply


def render(batch: Batch, mailbox_id: int, row: Archived) -> dict[str, Any]:
    letter = row.letter
    to = [m.name for m in recipients(batch, letter)]
    body: dict[str, Any] = {"direction": "out" if letter.sender_id == mailbox_id else "in", "to": to[0] if len(to) == 1 else to}
    body |= shown(batch, row)
    if row.state != "out":
        body["read"] = row.state == "read"
        if row.state in ENDINGS:
            body["ending"] = row.state
    return body


def shown(batch: Batch, row: Archived) -> dict[str, Any]:
    """A message of the archive, but for whom it went to."""
    letter = row.letter
    sender = batch.state.by_id.get(letter.sender_id)
    message: dict[str, Any] = {"content": letter.content}
    if letter.data is not None:
        message["data"] = msgpack.unpackb(letter.data)
    body: dict[str, Any] = {
        "id": str(letter.id),
        "from": sender.name if sender is not None else letter.sender,
        "timestamp": iso(letter.created_s),
        "message": message,
        "land": land_word(letter.land),
        "thread": str(thread_of(letter)),
    }
    if letter.reply_to is not None:
        body["reply_to"] = str(letter.reply_to)
    if letter.file_path is not None:
        body["file"] = {"path": letter.file_path, "size_bytes": letter.file_size, "sha256": letter.file_sha256}
    if letter.extra is not None:
        body.update(render_extra(batch, letter.id, msgpack.unpackb(letter.extra)))
    if row.snippet is not None:
        body["snippet"] = row.snippet
    return body
