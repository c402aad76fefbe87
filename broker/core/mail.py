"""Mail goes in: send, broadcast, import.

A client's message id makes a send idempotent. The store's unique index does the remembering, so the usual send costs no
look-up: the rows are inserted, and only when the index objects is the batch decided again with ``careful`` set, which
looks each id up first.
"""

import re
from typing import Any

import msgpack

from broker.core.accounts import new_mailbox
from broker.core.port import LargeFile, NewMessage
from broker.core.state import Mailbox, Session
from broker.core.turn import Incoming, Turn, act_as, check_json, take_tokens
from broker.errors import IpcError
from broker.names import BROADCAST, SYSTEM, is_name, near_miss

SENT = "Message sent"
_LEGACY_REPLY_BYTES = 48 * 1024
"""A message's JSON stays below this, so that one always fits a legacy reply of 65,536 bytes."""
_HINT_NAMES = 1000
"""With more mailboxes than this, comparing names would cost a send more than the suggestion is worth."""
_ESCAPED = 6
"""Bytes that one byte of text can take in JSON (\\u0000)."""


def send(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "from_id")
    body = request.body
    content, data = read_message(turn, body["message"])
    client_id = body.get("message_id")
    sender = session.mailbox
    if turn.careful and client_id is not None:
        known = find_duplicate(turn, sender, client_id)
        if known is not None:
            return known
    mailbox, outcome, hint = resolve(turn, body["to_id"])
    take_tokens(turn, session, 1)
    check_room(turn, mailbox)
    message_id = store_message(turn, sender, [mailbox], mailbox.name, content, data, client_id, outcome)
    reply: dict[str, Any] = {"message": outcome or SENT, "message_id": client_id or str(message_id)}
    if hint:
        reply["did_you_mean"] = hint
    return reply


def broadcast(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "from_id")
    body = request.body
    content, data = read_message(turn, body["message"])
    client_id = body.get("message_id")
    sender = session.mailbox
    if turn.careful and client_id is not None:
        known = find_duplicate(turn, sender, client_id)
        if known is not None:
            return known
    others = [m for m in turn.state.mailboxes.values() if m.claimed and m is not sender]
    take_tokens(turn, session, max(1, len(others)))
    room = [m for m in others if has_room(turn, m)]
    outcome = f"Broadcast to {len(room)} instances"
    message_id = store_message(turn, sender, room, BROADCAST, content, data, client_id, outcome)
    reply = {"message": outcome, "message_id": client_id or str(message_id), "count": len(room)}
    full = sorted(m.name for m in others if m not in room)
    if full:
        reply["mailbox_full"] = full
    return reply


def import_mail(turn: Turn, _session: None, request: Incoming) -> dict[str, Any]:
    """One message of another system, with its own sender and time. Only the owner of the data folder may."""
    body = request.body
    content, data = read_message(turn, body["message"])
    writer = body["from_id"]
    if not is_name(writer):
        raise IpcError("invalid_name")
    sender = turn.state.mailboxes.get(writer) or new_mailbox(turn, writer)
    known = find_duplicate(turn, sender, body["message_id"], forever=True)
    if known is not None:
        return known
    mailbox, outcome, _ = resolve(turn, body["to_id"])
    check_room(turn, mailbox)
    when_s = min(float(body["timestamp"]), turn.now.wall_s)
    message_id = store_message(
        turn, sender, [mailbox], mailbox.name, content, data, body["message_id"], outcome, written_s=when_s
    )
    return {"message": outcome or SENT, "message_id": str(message_id)}


def read_message(turn: Turn, message: dict[str, Any]) -> tuple[str, bytes | None]:
    """The content and the packed data of a request's message; raises ``bad_request`` or ``too_large``."""
    content = message.get("content", "")
    data = message.get("data")
    if not isinstance(content, str):
        raise IpcError("bad_request", detail="message.content must be text")
    settings = turn.settings
    if len(content) * 4 > settings.message_limit_bytes:
        size = len(content.encode())
        if size > settings.message_limit_bytes:
            raise IpcError("too_large", what="A message", size=size, limit=settings.message_limit_bytes)
    if data is None:
        return content, None
    check_json(data)
    packed: bytes = msgpack.packb(data)
    if len(packed) * _ESCAPED > settings.data_limit_bytes:
        size = json_size(data)
        if size > settings.data_limit_bytes:
            raise IpcError("too_large", what="The data of a message", size=size, limit=settings.data_limit_bytes)
    return content, packed


def json_size(value: Any) -> int:
    import json

    return len(json.dumps(value, ensure_ascii=False).encode())


