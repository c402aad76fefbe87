"""What every way of writing shares: the message read and bounded, its recipients found, its rows added.

A client's message id makes a send idempotent. The store's unique index does the remembering, so the usual send costs no
look-up: the rows are inserted, and only when the index objects is the batch decided again with ``careful`` set, which
looks each id up first.
"""

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgpack

from broker.core.accounts import new_mailbox
from broker.core.batch import Batch, check_json
from broker.core.lookup import extra_of
from broker.core.standing import Kind, standing
from broker.core.state import INTERRUPT, TOOL, TURN, Mailbox
from broker.core.storage import LargeFile, NewMessage, Sent, StoredMessage
from broker.protocol.actions import LANDINGS
from broker.protocol.errors import IpcError
from broker.protocol.names import BROADCAST, is_name

SENT = "Message sent"
MESSAGE_JSON_BYTES = 30_000
"""Text and data as JSON stay below this, so that a message always fits a one-shot reply of 32,767 bytes."""
_UNBORN_SHARE = 10
"""One sender may make a tenth of the mailboxes of names that nobody has."""
_UNBORN_ALWAYS = 10
"""So many a sender may make however many others have made."""
BROADCAST_TO = re.compile(r"Broadcast to (\d+) instances")
"""The outcome of a broadcast, by which it is known from a message to one."""
MESSAGE_FIELDS = {"content", "data"}
ESCAPED = 6
"""Bytes that one byte of text can take in JSON (\\u0000)."""


class Target(NamedTuple):
    """Where mail for a name goes."""

    mailboxes: list[Mailbox]
    name: str
    outcome: str | None = None
    """The reply's sentence, None for the usual one."""
    hint: str | None = None
    """A near-miss among registered names."""
    group: str | None = None
    many: bool = False
    """A group or everyone: who can't have it is passed over."""


@dataclass(slots=True)
class Draft:
    """A message about to be stored."""

    sender: Mailbox
    target: Target
    content: str
    data: bytes | None
    client_id: str | None
    land: int = TOOL
    thread_id: int | None = None
    reply_to: int | None = None
    ttl_s: float | None = None
    written_s: float | None = None
    """When it was written, if not now."""
    extra: dict[str, Any] = field(default_factory=dict)


def read_message(batch: Batch, message: dict[str, Any]) -> tuple[str, bytes | None]:
    """The content and the packed data of a request's message; raises ``bad_request`` or ``too_large``."""
    content = message.get("content")
    data = message.get("data")
    if not isinstance(content, str):
        problem = "A message needs its text in content" if content is None else "message.content must be text"
        ignored = ", ".join(sorted(str(name)[:32] for name in message.keys() - MESSAGE_FIELDS)[:8])
        raise IpcError("bad_request", detail=f"{problem}; it has {ignored}, which says nothing" if ignored else problem)
    check_size(batch, content)
    if data is None:
        return content, None
    check_json(data)
    packed: bytes = msgpack.packb(data)
    settings = batch.settings
    if len(packed) * ESCAPED > settings.data_limit_bytes:
        size = json_size(data)
        if size > settings.data_limit_bytes:
            raise IpcError("too_large", what="The data of a message", size=size, limit=settings.data_limit_bytes)
    return content, packed


def check_size(batch: Batch, content: str) -> None:
    limit = batch.settings.message_limit_bytes
    if len(content) * 4 > limit:
        size = len(content.encode())
        if size > limit:
            raise IpcError("too_large", what="A message", size=size, limit=limit)


