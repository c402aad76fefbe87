"""What a relay does for its agent while no process serves it: it hears of mail, and keeps the name's lock.

The process that served it has said how, in its last note (bridges.mcp.relay_protocol). Any word of the broker about the agent
means that a process is needed: only a process knows what to make of it.
"""

from __future__ import annotations

import os
import time

from broker.home.local_sockets import connected_quickly
from broker.home.locks import hold
from broker.home.paths import wire_socket
from broker.protocol import plain_json as json
from broker.protocol.errors import IpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

_RETRY_S = 2.0
"""Seconds between looks for a broker that went away."""


class Rest:
    """One agent's rest, which outlasts brokers. ``needed``: a process must serve the agent again."""

    def __init__(self, home: str, fields: dict[str, Any], lock_fd: int | None) -> None:
        self._home = home
        self._watch = fields.get("watch")
        self._unread = int(fields.get("unread") or 0)
        wake_s = fields.get("wake_s")
        self._wake_s = None if wake_s is None else time.monotonic() + float(wake_s)
        self._retry_s: float | None = None
        self._socket: _socket.socket | None = None
        self._received = bytearray()
        self.needed = False
        self.lock_fd = self._held(fields.get("lock"), lock_fd)
        self._subscribe()

    def fileno(self) -> int:
        return -1 if self._socket is None else self._socket.fileno()

    def due_s(self) -> float | None:
        """When to call ``look`` (monotonic), None for never."""
        times = [t for t in (self._wake_s, self._retry_s) if t is not None]
        return min(times) if times else None

    def look(self) -> None:
        """Do what is due."""
        now_s = time.monotonic()
        if self._wake_s is not None and now_s > self._wake_s:
            self.needed, self._wake_s = True, None
        if self._retry_s is not None and now_s > self._retry_s:
            self._subscribe()

    def read(self) -> None:
        """Take what the broker says."""
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        self._received += data
        *lines, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        for line in lines:
            self._take(json.loads(line))

    def close(self) -> None:
        """Hear no more of mail, and wait for nothing. The lock stays."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._received.clear()
        self._retry_s = self._wake_s = None

    def _take(self, told: dict[str, Any]) -> None:
        if "push" in told:
            self.needed = True
        elif told.get("status") != "ok":
            self.close()  # the session has ended; the next request tells how
        elif int(told.get("unread", 0)) > self._unread:
            self.needed = True

    def _subscribe(self) -> None:
        if self._watch is None:
            return
        self._retry_s = None
        request = json.dumps({**self._watch, "id": 1, "door": "mcp"}).encode() + b"\n"
        try:
            self._socket = connected_quickly(wire_socket(self._home))
            self._socket.setblocking(False)
            self._socket.send(request)
        except (OSError, IpcError):
            self._lose()

    def _lose(self) -> None:
        """The broker has gone, or there is none: look for it again."""
        wake_s = self._wake_s
        self.close()
        self._wake_s, self._retry_s = wake_s, time.monotonic() + _RETRY_S

    def _held(self, path: Any, before: int | None) -> int | None:
        """The lock of the session's file; of a file with another name than before in place of the one before."""
        if not isinstance(path, str):
            return before
        fd = hold(path)  # None if we hold it already
        if fd is not None and before is not None:
            os.close(before)
        return before if fd is None else fd
