"""Connections of clients over ZeroMQ: one DEALER socket, and its monitor, which tells of a broker's death at once."""

import asyncio
from collections.abc import Callable

import zmq


class ZmqLink:
    """For the synchronous client; see broker.links.Link."""

    def __init__(self, address: str) -> None:
        self._context = zmq.Context()
        self._socket = s = self._context.socket(zmq.DEALER)
        s.setsockopt(zmq.LINGER, 200)
        s.setsockopt(zmq.SNDHWM, 10_000)
        s.setsockopt(zmq.RCVHWM, 10_000)
        self._monitor = s.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        s.connect(address)
        self._poller = zmq.Poller()
        self._poller.register(s, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def receive(self, timeout_s: float) -> "list[bytes | memoryview]":
        if self._socket not in dict(self._poller.poll(int(timeout_s * 1000))):
            return []  # nothing came, or the broker went away
        frames: list[bytes | memoryview] = []
        while True:
            try:
                frames.append(self._socket.recv(zmq.NOBLOCK))
            except zmq.Again:
                return frames

    def close(self, linger_ms: int) -> None:
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(linger_ms)
        self._context.term()


class AsyncZmqLink:
    """For asyncio; see broker.aiolinks.AsyncLink."""

    def __init__(
        self,
        address: str,
        on_frame: "Callable[[bytes | memoryview], None]",
        on_lost: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._loop = loop
        self._closed = False
        self._context = zmq.Context()
        self._socket = s = self._context.socket(zmq.DEALER)
        s.setsockopt(zmq.SNDHWM, 0)  # bounded by the requests in flight, which their makers bound
        s.setsockopt(zmq.RCVHWM, 10_000)
        self._monitor = s.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        s.connect(address)
        loop.add_reader(s.fileno(), self._readable)
        loop.add_reader(self._monitor.fileno(), self._watch)
        loop.call_soon(self._watch)

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)
        self._loop.call_soon(self._readable)  # libzmq's descriptor is edge-triggered: sending may have taken the edge

    def _readable(self) -> None:
        while not self._closed:
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._on_frame(frame)

    def _watch(self) -> None:
        lost = False
        while not self._closed and self._monitor.poll(0):
            self._monitor.recv_multipart(zmq.NOBLOCK)
            lost = True
        if lost:
            self._on_lost()

    def close(self, linger_ms: int) -> None:
        self._closed = True
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_reader(self._monitor.fileno())
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(linger_ms)
        self._context.term()
