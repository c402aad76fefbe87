"""Links over ZeroMQ, for both clients: a DEALER socket, and its monitor, which tells of a broker's death at once.

A link never mends itself: its socket does not reconnect, so a request can't reach a new broker over the old link and be
made once more over the next one. Import this module where it is used: ``import zmq`` costs 30 ms.
"""

import asyncio
import math
import threading
import time
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from broker.client.keyfile import KeyFile
from broker.client.links import LinkOwner
from broker.protocol.errors import IpcError

_HANDSHAKE_MS = 5000
_FAILURES = 3
"""Handshakes in a row that end without a cause before what answers counts as another server. A dying broker looks the same."""
_STALLED_MS = 5000
"""A broker that takes nothing for so long hangs; the link counts as lost."""
_QUEUE_FRAMES = 10_000
_SOCKETS = 8192
"""Of the shared context; a link has three, with its monitor's two ends. By default 1,023 would be all."""
_EVENTS = (
    zmq.EVENT_CLOSED  # the connection was never made
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Handshakes:
    """What the monitors of one client's sockets tell, socket after socket. ``key`` is that of another machine's broker."""

    def __init__(self, key: KeyFile | None) -> None:
        self.key = key
        self._failed = 0
        self._up = self._counted = False

    def begin(self, s: "zmq.Socket[bytes]") -> None:
        """Prepare a new socket before it connects: with a key, by CURVE."""
        self._up = self._counted = False
        if self.key is None:
            return
        s.setsockopt(zmq.CURVE_SERVERKEY, bytes.fromhex(self.key.server_key))
        s.setsockopt(zmq.CURVE_PUBLICKEY, bytes.fromhex(self.key.pair.public))
        s.setsockopt(zmq.CURVE_SECRETKEY, bytes.fromhex(self.key.pair.secret))
        s.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
        if "[" in self.key.endpoint:
            s.setsockopt(zmq.IPV6, 1)

    def read(self, monitor: "zmq.Socket[bytes]") -> bool:
        """Take what the monitor has; True if the connection was lost. Raises IpcError where trying again is of no use."""
        lost = False
        while monitor.poll(0):
            event = recv_monitor_message(monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self._failed, self._up = 0, True
                continue
            if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and self.key is not None:
                raise self.key.refused()
            if event == zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                raise self._wrong_server()
            lost = True
            # what speaks another protocol is told by DISCONNECTED alone
            if event != zmq.EVENT_CLOSED and not self._up and not self._counted:
                self._counted = True
                self._failed += 1
        if self._failed >= _FAILURES:
            self._failed = 0
            raise self._wrong_server()
        return lost

    def _wrong_server(self) -> IpcError:
        if self.key is not None:
            return self.key.wrong_server()
        return IpcError("unavailable", detail="what answers there is no broker")


class SharedContext:
    """One ZeroMQ context for all links of asyncio in this process, while there are some. Each context has two threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._users = 0

    def take(self) -> "zmq.Context[zmq.Socket[bytes]]":
        with self._lock:
            if self._context is None:
                self._context = zmq.Context()
                self._context.set(zmq.MAX_SOCKETS, _SOCKETS)
            self._users += 1
            return self._context

    def give_back(self) -> None:
        """The last user waits here until what its sockets sent has got out, as long as they linger."""
        with self._lock:
            self._users -= 1
            if not self._users and self._context is not None:
                self._context.term()
                self._context = None


_SHARED = SharedContext()


class Dealer:
    """The sockets of one link."""

    def __init__(
        self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, handshakes: Handshakes, send_limit: int
    ) -> None:
        self._handshakes = handshakes
        self._socket = s = context.socket(zmq.DEALER)
        s.setsockopt(zmq.LINGER, 200)
        s.setsockopt(zmq.SNDHWM, send_limit)
        s.setsockopt(zmq.RCVHWM, _QUEUE_FRAMES)
        s.setsockopt(zmq.RECONNECT_IVL, -1)
        handshakes.begin(s)
        self._monitor = s.get_monitor_socket(_EVENTS)
        s.connect(address)

    def _end(self, linger_ms: int) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(linger_ms)


class ZmqLink(Dealer):
    """For the synchronous client; see ``broker.client.links.Link``."""

    def __init__(self, address: str, handshakes: Handshakes) -> None:
        self._context = zmq.Context()
        super().__init__(self._context, address, handshakes, send_limit=_QUEUE_FRAMES)
        self._lost = False
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def send(self, frame: bytes) -> None:
        while not self._lost:
            try:
                self._socket.send(frame, zmq.NOBLOCK)
            except zmq.Again:  # the queue is full, or the connection gone
                self._poller.modify(self._socket, zmq.POLLOUT)
                self._lost = not self._poller.poll(_STALLED_MS) or self.was_lost()
                self._poller.modify(self._socket, zmq.POLLIN)
            else:
                return

    def receive(self, timeout_s: float) -> "list[bytes | memoryview]":
        came: list[bytes | memoryview] = []
        if self._has_come(timeout_s):
            while True:
                try:
                    came.append(self._socket.recv(zmq.NOBLOCK))
                except zmq.Again:
                    break
        return came

    def _has_come(self, timeout_s: float) -> bool:
        end_s = time.monotonic() + timeout_s
        while True:
            left_ms = math.ceil((end_s - time.monotonic()) * 1000)
            ready: dict[Any, int] = dict(self._poller.poll(max(0, left_ms)))
            if self._socket in ready:
                return True
            if not ready or self.was_lost():
                return False

    def was_lost(self) -> bool:
        self._lost = self._lost or self._handshakes.read(self._monitor)
        return self._lost

    def close(self, linger_ms: int) -> None:
        self._end(linger_ms)
        self._context.term()


class AsyncZmqLink(Dealer):
    """For asyncio; see ``broker.client.links.AsyncLink``."""

    def __init__(self, address: str, handshakes: Handshakes, owner: LinkOwner) -> None:
        # bounded by the requests in flight, which their makers bound
        super().__init__(_SHARED.take(), address, handshakes, send_limit=0)
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self._loop.add_reader(self._monitor.fileno(), self._watch)
        self._loop.call_soon(self._watch)

    def send(self, frame: bytes) -> None:
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:  # the connection is gone, and the monitor says so
            return
        events: Any = self._socket.getsockopt(zmq.EVENTS)
        if events & zmq.POLLIN:
            self._loop.call_soon(self._readable)  # libzmq's descriptor is edge-triggered: sending may have taken the edge

    def _readable(self) -> None:
        """Take one frame; the next one in the next turn of the loop, so that who else is ready is served between."""
        if self._closed:
            return
        try:
            frame = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return
        self._loop.call_soon(self._readable)
        self._owner.link_brought(frame)

    def _watch(self) -> None:
        if self._closed:
            return
        try:
            lost = self._handshakes.read(self._monitor)
        except IpcError as error:
            self._owner.link_refused(error)
            return
        if lost:
            self._owner.link_lost()

    def close(self, linger_ms: int) -> None:
        self._closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_reader(self._monitor.fileno())
        self._end(linger_ms)
        _SHARED.give_back()