def json_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def read_land(body: dict[str, Any]) -> int:
    """The landing that a request names, as the store keeps it."""
    land = body.get("land")
    return TOOL if land is None else LANDINGS.index(land)


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

    Raises ``id_conflict`` where it was another message: dropped as a repeat, this one would be lost.
    """
    if said.client_id is None or not (batch.careful or forever):
        return None
    sent = batch.store.find_sent(sender.id, said.client_id)
    if sent is None:
        return None
    # by the terms' clock where the message was kept for the usual time; either way too long rather than too short
    sent_s = max(sent.created_s, sent.expires_s - batch.settings.unread_ttl_s)
    if not forever and batch.now.due_s - sent_s > batch.settings.dedupe_s:
        batch.store.forget_client_id(sent.id)
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
    return hashlib.sha256(said.content.encode("utf-8", "surrogatepass")).hexdigest() == letter.file_sha256


def same_data(one: bytes, other: bytes) -> bool:
    """A repeat may have its keys in another order."""
    return bool(msgpack.unpackb(one) == msgpack.unpackb(other))


def is_recipient_of(batch: Batch, letter: StoredMessage, sent: Sent, said: Repeat) -> bool:
    """Whether it may have been sent to that name. Names change hands: only what is sure is held against a repeat."""
    if said.reply_to is not None or letter.reply_to is not None:
        return said.reply_to == letter.reply_to
    if said.to is None or BROADCAST_TO.fullmatch(sent.outcome or ""):
        return said.to is None and BROADCAST_TO.fullmatch(sent.outcome or "") is not None
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
    }
    reply["note"] = "It was sent before under this message_id and is stored once"
    counted = BROADCAST_TO.fullmatch(sent.outcome or "")
    if counted:
        reply["count"] = int(counted[1])
    return reply


def resolve(batch: Batch, sender: Mailbox, name: str) -> Target:
    """Who gets mail for a name; a mailbox is made for a name that nobody has yet."""
    state = batch.state
    found = standing(state, name, batch.now.due_s)
    if found.mailbox is not None:
        new = found.mailbox.name
        return Target([found.mailbox], new, forwarded(name, new) if found.kind is Kind.FORWARDED else None)
    if found.group is not None:
        members = [m for i in found.group.members if (m := state.by_id.get(i)) is not None and m.claimed]
        return Target(members, name, group=name, many=True)
    if not is_name(name):
        raise IpcError("invalid_recipient")
    if found.kind is Kind.RESERVED:
        raise IpcError("name_reserved", name=name)
    mailbox = found.waiting or unborn_mailbox(batch, sender, name)
    outcome = f"Message queued for {name} (not yet registered)"
    if found.formerly is not None:
        return Target([mailbox], name, f"{outcome}. {name} is now called {found.formerly.name}", found.formerly.name)
    if mailbox.hint[0] != state.names_version:
        mailbox.hint = (state.names_version, state.nearby.miss(name))
    return Target([mailbox], name, outcome, mailbox.hint[1])


def unborn_mailbox(batch: Batch, sender: Mailbox, name: str) -> Mailbox:
    """The mailbox of a name that nobody has.

    Raises ``too_many_mailboxes`` beyond the sender's share, and for who has made a few where there are as many as there may be.
    """
    limit, made = batch.settings.unclaimed_limit, batch.state.unborn
    mine = made.get(sender.id, 0)
    if mine >= max(1, limit // _UNBORN_SHARE) or (mine >= _UNBORN_ALWAYS and sum(made.values()) >= limit):
        raise IpcError("too_many_mailboxes", limit=mine)
    return new_mailbox(batch, name, sender.id)


def forwarded(name: str, new: str) -> str:
    """The outcome of a send to a name that forwards."""
    return f"Message forwarded from {name} to {new}"


def everyone(batch: Batch, sender: Mailbox) -> Target:
    """Every registered instance but the sender."""
    return Target([m for m in batch.state.mailboxes.values() if m.claimed and m is not sender], BROADCAST, many=True)


def with_room(batch: Batch, sender: Mailbox, target: Target) -> tuple[Target, list[str]]:
    """The target without those who can't or won't take mail of the sender, and the names of the full ones.

    Raises ``mailbox_full`` or ``blocked`` where one name alone was written to.
    """
    limit = batch.settings.mailbox_limit
    alone = not target.many
    kept, full = [], []
    for mailbox in target.mailboxes:
        if mailbox.blocked and mailbox.blocked.get(sender.id) == "block":
            if alone:
                raise IpcError("blocked", name=mailbox.name)
        elif limit > 0 and mailbox.queued >= limit:
            if alone:
                raise IpcError("mailbox_full", name=mailbox.name, limit=limit)
            full.append(mailbox.name)
        elif alone or mailbox is not sender:
            kept.append(mailbox)
    return (target if alone else target._replace(mailboxes=kept)), sorted(full)


def store_message(batch: Batch, draft: Draft) -> int:
    """Add one body and a delivery for each mailbox; a large body goes to its file first. Returns the message's id."""
    journal, state, to = batch.journal, batch.state, draft.target.mailboxes
    message_id = state.last_message_id + 1
    journal.set(state, "last_message_id", message_id)
    created_s = batch.now.wall_s if draft.written_s is None else draft.written_s
    content, file = draft.content, None
    if needs_file(batch, content, draft.data):
        file = batch.store.write_large(draft.sender.name, draft.target.name, created_s, message_id, content)
        journal.on_rollback(batch.store.remove_file, file.path)
        content = f"{summary(content)} Full content saved to: {file.path}"
    row = make_row(batch, draft, message_id, created_s, content, file)
    muting = {m.id for m in to if m.blocked and draft.sender.id in m.blocked}
    batch.store.add_message(row, [m.id for m in to if m.id not in muting])
    for mailbox in to:
        if mailbox.id in muting:
            batch.store.file_muted(mailbox.id, message_id, batch.now.term_s)
        else:
            deliver(batch, draft, mailbox, message_id)
    if not to:
        batch.store.take_back(0, message_id, batch.now.term_s)  # nobody's: kept for the sender's history
    if row.brief and (state.next_expiry_s is None or row.expires_s < state.next_expiry_s):
        journal.set(state, "next_expiry_s", row.expires_s)
    return message_id


