"""Times, ids, texts and data, as requests and replies hold them: read, bounded and written here."""

import json
import math
from datetime import datetime, timezone
from typing import Any

import msgpack

from broker.core.batch import Batch, Incoming
from broker.core.state import Landing
from broker.protocol.errors import IpcError
from broker.protocol.essentials import LANDINGS

MAX_DEPTH = 64
"""Levels of nesting in the data of a message."""
_INT64 = range(-(2**63), 2**63)
MESSAGE_FIELDS = {"content", "data"}
ESCAPED = 6
"""Bytes that one byte of text can take in JSON (\\u0000)."""


def iso(unix_s: float) -> str:
    """UTC, ISO 8601 with microseconds and +00:00, which Python 3.8's fromisoformat reads too."""
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="microseconds")


def iso_term(batch: Batch, term_s: float) -> str:
    """The time of a term, or of what began one, by the wall clock as it is now."""
    return iso(term_s + batch.now.ahead_s)


def check_json(value: Any, depth: int = 0) -> None:
    """Raise ``bad_request`` unless every door can carry the value: what JSON can say, finite, 64 bit, at most 64 deep."""
    if value is None or isinstance(value, (bool, str)):
        return
    if isinstance(value, int):
        if value not in _INT64:
            raise IpcError("bad_request", detail="Integers in data must fit 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise IpcError("bad_request", detail="Numbers in data must be finite")
    elif depth >= MAX_DEPTH:
        raise IpcError("bad_request", detail=f"Data may be nested {MAX_DEPTH} deep")
    elif isinstance(value, list):
        for item in value:
            check_json(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise IpcError("bad_request", detail="Keys in data must be text")
            check_json(item, depth + 1)
    else:
        raise IpcError("bad_request", detail=f"Data can't hold a {type(value).__name__}")


def json_size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


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


def read_land(body: dict[str, Any], untold: int = Landing.AFTER_TOOL) -> int:
    """The landing that a request names, as the store keeps it; ``untold`` if it names none."""
    land = body.get("land")
    return untold if land is None else LANDINGS.index(land) + Landing.AS_DIGEST


def land_word(land: int) -> str:
    return LANDINGS[land - Landing.AS_DIGEST]


def read_ids(request: Incoming) -> list[int]:
    ids = []
    for value in request.body["ids"]:
        number = parse_id(value) if isinstance(value, str) else None
        if number is not None:
            ids.append(number)
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            ids.append(value)
        else:
            raise IpcError("bad_request", detail="ids must be message ids as check gave them")
    return ids


def parse_id(text: str) -> int | None:
    """The number of a message id as ``check`` shows it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
