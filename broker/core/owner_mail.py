"""Mail of everybody, for the owner of the data folder: read without a lease, dead letters listed and sent again."""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.dead_letters import send_again, whole
from broker.core.dead_letters import shown as dead_row
from broker.core.history import shown, words_query
from broker.core.letters import recipient_ids, thread_of
from broker.core.receipts import describe, readers, trace
from broker.core.sessions import authenticate
from broker.core.standing import known_mailbox
from broker.core.storage import Archived, DeadLetter, Filter, OwnerFilter, StoredMessage
from broker.core.values import parse_id
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError

DEFAULT_PAGE: int = ACTIONS["letters"].field("limit").default
EXCERPT = 500
"""Characters of a message in a short list, and ``RECIPIENTS`` that it names."""
RECIPIENTS = 20
_OWNER = 4
_GONE = "(gone)"


def letters(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    body = request.body
    limit = body.get("limit") or DEFAULT_PAGE
    found, more = _find(batch, body, limit)
    late = batch.store.late_answers() if body.get("steps") else {}
    rows = []
    for one in found:
        row = _row(batch, one, short=bool(body.get("short")))
        if body.get("steps"):
            row["receipts"] = _receipts(batch, one.letter, late)
        rows.append(row)
    reply: dict[str, Any] = {"messages": rows, "more": more}
    if more and found:
        reply["next"] = str(found[-1].letter.id)
    behind = batch.store.archive_behind()
    return {**reply, "behind": behind} if behind else reply


def _find(batch: Batch, body: dict[str, Any], limit: int) -> tuple[list[Archived], bool]:
    thread = None if body.get("thread") is None else thread_of(_letter(batch, body["thread"]))
    query = None if body.get("query") is None else words_query(body["query"])
    since_s = float(body.get("since_s") or 0.0)
    if body.get("name") is not None and body.get("letter_id") is None:
        if body.get("after") is not None or body.get("group") is not None:
            raise IpcError("bad_request", detail="name goes with neither after nor group")
        peer_id = None if body.get("peer") is None else known_mailbox(batch, body["peer"]).id
        before = None if body.get("before") is None else _number(body, "before")
        wanted = Filter(peer_id, thread, since_s, before, query)
        return batch.store.archive(known_mailbox(batch, body["name"]).id, wanted, limit)
    before = _number(body, "before") if body.get("before") is not None else 2**62
    after = _number(body, "after") if body.get("after") is not None else None
    only = None if body.get("letter_id") is None else _letter(batch, body["letter_id"]).id
    return batch.store.letters(OwnerFilter(thread, body.get("group"), since_s, before, after, query, only), limit)


def _number(body: dict[str, Any], field: str) -> int:
    number = parse_id(body[field])
    if number is None:
        raise IpcError("bad_request", detail=f"{field} is a message's number, as next of the page before said")
    return number


def _letter(batch: Batch, text_id: str) -> StoredMessage:
    """Raises ``unknown_message``."""
    number = parse_id(text_id)
    letter = None if number is None else batch.store.find_letter(number)
    if letter is None:
        raise IpcError("unknown_message", id=text_id)
    return letter


def _row(batch: Batch, one: Archived, *, short: bool) -> dict[str, Any]:
    letter = one.letter
    by_id = batch.state.by_id
    ids = recipient_ids(letter)
    row = shown(batch, one)
    row["to"] = [by_id[i].name if i in by_id else _GONE for i in (ids[:RECIPIENTS] if short else ids)]
    if len(row["to"]) < len(ids):
        row["to_count"] = len(ids)
    if short and len(letter.content) > EXCERPT:
        row["message"] = {"content": letter.content[:EXCERPT]}
        row["cut"] = True
    return row


def _receipts(batch: Batch, letter: StoredMessage, late: dict[tuple[int, int], float]) -> list[dict[str, Any]]:
    found = []
    for mailbox in readers(batch, letter)[:RECIPIENTS]:
        row = describe(batch, trace(batch, letter, mailbox, late))
        found.append({"to": mailbox.name} | {k: row[k] for k in ("step", "at", "inferred", "why", "steps") if k in row})
    return found


def dead_letters(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    body = request.body
    if body.get("dead_id") is not None:
        letter, rows = _dead(batch, body["dead_id"])
        return {"dead": [{**dead_row(batch, row, letter, EXCERPT), **whole(letter)} for row in rows], "more": False}
    limit = body.get("limit") or DEFAULT_PAGE
    found = batch.store.all_dead(_number(body, "before") if body.get("before") is not None else 2**62, limit + 1)
    more, found = len(found) > limit, found[:limit]
    listed = [(row, first) for row in found if (first := batch.store.find_letter(row.message_id)) is not None]
    reply: dict[str, Any] = {"dead": [dead_row(batch, row, first, EXCERPT) for row, first in listed], "more": more}
    return {**reply, "next": str(found[-1].receipt_id)} if more else reply


def _dead(batch: Batch, text_id: str) -> tuple[StoredMessage, list[DeadLetter]]:
    letter = _letter(batch, text_id)
    rows = batch.store.dead_rows(letter.sender_id, letter.id)
    if not rows:
        raise IpcError("unknown_message", id=text_id)
    return letter, rows


def dead_forward(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    session = authenticate(batch, request.body["by"])
    letter, rows = _dead(batch, request.body["dead_id"])
    reply, sent = send_again(batch, session, request.body, letter, rows, rows, person=True)
    for row in sent:
        batch.store.drop_dead(row.receipt_id, _OWNER)
    return reply


def dead_forget(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    dropped = 0
    for text_id in request.body["ids"]:
        if not isinstance(text_id, str):
            raise IpcError("bad_request", detail="ids must be text, as dead_letters shows them")
        for row in _dead(batch, text_id)[1]:
            batch.store.drop_dead(row.receipt_id, _OWNER)
            dropped += 1
    return {"dropped": dropped}