def make_row(batch: Batch, draft: Draft, message_id: int, created_s: float, content: str, file: LargeFile | None) -> NewMessage:
    target, sender, extra = draft.target, draft.sender, draft.extra
    to = target.mailboxes
    one = len(to) == 1 and target.group is None
    if not one:
        extra = {**extra, "to": [m.id for m in to]}
    if target.group is not None:
        extra = {**extra, "group": target.group}
    ttl_s = batch.settings.unread_ttl_s
    brief = draft.ttl_s is not None and draft.ttl_s < ttl_s
    return NewMessage(
        message_id,
        sender.id,
        sender.name,
        draft.client_id,
        created_s,
        batch.now.term_s + (draft.ttl_s if brief and draft.ttl_s is not None else ttl_s),
        content,
        draft.data,
        target.outcome,
        max(1, len(to)),
        file.path if file else None,
        file.size_bytes if file else None,
        file.sha256 if file else None,
        draft.land,
        draft.thread_id,
        draft.reply_to,
        to[0].id if one else None,
        1 if brief else None,
        msgpack.packb(extra) if extra else None,
    )


def deliver(batch: Batch, draft: Draft, mailbox: Mailbox, message_id: int) -> None:
    """Count the message in and tell those who wait for it."""
    batch.journal.set(mailbox, "queued", mailbox.queued + 1)
    if draft.land == INTERRUPT:
        batch.journal.add(mailbox.urgent, message_id)
    elif draft.land == TURN:
        batch.journal.add(mailbox.later, message_id)
    batch.wake(mailbox)
    if mailbox.watchers:
        batch.note_arrival(mailbox, draft.sender.name, draft.land)


def needs_file(batch: Batch, content: str, data: bytes | None) -> bool:
    limit = batch.settings.large_message_bytes
    if len(content) * 4 > limit and len(content.encode()) > limit:
        return True
    if (len(content) + len(data or b"")) * ESCAPED <= MESSAGE_JSON_BYTES:
        return False
    return json_size(content) + (json_size(msgpack.unpackb(data)) if data is not None else 0) > MESSAGE_JSON_BYTES


def summary(content: str) -> str:
    """The first two sentences, at most 300 characters, on one line."""
    text = " ".join(content[:2000].split())
    sentences = re.findall(r"[^.!?]+(?:[.!?]+(?=\s|$)|$)", text[:300])
    picked = "".join(sentences[:2]).strip() or text[:300]
    return picked if picked.endswith((".", "!", "?")) else picked + "…"
