"""Connections of clients over ZeroMQ: one DEALER socket, and its monitor, which tells of a broker's death at once."""

import asyncio
import time
from typing import TYPE_CHECKING, Any

import zmq

from broker.client.keyfile import Handshakes
from broker.protocol.errors import IpcError

if TYPE_CHECKING:
    from broker.client.aio_links import LinkOwner


class Dealer:
    """The sockets of one connection; with a key, by CURVE."""

    def __init__(self, address: str, handshakes: Handshakes | None, send_limit: int) -> None:
        self._handshakes = handshakes
        self._may_wait = handshakes is None and send_limit > 0
        """For room; without a limit, or with a key, what can't be sent at once never will be."""
        self._context = zmq.Context()
        self._socket = s = self._context.socket(zmq.DEALER)
        s.setsockopt(zmq.LINGER, 200)
        s.setsockopt(zmq.SNDHWM, send_limit)
        s.setsockopt(zmq.RCVHWM, 10_000)
        events = zmq.EVENT_DISCONNECTED
        if handshakes is not None:
            handshakes.begin()
            handshakes.key.dress(s)
            events |= Handshakes.events()
        self._monitor = s.get_monitor_socket(events)
        s.connect(address)

    def _put(self, frame: bytes) -> None:
        """Raises IpcError where libzmq has given the connection up, since what answers speaks another protocol."""
        if self._may_wait:
            self._socket.send(frame)
            return
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            nobody = IpcError("unavailable", detail="what answers there is no broker")
            raise (nobody if self._handshakes is None else self._handshakes.key.wrong_server()) from None

    def _monitor_says_lost(self) -> bool:
        """Take what the monitor has; True if the connection was lost. Raises IpcError where trying again is of no use."""
        if self._handshakes is not None:
            return self._handshakes.read(self._monitor)
        lost = False
        while self._monitor.poll(0):
            self._monitor.recv_multipart(zmq.NOBLOCK)
            lost = True
        return lost

    def _end(self, linger_ms: int) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(linger_ms)
        self._context.term()


class ZmqLink(Dealer):
    """For the synchronous client; see broker.client.links.Link."""

    def __init__(self, address: str, handshakes: Handshakes | None = None) -> None:
        super().__init__(address, handshakes, send_limit=10_000)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def send(self, frame: bytes) -> None:
        self._put(frame)

    def receive(self, timeout_s: float) -> "list[bytes | memoryview]":
        frames: list[bytes | memoryview] = []
        if self._has_come(timeout_s):
            while True:
                try:
                    frames.append(self._socket.recv(zmq.NOBLOCK))
                except zmq.Again:
                    break
        return frames

    def _has_come(self, timeout_s: float) -> bool:
        end_s = time.monotonic() + timeout_s
        while True:
            ready: dict[Any, int] = dict(self._poller.poll(max(0, int((end_s - time.monotonic()) * 1000))))
            if self._socket in ready:
                return True
            if not ready or self._monitor_says_lost():
                return False

    def was_lost(self) -> bool:
        events: Any = self._monitor.getsockopt(zmq.EVENTS)
        return bool(events & zmq.POLLIN) and self._monitor_says_lost()

    def close(self, linger_ms: int) -> None:
        self._end(linger_ms)


class AsyncZmqLink(Dealer):
    """For asyncio; see broker.client.aio_links.AsyncLink."""

    def __init__(
        self, address: str, handshakes: Handshakes | None, owner: "LinkOwner", loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(address, handshakes, send_limit=0)  # bounded by the requests in flight, which their makers bound
        self._owner = owner
        self._loop = loop
        self._closed = False
        loop.add_reader(self._socket.fileno(), self._readable)
        loop.add_reader(self._monitor.fileno(), self._watch)
        loop.call_soon(self._watch)

    def send(self, frame: bytes) -> None:
        try:
            self._put(frame)
        except IpcError as error:
            self._owner.link_refused(error)
        else:
            self._loop.call_soon(self._readable)  # libzmq's descriptor is edge-triggered: sending may have taken the edge

    def _readable(self) -> None:
        while not self._closed:
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._owner.link_brought(frame)

    def _watch(self) -> None:
        if self._closed:
            return
        try:
            lost = self._monitor_says_lost()
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
