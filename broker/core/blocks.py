"""Blocks: whose mail an agent refuses, or files away unread."""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.far_names import far_mailbox, far_name
from broker.core.standing import known_mailbox
from broker.core.state import Mailbox, Session
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name


def block(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    other, mode = found_or_far(batch, request.body["name"]), request.body.get("mode") or "block"
    if other is session.mailbox:
        raise IpcError("bad_request", detail="One can't block oneself")
    set_block(batch, session.mailbox, other, mode)
    return {"message": f"{'Blocked' if mode == 'block' else 'Muted'} {other.name}"}


def unblock(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    other = found_or_far(batch, request.body["name"])
    set_block(batch, session.mailbox, other, None)
    return {"message": f"Unblocked {other.name}"}


def found_or_far(batch: Batch, name: str) -> Mailbox:
    """Who is meant; a name at another site need not have written yet."""
    if "@" not in name:
        return known_mailbox(batch, name)
    name, site = far_name(batch, name)
    if not is_name(name):
        raise IpcError("bad_request", detail="Name one agent of that site")
    return known_mailbox(batch, name) if site == batch.settings.site else far_mailbox(batch, name, site)


def set_block(batch: Batch, mailbox: Mailbox, other: Mailbox, mode: str | None) -> None:
    blocked = {k: v for k, v in mailbox.blocked.items() if k != other.id}
    if mode is not None:
        blocked[other.id] = mode
    if blocked != mailbox.blocked:
        batch.journal.set(mailbox, "blocked", blocked)
        batch.store.save_block(mailbox.id, other.id, mode)


def blocks(batch: Batch, session: Session, _request: Incoming) -> dict[str, Any]:
    rows = [
        {"name": other.name, "mode": mode}
        for i, mode in session.mailbox.blocked.items()
        if (other := batch.state.by_id.get(i)) is not None
    ]
    return {"blocks": sorted(rows, key=lambda r: r["name"])}
