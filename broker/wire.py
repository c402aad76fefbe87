"""Frames of the ZeroMQ wire: one frame carries one request or a list of them, and so do replies. See PROTOCOL.md."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgpack

_Item = TypeVar("_Item")

VERSION = 1
FRAME_LIMIT_BYTES = 64 * 1024 * 1024
ID_LENGTH = 128
FRAME_REQUESTS = 1024
"""Requests in one frame; more would let one connection hold the broker for long."""


class FrameError(ValueError):
    """Bytes that are no frame; the text says why."""


def encode(maps: list[dict[str, Any]]) -> bytes:
    """One frame for a list of requests or replies."""
    packed: bytes = msgpack.packb(maps)
    return packed


def decode(frame: Any) -> list[dict[str, Any]]:
    """The maps of a frame. Raises FrameError for anything else than a map with text keys or a list of such."""
    try:
        value = msgpack.unpackb(frame, strict_map_key=True)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as e:
        raise FrameError(f"not MessagePack: {type(e).__name__}") from None
    maps = [value] if isinstance(value, dict) else value
    if not isinstance(maps, list) or not maps:
        raise FrameError("a frame holds one map or a list of maps")
    if len(maps) > FRAME_REQUESTS:
        raise FrameError(f"a frame holds at most {FRAME_REQUESTS} maps")
    for one in maps:
        if type(one) is not dict:
            raise FrameError("a frame holds one map or a list of maps")
        number = one.get("id")
        if type(number) is not int and not _is_id(number):
            raise FrameError(f"an id is an integer, a text of at most {ID_LENGTH} characters, or nil")
    return maps


def _is_id(value: object) -> bool:
    """What a reply may echo: anything larger or nested would cost the broker what it did not cost the client."""
    return value is None or isinstance(value, int) or (isinstance(value, str) and len(value) <= ID_LENGTH)


def batches(maps: list[_Item], size: int = 256) -> Iterable[list[_Item]]:
    """Cut a long list into frames' worth."""
    for start in range(0, len(maps), size):
        yield maps[start : start + size]
