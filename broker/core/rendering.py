"""Rendering: a message as its reader gets it."""

from typing import Any

import msgpack
import orjson

from broker.core.batch import Batch
from broker.core.storage import Delivery
from broker.core.values import iso, iso_term, land_word


def encoded_size(message: dict[str, Any]) -> int:
    """Bytes of the message as JSON, comma included. No door's form of it is longer, but for paths of large files."""
    return len(orjson.dumps(message)) + 1


def render(batch: Batch, mail: Delivery, to: str) -> dict[str, Any]:
    message: dict[str, Any] = {"content": mail.content}
    if mail.data is not None:
        message["data"] = msgpack.unpackb(mail.data)
    body: dict[str, Any] = {
        "from": mail.sender,
        "to": to,
        "timestamp": iso(mail.created_s),
        "message": message,
        "id": str(mail.id),
        "land": land_word(mail.land),
    }
    if mail.attempts:
        body["redelivered"] = True
    if mail.file_path is not None:
        body["file"] = {"path": mail.file_path, "size_bytes": mail.file_size, "sha256": mail.file_sha256}
    if mail.thread_id is not None:
        body["thread"] = str(mail.thread_id)
    if mail.reply_to is not None:
        body["reply_to"] = str(mail.reply_to)
    if mail.extra is not None:
        body.update(render_extra(batch, mail.id, msgpack.unpackb(mail.extra)))
    return body


def render_extra(batch: Batch, message_id: int, extra: dict[str, Any]) -> dict[str, Any]:
    """The fields that few messages have."""
    shown: dict[str, Any] = {k: extra[k] for k in ("group", "hops", "resends", "was") if k in extra}
    if "supersedes" in extra:
        shown["supersedes"] = str(extra["supersedes"])
    if "forwarded" in extra:
        first = extra["forwarded"]
        shown["forwarded"] = {"from": first["from"], "id": first["id"], "timestamp": iso(first["at"])}
    if "question" in extra:
        asker = batch.state.by_id.get(extra["question"]["asker"])
        waiting = asker is not None and any(w.question_id == message_id for w in asker.askers)
        shown["question"] = {"deadline": iso_term(batch, extra["question"]["deadline"]), "waiting": waiting}
    return shown
