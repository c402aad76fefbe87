"""A connected socket in the event loop, in place of asyncio's transport.

Measured beside ``create_server`` in one run: one-shot requests take 14 to 23 % less of the door's processor time and come 10 to
45 % more often a second; lasting connections are alike; an idle one holds 4.7 KiB in place of 4.0.

asyncio makes a task, a future and a dozen calls of each new connection. This makes one registration, and reads at once what the
client has sent by then. The callbacks are those of asyncio.Protocol.
"""

import asyncio
import contextlib
import socket
from typing import Protocol

_READ_BYTES = 64 * 1024
"""At once. From 128 KiB on, malloc would ask the kernel for the memory each time."""
_SHARED_BYTES = 8 * 1024
"""At once while other clients are active: they wait meanwhile, about 10 µs a request."""
_SHARED_S = 1.0
"""Clients that were active within the last second will probably ask again."""
_HIGH_BYTES = 64 * 1024
_LOW_BYTES = 16 * 1024
"""Unsent bytes at which the owner is told to pause (64 KiB), and to go on (16 KiB)."""


class StreamOwner(Protocol):
    """The one that is told what happens to a stream."""

    def connection_made(self, stream: "ByteStream") -> None: ...
    def begun(self) -> None:
        """Called after the data that was already there has been delivered."""

    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> None: ...
    def connection_lost(self, error: OSError | None) -> None:
        """The last call; it comes once."""

    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class ByteStream(Protocol):
    """What an owner does with its stream, in clear or encrypted."""

    socket: socket.socket
    """For options and looks; its bytes go through the stream."""

    @property
    def is_closing(self) -> bool: ...
    @property
    def unsent_bytes(self) -> int:
        """Of what was written: bytes that the kernel has not taken yet."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def write(self, data: bytes) -> None:
        """Send, now or when the client takes it."""

    def close_sending(self) -> None:
        """End our side of the connection once what is written is sent."""

    def close(self) -> None:
        """Send what is written, then end."""

    def abort(self, error: OSError | None = None) -> None:
        """End now."""


class Readers:
    """The streams that have been read lately: one, or several."""

    __slots__ = ("_last", "_last_s", "_until_s")

    def __init__(self) -> None:
        self._last = -1
        self._last_s = self._until_s = -_SHARED_S

    def at_once(self, descriptor: int, now_s: float) -> int:
        """Note a read; how many bytes it may take."""
        if descriptor != self._last:
            if now_s - self._last_s < _SHARED_S:
                self._until_s = now_s + _SHARED_S
            self._last = descriptor
        self._last_s = now_s
        return _SHARED_BYTES if now_s < self._until_s else _READ_BYTES


_READERS = Readers()


class Stream:
    """One connected, non-blocking socket (``ByteStream``)."""

    __slots__ = (
        "_closing",
        "_ending",
        "_fd",
        "_loop",
        "_lost",
        "_out",
        "_owner",
        "_paused",
        "_reading",
        "_shut",
        "_writing",
        "socket",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, connected: socket.socket, owner: StreamOwner) -> None:
        self.socket = connected
        self._loop = loop
        self._fd = connected.fileno()
        self._owner = owner
        self._out = bytearray()
        self._reading = self._writing = self._paused = self._shut = self._ending = self._closing = self._lost = False

    def start(self) -> None:
        """Tell the owner, and read what is there."""
        self._owner.connection_made(self)
        self.resume_reading()
        if self._reading:
            self._readable()
        if not self._closing:
            self._owner.begun()

    @property
    def is_closing(self) -> bool:
        return self._closing

    @property
    def unsent_bytes(self) -> int:
        return len(self._out)

    def pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if not self._reading and not self._closing and not self._shut:
            self._reading = True
            self._loop.add_reader(self._fd, self._readable)

    def write(self, data: bytes) -> None:
        if self._closing:
            return
        if not self._out:
            try:
                sent = self.socket.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as e:
                self.abort(e)
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._out += data
        if not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self._writable)
        if len(self._out) > _HIGH_BYTES and not self._paused:
            self._paused = True
            self._owner.pause_writing()

    def close_sending(self) -> None:
        self._ending = True
        if not self._out and not self._closing:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._stop_reading()
        if not self._out:
            self._end(None)

    def abort(self, error: OSError | None = None) -> None:
        self._closing = True
        self._stop_reading()
        self._out.clear()
        self._end(error)

    def _stop_reading(self) -> None:
        self.pause_reading()
        self._shut = True

    def _readable(self) -> None:
        try:
            data = self.socket.recv(_READERS.at_once(self._fd, self._loop.time()))
        except BlockingIOError:
            return
        except OSError as e:
            self.abort(e)
            return
        if data:
            self._owner.data_received(data)
        else:
            self._stop_reading()
            self._owner.eof_received()

    def _writable(self) -> None:
        try:
            del self._out[: self.socket.send(self._out)]
        except BlockingIOError:
            return
        except OSError as e:
            self.abort(e)
            return
        if not self._out:
            self._writing = False
            self._loop.remove_writer(self._fd)
            if self._closing:
                self._end(None)
                return
            if self._ending:
                self.close_sending()
        if self._paused and len(self._out) <= _LOW_BYTES:
            self._paused = False
            self._owner.resume_writing()

    def _end(self, error: OSError | None) -> None:
        if self._lost:
            return
        self._lost = True
        if self._writing:
            self._loop.remove_writer(self._fd)
        self._loop.call_soon(self._tell_end, error)

    def _tell_end(self, error: OSError | None) -> None:
        owner = self._owner
        del self._owner  # a cycle, which only the rare garbage collection would free
        try:
            owner.connection_lost(error)
        finally:
            self.socket.close()
