"""The ZeroMQ door of the broker: one ROUTER socket."""

import os
from typing import Any

import zmq

from broker.core.state import Route
from broker.home.files import clear_socket
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.unread import Outbox


class Router:
    """Frames of connected DEALER sockets. ``fileno`` is libzmq's: it is readable when something changes, not while there is
    something to read, so ``waits`` must be asked before each sleep."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._outbox = Outbox(self._socket)

    def open(self, settings: Settings, address: str) -> None:
        """Bind, or raise OSError. The caller holds the folder's lock."""
        s = self._socket
        s.setsockopt(zmq.ROUTER_MANDATORY, 1)  # an unreachable peer is an error that gives its mail back
        s.setsockopt(zmq.LINGER, 200)
        s.setsockopt(zmq.SNDHWM, 1000)
        s.setsockopt(zmq.RCVHWM, 1000)
        s.setsockopt(zmq.MAXMSGSIZE, frames.FRAME_LIMIT_BYTES)
        s.setsockopt(zmq.BACKLOG, 1024)
        self.bind(settings, address)

    def bind(self, settings: Settings, address: str) -> None:
        """Bind, or bind again after the socket was removed from its place; connections go on. To unbind before would have
        libzmq remove the new file, so a descriptor of the old one stays."""
        if not address.startswith("ipc://"):
            self._socket.bind(address)
            return
        path = address.removeprefix("ipc://")
        clear_socket(settings, path)
        self._socket.bind(address)
        os.chmod(path, 0o600)

    def close(self) -> None:
        self._socket.close()
        self._context.term()

    def fileno(self) -> int:
        return int(self._socket.getsockopt(zmq.FD))

    def waits(self) -> bool:
        """True if a frame can be read."""
        events: Any = self._socket.getsockopt(zmq.EVENTS)
        return bool(events & zmq.POLLIN)

    def read(self) -> list[bytes] | None:
        """The next message, its connection's route first; None if none has come."""
        try:
            return self._socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None

    def send(self, route: Route, bodies: list[dict[str, Any]]) -> bool:
        """False if the peer has gone (EHOSTUNREACH) or doesn't read (EAGAIN)."""
        try:
            self._outbox.send(route, frames.encode(bodies))
        except zmq.ZMQError:
            return False
        return True