def find_duplicate(turn: Turn, sender: Mailbox, client_id: str, *, forever: bool = False) -> dict[str, Any] | None:
    """The answer given before to this id, or None. Ids are remembered for ``dedupe_s`` and then free again."""
    sent = turn.store.find_sent(sender.id, client_id)
    if sent is None:
        return None
    if not forever and turn.now.wall_s - sent.created_s > turn.settings.dedupe_s:
        turn.store.forget_client_id(sent.id)
        return None
    reply: dict[str, Any] = {"message": sent.outcome or SENT, "message_id": client_id, "duplicate": True}
    counted = re.fullmatch(r"Broadcast to (\d+) instances", sent.outcome or "")
    if counted:
        reply["count"] = int(counted[1])
    return reply


def resolve(turn: Turn, name: Any) -> tuple[Mailbox, str | None, str | None]:
    """Where mail for a name goes: (mailbox, the reply's sentence or None for the usual one, a near-miss or None)."""
    state = turn.state
    mailbox = state.mailboxes.get(name)
    if mailbox is not None and mailbox.claimed:
        return mailbox, None, None
    if not is_name(name):
        raise IpcError("invalid_recipient")
    forward = state.forwards.get(name)
    if forward is not None and forward.until_s > turn.now.wall_s:
        return forward.mailbox, f"Message forwarded from {name} to {forward.mailbox.name}", None
    if mailbox is None:
        if name.lower() == SYSTEM:
            raise IpcError("name_reserved", name=name)
        unclaimed = sum(1 for m in state.mailboxes.values() if not m.claimed)
        if unclaimed >= turn.settings.unclaimed_limit:
            limit = turn.settings.unclaimed_limit
            raise IpcError("too_many_mailboxes", limit=limit)
        mailbox = new_mailbox(turn, name)
    if mailbox.hint[0] != state.names_version and len(state.mailboxes) <= _HINT_NAMES:
        close = near_miss(name, (m.name for m in state.mailboxes.values() if m.claimed))
        mailbox.hint = (state.names_version, close)
    return mailbox, f"Message queued for {name} (not yet registered)", mailbox.hint[1]


def has_room(turn: Turn, mailbox: Mailbox) -> bool:
    limit = turn.settings.mailbox_limit
    return limit <= 0 or mailbox.queued < limit


def check_room(turn: Turn, mailbox: Mailbox) -> None:
    if not has_room(turn, mailbox):
        raise IpcError("mailbox_full", name=mailbox.name, limit=turn.settings.mailbox_limit)


def store_message(
    turn: Turn,
    sender: Mailbox,
    to: list[Mailbox],
    to_name: str,
    content: str,
    data: bytes | None,
    client_id: str | None,
    outcome: str | None,
    written_s: float | None = None,
) -> int:
    """Add one body and a delivery for each mailbox; a large body goes to its file first. Returns the message's id."""
    journal, state = turn.journal, turn.state
    message_id = state.last_message_id + 1
    journal.set(state, "last_message_id", message_id)
    created_s = turn.now.wall_s if written_s is None else written_s
    file: LargeFile | None = None
    if needs_file(turn, content, data):
        file = turn.store.write_large(sender.name, to_name, created_s, message_id, content)
        journal.on_rollback(turn.store.remove_file, file.path)
        content = f"{summary(content)} Full content saved to: {file.path}"
    row = NewMessage(
        message_id,
        sender.id,
        sender.name,
        client_id,
        created_s,
        turn.now.wall_s + turn.settings.unread_ttl_s,
        content,
        data,
        outcome,
        len(to),
        file.path if file else None,
        file.size_bytes if file else None,
        file.sha256 if file else None,
    )
    turn.store.add_message(row, [m.id for m in to])
    for mailbox in to:
        journal.set(mailbox, "queued", mailbox.queued + 1)
        turn.wake(mailbox)
    return message_id


def needs_file(turn: Turn, content: str, data: bytes | None) -> bool:
    limit = turn.settings.large_message_bytes
    if len(content) * 4 <= limit:
        return False
    if len(content.encode()) > limit:
        return True
    if len(content) * 4 + len(data or b"") <= _LEGACY_REPLY_BYTES // _ESCAPED:
        return False
    return json_size(content) + turn.settings.data_limit_bytes > _LEGACY_REPLY_BYTES


def summary(content: str) -> str:
    """The first two sentences, at most 300 characters, on one line."""
    text = " ".join(content[:2000].split())
    sentences = re.findall(r"[^.!?]+(?:[.!?]+(?=\s|$)|$)", text[:300])
    picked = "".join(sentences[:2]).strip() or text[:300]
    return picked if picked.endswith((".", "!", "?")) else picked + "…"
