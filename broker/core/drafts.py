"""A message about to be stored: its row, its file where it is large, and a delivery for each recipient."""

import re
from dataclasses import dataclass, field
from typing import Any

import msgpack

from broker.core.batch import Batch
from broker.core.link import SALT, fresh, letter_uid, put_out
from broker.core.quiet import CALM, count_in
from broker.core.recipients import Target
from broker.core.state import Landing, Mailbox
from broker.core.storage import LargeFile, NewMessage
from broker.core.values import ESCAPED, json_size

MESSAGE_JSON_BYTES = 30_000
"""Text and data as JSON stay below this, so that a message always fits a one-shot reply of 32,767 bytes."""


@dataclass(slots=True)
class Draft:
    """A message about to be stored."""

    sender: Mailbox
    target: Target
    content: str
    data: bytes | None
    client_id: str | None
    land: int = Landing.AFTER_TOOL
    thread_id: int | None = None
    reply_to: int | None = None
    ttl_s: float | None = None
    written_s: float | None = None
    """When it was written, if not now."""
    person: bool = False
    """A person wrote it."""
    extra: dict[str, Any] = field(default_factory=dict)


def store_message(batch: Batch, draft: Draft) -> int:
    """Add one body and a delivery for each mailbox; a large body goes to its file first. Returns the message's id."""
    journal, state, to = batch.journal, batch.state, draft.target.mailboxes
    far = {mailbox.site for mailbox in to if mailbox.site}
    if draft.person:
        draft.extra["person"] = True
    if far:
        draft.extra[SALT] = fresh(batch, 6)
    row = next_row(batch, draft)
    message_id = row.id
    muting = {m.id for m in to if m.blocked and draft.sender.id in m.blocked}
    batch.store.add_message(row, [m.id for m in to if m.id not in muting])
    for mailbox in to:
        if mailbox.site:
            journal.set(mailbox, "queued", mailbox.queued + 1)
            if draft.land == Landing.AT_ONCE:
                journal.add(mailbox.urgent, message_id)
        elif mailbox.id in muting:
            batch.store.file_muted(mailbox.id, message_id, batch.now.term_s)
        else:
            count_in(batch, mailbox, message_id, draft.sender.name, draft.land, passes=draft.person, calm=CALM in draft.extra)
    for site in sorted(far):
        put_out(batch, site, message_id, letter_uid(message_id, row.created_s, draft.extra[SALT]))
    if not to:
        batch.store.file_nobodys(message_id, batch.now.term_s)
    if row.brief and (state.next_expiry_s is None or row.expires_s < state.next_expiry_s):
        journal.set(state, "next_expiry_s", row.expires_s)
    return message_id


def next_row(batch: Batch, draft: Draft) -> NewMessage:
    """The row of a new message under the next id. A large body is written to its file."""
    message_id = batch.state.last_message_id + 1
    batch.journal.set(batch.state, "last_message_id", message_id)
    created_s = batch.now.wall_s if draft.written_s is None else draft.written_s
    content, file = draft.content, None
    if needs_file(batch, content, draft.data):
        file = batch.store.write_large(draft.sender.name, draft.target.name, created_s, message_id, content)
        batch.journal.on_rollback(batch.store.remove_file, file.path)
        content = f"{summary(content)} Full content saved to: {file.path}"
    return make_row(batch, draft, message_id, created_s, content, file)


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
        data=draft.data,
        outcome=target.outcome,
        copies=max(1, len(to)),
        file_path=file.path if file else None,
        file_size=file.size_bytes if file else None,
        file_sha256=file.sha256 if file else None,
        land=draft.land,
        thread_id=draft.thread_id,
        reply_to=draft.reply_to,
        to_id=to[0].id if one else None,
        brief=1 if brief else None,
        extra=msgpack.packb(extra) if extra else None,
    )


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
