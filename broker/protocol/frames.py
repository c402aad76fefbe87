"""Frames of the wire: one frame carries one request or a list of them, and so do replies. See PROTOCOL.md.

ZeroMQ carries frames as its messages. A stream socket carries them one after the other, each behind its length.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgpack

_Item = TypeVar("_Item")

VERSION = 2
"""Of the wire: 2 takes JSON lines at the Unix socket, and a lease ends with its connection there."""
FRAME_LIMIT_BYTES = 64 * 1024 * 1024
HEADER_BYTES = 4
LENGTH_LIMIT_BYTES = 2**32
"""What four bytes can say. The broker's replies have no other limit."""
_USUAL_BYTES = 1024 * 1024
ID_LENGTH = 128
FRAME_REQUESTS = 1024
"""Requests in one frame; more would let one connection hold the broker for long."""


NO_ID = f"an id is an integer, a text of at most {ID_LENGTH} characters, or nil"


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
        raise FrameError(f"not MessagePack with text keys: {str(e) or type(e).__name__}") from None
    maps = [value] if isinstance(value, dict) else value
    if not isinstance(maps, list) or not maps:
        raise FrameError("a frame holds one map or a list of maps")
    if len(maps) > FRAME_REQUESTS:
        raise FrameError(f"a frame holds at most {FRAME_REQUESTS} maps")
    for one in maps:
        if type(one) is not dict:
            raise FrameError("a frame holds one map or a list of maps")
        number = one.get("id")
        if type(number) is not int and not is_id(number):
            raise FrameError(NO_ID)
    return maps


def is_id(value: object) -> bool:
    """What a reply may echo: anything larger or nested would cost the broker what it did not cost the client."""
    return value is None or isinstance(value, int) or (isinstance(value, str) and len(value) <= ID_LENGTH)


def enclose(frame: bytes) -> bytes:
    """A frame as a stream carries it: its length in four bytes, most significant first, then itself."""
    return len(frame).to_bytes(HEADER_BYTES, "big") + frame


class Cutter:
    """Cuts what comes out of a stream into frames."""

    __slots__ = ("_limit", "_partial", "_wanted")

    def __init__(self, limit_bytes: int = FRAME_LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._partial = bytearray()
        """The beginning of a frame, with its length before it."""
        self._wanted = HEADER_BYTES
        """Bytes that it needs before there is more to say."""

    def feed(self, data: "bytes | memoryview") -> "list[bytes | memoryview]":
        """The frames that ``data`` completes, which live as long as it does. Raises FrameError for a frame over the limit."""
        if self._partial:
            self._partial += data
            if len(self._partial) < self._wanted:
                return []
            data = bytes(self._partial)
            self._partial.clear()
        frames: list[bytes | memoryview] = []
        start, end = 0, len(data)
        self._wanted = HEADER_BYTES
        while end - start >= HEADER_BYTES:
            size = int.from_bytes(data[start : start + HEADER_BYTES], "big")
            if size > self._limit:
                raise FrameError(f"a frame has at most {self._limit} bytes")
            until = start + HEADER_BYTES + size
            if until > end:
                self._wanted = HEADER_BYTES + size
                break
            frames.append(data[start + HEADER_BYTES : until])
            start = until
        if start < end:
            self._partial += data[start:]
        return frames


def batches(maps: list[_Item], size: int = 256) -> Iterable[list[_Item]]:
    """Cut a long list into frames' worth."""
    for start in range(0, len(maps), size):
        yield maps[start : start + size]


def frames(maps: list[dict[str, Any]]) -> Iterable[bytes]:
    """Frames of at most 256 maps each and, but for a map that is longer alone, of ``_USUAL_BYTES``."""
    for chunk in batches(maps):
        frame = encode(chunk)
        if len(frame) <= _USUAL_BYTES or len(chunk) == 1:
            yield frame
        else:
            half = len(chunk) // 2
            yield from frames(chunk[:half])
            yield from frames(chunk[half:])
