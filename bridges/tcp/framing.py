"""Where the first JSON object of a connection ends. Each byte is looked at once.

Legacy clients announce nothing: they send one object without delimiter, perhaps byte by byte. So the end of the object is
found by its brackets. Anything that can't become a request is refused at the first byte that shows it.
"""

import contextlib
import re
from typing import Any

from broker.protocol.errors import IpcError
from broker.protocol.json_text import MAX_DEPTH, parse

_BLANK = b" \t\r\n"
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_VERB = re.compile(rb"(GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PRI) ")


class ObjectScanner:
    """Feed it bytes; it says where the first object ends."""

    __slots__ = ("_depth", "_in_string", "_limit", "_position", "buffer")

    def __init__(self, limit_bytes: int) -> None:
        self.buffer = bytearray()
        self._limit = limit_bytes
        self._position = 0
        self._depth = 0
        self._in_string = False

    def feed(self, data: bytes) -> int | None:
        """Add bytes; the offset just after the first complete object in ``buffer``, or None. Raises IpcError."""
        self.buffer += data
        if self._depth == 0 and not self._begin():
            return None
        end = self._scan()
        if (end or len(self.buffer)) > self._limit:
            raise IpcError("too_large", what="A request", size=len(self.buffer), limit=self._limit)
        return end

    def _begin(self) -> bool:
        """Skip blanks; True at the opening brace."""
        start = self._position
        while start < len(self.buffer) and self.buffer[start] in _BLANK:
            start += 1
        self._position = start
        if start == len(self.buffer):
            return False
        if self.buffer[start] != 0x7B:
            head = bytes(self.buffer[start : start + 16])
            if _VERB.match(head) or head[:1].isupper():
                raise IpcError("bad_request", detail="This port speaks JSON objects, not HTTP")
            raise IpcError("bad_request", detail="A request is a JSON object and begins with {")
        return True

    def _scan(self) -> int | None:
        buffer, position = self.buffer, self._position
        while True:
            if self._in_string:
                found = _INSIDE.search(buffer, position)
                if found is None:
                    self._position = len(buffer)
                    return None
                if found[0] == b"\\":
                    if found.end() == len(buffer):  # what it escapes has not come yet
                        self._position = found.start()
                        return None
                    position = found.end() + 1
                else:
                    self._in_string = False
                    position = found.end()
                continue
            found = _OUTSIDE.search(buffer, position)
            if found is None:
                self._position = len(buffer)
                return None
            position = found.end()
            if found[0] == b'"':
                self._in_string = True
            elif found[0] in (b"{", b"["):
                self._depth += 1
                if self._depth > MAX_DEPTH:
                    raise IpcError("bad_request", detail=f"JSON may be nested {MAX_DEPTH} deep")
            else:
                self._depth -= 1
                if self._depth == 0:
                    self._position = position
                    return position


class FirstObject:
    """The first object of a connection. Mostly it comes whole, and parsing it finds its end; else the scanner does."""

    __slots__ = ("_limit", "_scanner")

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._scanner: ObjectScanner | None = None

    @property
    def held_bytes(self) -> int:
        return 0 if self._scanner is None else len(self._scanner.buffer)

    def feed(self, data: bytes) -> tuple[bytes, dict[str, Any] | None, bytes] | None:
        """Add bytes; (the object's bytes, the request if it is parsed already, the bytes after it), or None until it is
        complete. Raises IpcError."""
        if self._scanner is None:
            self._scanner = ObjectScanner(self._limit)
            first, newline, rest = data.partition(b"\n")
            if first[:1] == b"{" and first.rstrip()[-1:] == b"}" and len(first) <= self._limit:
                with contextlib.suppress(IpcError):  # the scanner says what is wrong, or waits for the rest
                    return first, parse(first), newline + rest
        end = self._scanner.feed(data)
        if end is None:
            return None
        with memoryview(self._scanner.buffer) as buffer:
            return bytes(buffer[:end]), None, bytes(buffer[end:])


def past_newline(data: bytes) -> bytes | None:
    """What follows a newline behind the first object; None where no newline has come yet. Raises IpcError for other bytes."""
    head = data.lstrip(b" \t\r")
    if head and not head.startswith(b"\n"):
        raise IpcError("bad_request", detail="More bytes follow the JSON object; end each object with a newline")
    return head[1:] if head else None
