"""The ZeroMQ door of the broker: one ROUTER socket, and its monitor, which tells of connections that end.

ZeroMQ names a connection by its route and tells of its end by its descriptor. The first frame of a route says the descriptor
(``SRCFD``), which joins the two. A descriptor is used again by a later connection, so the monitor is read before a route is
joined to one, and a route is joined to none that has ended or is another's: then its mail comes back by time, as before.
"""

import os
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.core.state import Route
from broker.home.endpoints import clear_socket
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.unread import Outbox

_MONITOR = "inproc://ends"


class Router:
    """Frames of connected DEALER sockets. ``fileno`` is libzmq's: it is readable when something changes, not while there is
    something to read, so ``waits`` must be asked before each sleep."""

    def __init__(self) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._outbox = Outbox(self._socket)
        self._socket.monitor(_MONITOR, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.monitor = self._context.socket(zmq.PAIR)
        """Readable when connections began or ended: then call ``hear``."""
        self.monitor.setsockopt(zmq.RCVHWM, 0)  # a full one would hold up libzmq's thread
        self.monitor.connect(_MONITOR)
        self._routes: dict[int, Route | None] = {}
        """By the descriptor of a connection; None before its first frame."""
        self._known: set[Route] = set()
        """Routes whose end will be told."""
        self.arrived: list[Route] = []
        """Connections since the loop looked whose end will be told, and ``departed``, those that have ended."""
        self.departed: list[Route] = []

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
        self._socket.disable_monitor()
        self.monitor.close(0)
        self._socket.close()
        self._context.term()

    def fileno(self) -> int:
        return int(self._socket.getsockopt(zmq.FD))

    def waits(self) -> bool:
        """True if a frame can be read."""
        events: Any = self._socket.getsockopt(zmq.EVENTS)
        return bool(events & zmq.POLLIN)

    def read(self) -> tuple[Route, bytes | None] | None:
        """The next message: its connection's route and its frame, None if it has several; None if no message has come."""
        s = self._socket  # whose recv_multipart takes three times as long
        try:
            route = s.recv(zmq.NOBLOCK)
        except zmq.Again:
            return None
        if route in self._known:
            frame = s.recv(zmq.NOBLOCK)
        else:
            first = s.recv(zmq.NOBLOCK, copy=False)
            frame = first.bytes
            self._meet(route, int(first.get(zmq.SRCFD)))
        if not s.getsockopt(zmq.RCVMORE):
            return route, frame
        while s.getsockopt(zmq.RCVMORE):
            s.recv(zmq.NOBLOCK)
        return route, None

    def hear(self) -> None:
        """Take what the monitor has."""
        while self.monitor.poll(0):
            event = recv_monitor_message(self.monitor)
            if event["event"] == zmq.EVENT_ACCEPTED:
                self._routes[event["value"]] = None
                continue
            route = self._routes.pop(event["value"], None)
            if route is not None:
                self._known.discard(route)
                self.departed.append(route)

    def _meet(self, route: Route, descriptor: int) -> None:
        """The first frame of a connection has come over this descriptor."""
        self.hear()
        if descriptor in self._routes and self._routes[descriptor] is None:
            self._routes[descriptor] = route
            self._known.add(route)
            self.arrived.append(route)

    def send(self, route: Route, bodies: list[dict[str, Any]]) -> bool:
        """False if the peer has gone (EHOSTUNREACH) or doesn't read (EAGAIN)."""
        try:
            self._outbox.send(route, frames.encode(bodies))
        except zmq.ZMQError:
            return False
        return True
