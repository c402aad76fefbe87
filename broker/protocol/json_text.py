"""Requests and replies as JSON text: one object a line, as the broker's Unix socket and the TCP door take them."""

import json
import math
from typing import Any

import orjson

from broker.protocol.errors import IpcError

MAX_DEPTH = 64
_INT64 = range(-(2**63), 2**64)
_FLAT = frozenset({str, int, bool, type(None)})
_TOO_DEEP = f"JSON may be nested {MAX_DEPTH} deep"


class LineSplitter:
    """Splits a stream into lines, each without the blanks around it. Blank lines are none."""

    __slots__ = ("_limit", "_rest")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._rest = bytearray()

    @property
    def held_bytes(self) -> int:
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Add bytes; the lines that are complete now."""
        *lines, rest = data.split(b"\n")
        if self._rest and lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        return [line for line in map(bytes.strip, lines) if line]

    def check(self) -> None:
        """Raise IpcError ``too_large`` where the line that is being read is too long."""
        if len(self._rest) > self._limit:
            raise IpcError("too_large", what="A line", size=len(self._rest), limit=self._limit)


def to_json(value: Any) -> bytes:
    """The bytes of a reply, or of a part of it, keys in their order."""
    return orjson.dumps(value)


def parse(raw: bytes) -> dict[str, Any]:
    """One request from its bytes. Raises IpcError ``bad_request`` for all that is not an object of plain JSON values."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = _parse_exactly(raw)  # which says what is wrong
    if type(value) is not dict:
        raise IpcError("bad_request", detail="A request is a JSON object and begins with {")
    request: dict[str, Any] = value
    for item in request.values():
        kind = type(item)
        if kind is not str and kind is not int and (kind is not dict or not _FLAT.issuperset(map(type, item.values()))):
            break
    else:  # nearly all
        return request
    if _has_float(value, 1):
        request = _parse_exactly(raw)  # orjson makes a float of an integer beyond 64 bits
    return request


def _has_float(value: Any, depth: int) -> bool:
    """Raises IpcError for what is nested too deep."""
    if depth > MAX_DEPTH:
        raise IpcError("bad_request", detail=_TOO_DEEP)
    found = False
    for item in value.values() if type(value) is dict else value:
        kind = type(item)
        if kind is float or ((kind is dict or kind is list) and _has_float(item, depth + 1)):
            found = True
    return found


def _parse_exactly(raw: bytes) -> Any:
    try:
        value = _DECODE(raw.decode("utf-8"))
        orjson.dumps(value)  # half a surrogate pair is no text
    except (UnicodeError, TypeError):  # orjson's refusal of a surrogate is a TypeError
        raise IpcError("bad_request", detail="The request is not valid UTF-8 text") from None
    except RecursionError:
        raise IpcError("bad_request", detail=_TOO_DEEP) from None
    except ValueError as e:
        raise IpcError("bad_request", detail=f"The request is not valid JSON: {str(e)[:120]}") from None
    return value


def _integer(digits: str) -> int:
    if len(digits) > 20 or int(digits) not in _INT64:
        raise IpcError("bad_request", detail="Integers must fit 64 bits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):  # such as 1e999, which could be echoed only as what is no JSON
        raise IpcError("bad_request", detail="Numbers must be finite")
    return value


def _constant(word: str) -> Any:
    raise IpcError("bad_request", detail=f"{word} is not JSON")


_DECODE = json.JSONDecoder(parse_int=_integer, parse_float=_finite, parse_constant=_constant).decode
"""Made once: json.loads makes one anew for each call that has options."""
