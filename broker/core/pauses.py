"""Pauses: what the person holds. Nothing wakes an agent that is paused, and a pair that is paused can't write to each other.

Mail for a paused agent is stored as ever, and waits for its next turn; its senders are told. A group's mail reaches both of a
paused pair. A pause lasts until the person ends it, over restarts, and follows a renamed agent.
"""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.loop_guard import pair_of
from broker.core.standing import known_mailbox
from broker.core.values import iso
from broker.core.wakes import armed
from broker.protocol.errors import IpcError


def pause(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    body, held = request.body, batch.state.pauses
    mailbox = known_mailbox(batch, body["name"])
    other = None if body.get("other") is None else known_mailbox(batch, body["other"])
    if other is mailbox:
        raise IpcError("bad_request", detail="A pair has two names")
    key = (0, mailbox.id) if other is None else pair_of(mailbox, other)
    if body["on"] and key not in held:
        batch.journal.put(held, key, batch.now.wall_s)
        batch.store.save_pause(key, batch.now.wall_s)
        batch.event("paused", name=mailbox.name, other="" if other is None else other.name)
    elif not body["on"] and key in held:
        batch.journal.drop(held, key)
        batch.store.save_pause(key, None)
        batch.event("pause_ended", name=mailbox.name, other="" if other is None else other.name)
        if other is None:
            armed(batch, mailbox)
    return {"pauses": rows(batch)}


def rows(batch: Batch) -> list[dict[str, Any]]:
    by_id, found = batch.state.by_id, []
    for (first, second), since_s in batch.state.pauses.items():
        if second in by_id and (first in by_id or not first):
            row = {"name": by_id[first or second].name, "since": iso(since_s)}
            found.append({**row, "other": by_id[second].name} if first else row)
    return found
