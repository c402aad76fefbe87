"""What a relay keeps of one MCP session: lines, ids, and what a new process must hear. It has no sockets."""

from __future__ import annotations

from bridges.mcp.relay_protocol import LINE_BYTES
from broker.protocol import plain_json as json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_GIVE_UP = 5
"""How many times a request is sent again. The process may die of it."""
_STICKY = ("resources/subscribe", "logging/setLevel")
"""Requests whose effect a new process must have, too."""


class Lines:
    """Bytes in, whole lines out. Of a line over the limit, ``too_long`` gets the beginning; the rest is dropped."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._dropping = False
        self.too_long: list[bytes] = []

    def feed(self, data: bytes) -> list[bytes]:
        self._buffer += data
        lines = []
        while (newline := self._buffer.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._buffer[:newline]).strip()
            del self._buffer[: newline + 1]
            self._scanned = 0
            if self._dropping:
                self._dropping = False
            elif len(line) > LINE_BYTES:
                self.too_long.append(line[:1024])
            elif line:
                lines.append(line)
        self._scanned = len(self._buffer)
        if len(self._buffer) > LINE_BYTES:
            if not self._dropping:
                self.too_long.append(bytes(self._buffer[:1024]))
            self._dropping = True
            self._buffer.clear()
            self._scanned = 0
        return lines

    def rest(self) -> list[bytes]:
        """The last line, which has no newline."""
        return self.feed(b"\n")


class Exchange:
    """What was asked and not answered on both sides, and what to say to a new process."""

    def __init__(self) -> None:
        self.pending: dict[str, bytes] = {}
        self._resent: dict[str, int] = {}
        self._handshake: tuple[str, bytes] | None = None
        self._initialized: bytes | None = None
        self._sticky: dict[str, tuple[str, bytes]] = {}
        self._swallow: set[str] = set()
        self._asked: set[str] = set()

    def from_host(self, line: bytes) -> bool:
        """Take note of a message of the host. False if it must not go on."""
        message = _object(line)
        if message is None:
            return True  # the SDK answers it
        method, number = message.get("method"), message.get("id")
        if method is None and ("result" in message or "error" in message):
            key = _key(number)
            known = key in self._asked
            self._asked.discard(key)
            return known  # False for an answer to what an earlier process asked
        if method is None or not _is_id(number):  # the SDK refuses an id that is none; nothing can be answered here
            self._note_notification(method, message, line)
            return True
        key = _key(number)
        self.pending[key] = line
        if method == "initialize":
            self._handshake, self._initialized = (key, line), None
            self._sticky.clear()
        elif method in _STICKY:
            self._sticky[f"{method} {_uri(message)}"] = (key, line)
        elif method == "resources/unsubscribe":
            self._sticky.pop(f"resources/subscribe {_uri(message)}", None)
        return True

    def answered_here(self, line: bytes, number: Any) -> bool:
        """Take note of a request that the relay answered. True if the process must hear it, too; its answer is swallowed."""
        message = _object(line) or {}
        if message.get("method") != "initialize":
            return False
        key = _key(number)
        self._handshake, self._initialized = (key, line), None
        self._sticky.clear()
        self._swallow.add(key)
        return True

    def _note_notification(self, method: Any, message: dict[str, Any], line: bytes) -> None:
        if method == "notifications/initialized":
            self._initialized = line
        elif method == "notifications/cancelled":
            self.settle(_key(_params(message).get("requestId")))  # a cancelled request gets no answer

    def from_server(self, line: bytes) -> bool:
        """Take note of a message of the SDK. False if the host must not see it."""
        message = _object(line)
        if message is None:
            return False
        number = message.get("id")
        if "method" in message:
            if number is not None:
                self._asked.add(_key(number))
            return True
        key = _key(number)
        if key in self._swallow:
            self._swallow.discard(key)
            return False
        if number is None:
            return True
        return self.settle(key)

    def settle(self, key: str) -> bool:
        """Note that the request has its answer. False if it had one already."""
        self._resent.pop(key, None)
        return self.pending.pop(key, None) is not None

    def replay(self) -> tuple[list[bytes], list[str]]:
        """(lines for a new process, keys of requests that were sent again too often)."""
        self._asked.clear()
        self._swallow.clear()
        lines, given_up = [], []
        for key in self.pending:
            self._resent[key] = self._resent.get(key, 0) + 1
            if self._resent[key] > _GIVE_UP:
                given_up.append(key)
        if self._handshake is not None:
            lines.append(self._again(*self._handshake))
            lines += [self._initialized] if self._initialized is not None else []
        lines += [self._again(key, line) for key, line in self._sticky.values()]
        said = {key for key, _line in [*([self._handshake] if self._handshake else []), *self._sticky.values()]}
        lines += [line for key, line in self.pending.items() if key not in said and key not in given_up]
        return lines, given_up

    def _again(self, key: str, line: bytes) -> bytes:
        """A line for a new process. If the host has its answer already, the second answer is swallowed."""
        if key not in self.pending:
            self._swallow.add(key)
        return line


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_id(number: Any) -> bool:
    return isinstance(number, (str, int))


def _key(number: Any) -> str:
    """The same text for one id in every process. Empty for what is no id, such as a number that JSON can't write."""
    return json.dumps(number) if _is_id(number) else ""


def _uri(message: dict[str, Any]) -> str:
    uri = _params(message).get("uri")
    return uri if isinstance(uri, str) else ""


def _params(message: dict[str, Any]) -> dict[str, Any]:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def id_in(head: bytes) -> Any:
    """The id of a request of which only the beginning is known; None if it does not stand there."""
    import re

    found = re.search(rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{1,128}")', head)
    try:
        return json.loads(found[1]) if found else None
    except ValueError:  # such as 01
        return None
