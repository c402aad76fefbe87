"""How the synchronous client reaches the broker: by the Unix socket, or over ZeroMQ where an endpoint or a key is set."""

import select
import socket
import time
from typing import TYPE_CHECKING, Protocol

from broker.home.files import endpoint
from broker.home.local_sockets import connected
from broker.home.paths import wire_socket
from broker.home.settings import Settings
from broker.protocol import frames

if TYPE_CHECKING:
    from broker.client.keyfile import Handshakes

_READ_BYTES = 64 * 1024
_STALLED_MS = 5000
"""A broker that takes nothing for so long hangs."""


class Link(Protocol):
    """One connection that carries frames."""

    def send(self, frame: bytes) -> None:
        """Send a frame. If the connection is lost, the next ``receive`` says so. Raises IpcError ``wrong_server``."""

    def receive(self, timeout_s: float) -> "list[bytes | memoryview]":
        """Frames that have come, waiting for the first; none if nothing came in time or the broker has gone.

        Raises IpcError where the broker does not let this key in, or is another one.
        """

    def was_lost(self) -> bool:
        """Whether it broke since the last request. One over ZeroMQ mends itself.

        A check that goes over the mended one and, once the loss is noticed, over another one, too, has its mail leased to the
        first. To ask costs several microseconds, so only those ask who would lose mail for a lease's time.
        """

    def close(self, linger_ms: int) -> None:
        """End it; over ZeroMQ what was sent has so long to get out."""


def open_link(settings: Settings, handshakes: "Handshakes | None" = None) -> Link:
    """A connection to a broker that is known to run; with a key, to that of another machine. Raises IpcError."""
    if handshakes is None and not settings.endpoint:
        try:
            return StreamLink(connected(wire_socket(str(settings.home))))
        except OSError:
            pass  # a broker of an earlier version
    from broker.client.zeromq_link import ZmqLink  # whose import costs 30 ms

    return ZmqLink(endpoint(settings) if handshakes is None else handshakes.key.endpoint, handshakes)


class StreamLink:
    """A connected Unix socket."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.setblocking(False)
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._cutter = frames.Cutter(frames.LENGTH_LIMIT_BYTES)
        self._read: list[bytes | memoryview] = []
        """Frames that came while sending."""
        self._lost = False

    def send(self, frame: bytes) -> None:
        data = memoryview(frames.enclose(frame))
        while data and not self._lost:
            try:
                data = data[self._socket.send(data) :]
            except BlockingIOError:  # a broker whose replies nobody reads stops reading
                self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)
                self._lost = not self._poll.poll(_STALLED_MS)
                self._poll.modify(self._socket, select.POLLIN)
                self._read += self._take()
            except OSError:
                self._lost = True

    def receive(self, timeout_s: float) -> "list[bytes | memoryview]":
        frames, self._read = self._read, []
        end_s = time.monotonic() + timeout_s
        while not frames and not self._lost:
            left_s = end_s - time.monotonic()
            if left_s <= 0 or not self._poll.poll(left_s * 1000):
                break
            frames = self._take()
        return frames

    def was_lost(self) -> bool:
        return self._lost

    def _take(self) -> "list[bytes | memoryview]":
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self._lost = not data
        return self._cutter.feed(data)

    def close(self, linger_ms: int) -> None:
        self._socket.close()
