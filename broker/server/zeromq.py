"""The ROUTER socket of the broker's ZeroMQ door (broker.server.router_door), and what tells of connections that end.

Where the end of one is not told, its mail comes back by time.
"""

import socket
from typing import Any

import zmq

from broker.core.state import Route
from broker.protocol import frames
from broker.protocol.departures import Departures
from broker.protocol.unread import Outbox


class Router:
    """Frames of connected DEALER sockets. ``fileno`` is libzmq's: it is readable when something changes, not while there is
    something to read, so ``waits`` must be asked before each sleep."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._outbox = Outbox(self._socket)
        self._used = True
        """The socket was used since it last had nothing, and may have taken in frames of which its descriptor does not tell."""
        self.ends = Departures(self._context, self._socket)
        s = self._socket
        s.setsockopt(zmq.ROUTER_MANDATORY, 1)  # an unreachable peer is an error that gives its mail back
        s.setsockopt(zmq.LINGER, 200)
        s.setsockopt(zmq.SNDHWM, 1000)
        s.setsockopt(zmq.RCVHWM, 1000)
        s.setsockopt(zmq.MAXMSGSIZE, frames.FRAME_LIMIT_BYTES)
        s.setsockopt(zmq.BACKLOG, 1024)

    def bind(self, address: str) -> None:
        """Raises OSError."""
        self._socket.bind(address)

    def take_over(self, listening: socket.socket, path: str) -> None:
        """Take connections from a Unix socket that listens at the path, too, and close it at the end."""
        self._used = True
        self._socket.setsockopt(zmq.USE_FD, listening.detach())
        self._socket.bind(f"ipc://{path}")
        self._socket.setsockopt(zmq.USE_FD, -1)

    def close(self) -> None:
        self.ends.close()
        self._socket.close()
        self._context.term()

    def fileno(self) -> int:
        return int(self._socket.getsockopt(zmq.FD))

    def waits(self) -> bool:
        """True if a frame can be read."""
        if self._used:
            events: Any = self._socket.getsockopt(zmq.EVENTS)
            self._used = bool(events & zmq.POLLIN)
        return self._used

    def read(self) -> tuple[Route, bytes | None] | None:
        """The next message: its connection's route and its frame, None if it has several; None if no message has come."""
        self._used = True
        s = self._socket  # whose recv_multipart takes three times as long
        try:
            route = s.recv(zmq.NOBLOCK)
        except zmq.Again:
            return None
        if route in self.ends.known:
            frame = s.recv(zmq.NOBLOCK)
        else:
            first = s.recv(zmq.NOBLOCK, copy=False)
            frame = first.bytes
            self.ends.meet(route, first)
        if not s.getsockopt(zmq.RCVMORE):
            return route, frame
        while s.getsockopt(zmq.RCVMORE):
            s.recv(zmq.NOBLOCK)
        return route, None

    def send(self, route: Route, bodies: list[dict[str, Any]]) -> bool:
        """False if the peer has gone (EHOSTUNREACH) or doesn't read (EAGAIN)."""
        self._used = True
        try:
            self._outbox.send(route, frames.encode(bodies))
        except zmq.ZMQError:
            return False
        return True
