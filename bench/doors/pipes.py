"""What carries frames of the wire to the broker and back: a DEALER socket, or the Unix socket."""

import select
import socket
import struct
from collections import deque
from typing import Any, Protocol

import zmq

from broker.home.paths import wire_socket
from broker.home.settings import Settings
from broker.protocol import frames

UNIX = "unix://"
_READ_BYTES = 256 * 1024
_SELECTABLE = 1024
_DEADLINE_S = 30


class Pipe(Protocol):
    """One connection."""

    def send(self, frame: bytes) -> None: ...

    def receive(self) -> bytes | memoryview:
        """The next frame, waiting for it. Raises TimeoutError after 30 s."""

    def wait(self, seconds: float) -> bool:
        """True as soon as a frame is there, or the time is over without one."""

    def close(self) -> None: ...


def stream_address(settings: Settings) -> str:
    """The broker's Unix socket, as ``open_pipe`` takes it."""
    return UNIX + wire_socket(str(settings.home))


def open_pipe(address: str, context: "zmq.Context[zmq.Socket[bytes]] | None" = None) -> Pipe:
    """A connection to ``unix://PATH`` or to a ZeroMQ endpoint, there with the caller's ``context`` or one of its own."""
    if address.startswith(UNIX):
        return StreamPipe(address.removeprefix(UNIX))
    return ZmqPipe(address, context)


def _readable(descriptor: int, seconds: float) -> bool:
    """Whether it becomes so in time: exact to the microsecond where select can watch it, else to the millisecond."""
    if descriptor < _SELECTABLE:
        return bool(select.select([descriptor], [], [], seconds)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class ZmqPipe:
    def __init__(self, address: str, shared: "zmq.Context[zmq.Socket[bytes]] | None") -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context() if shared is None else shared
        self._own = context if shared is None else None
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndhwm = self._socket.rcvhwm = 0
        self._socket.rcvtimeo = _DEADLINE_S * 1000
        self._socket.connect(address)
        self._descriptor: Any = self._socket.getsockopt(zmq.FD)
        self.send = self._socket.send

    def receive(self) -> bytes | memoryview:
        try:
            return self._socket.recv()
        except zmq.Again:
            raise TimeoutError("the broker does not answer") from None

    def wait(self, seconds: float) -> bool:
        # libzmq's descriptor tells of changes only: after a look that finds nothing the next change is news
        return bool(self._socket.poll(0) or (seconds > 0 and _readable(self._descriptor, seconds) and self._socket.poll(0)))

    def close(self) -> None:
        self._socket.close()
        if self._own is not None:
            self._own.term()


class StreamPipe:
    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _DEADLINE_S, 0))
        self._cutter = frames.Cutter()
        self._frames: deque[bytes | memoryview] = deque()

    def send(self, frame: bytes) -> None:
        self._socket.sendall(frames.enclose(frame))

    def receive(self) -> bytes | memoryview:
        while not self._frames:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                raise TimeoutError("the broker does not answer") from None
            if not data:
                raise ConnectionError("the broker has gone")
            self._frames += self._cutter.feed(data)
        return self._frames.popleft()

    def wait(self, seconds: float) -> bool:
        return bool(self._frames or _readable(self._socket.fileno(), seconds))

    def close(self) -> None:
        self._socket.close()
