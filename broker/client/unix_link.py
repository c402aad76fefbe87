"""Links over the broker's Unix socket, for both clients."""

import asyncio
import select
import socket
import struct
import time

from broker.client.links import LinkOwner
from broker.home.local_sockets import check_peer, connected
from broker.protocol import frames
from broker.protocol.errors import IpcError

_READ_BYTES = 64 * 1024
_ASYNC_READ_BYTES = 256 * 1024
_STALLED_MS = 5000
"""A broker that takes nothing for so long hangs; the link counts as lost."""
_WAIT_S = 1
"""Longest wait in one ``recv``, by the kernel's own timeout: Python's would cost a ``poll`` before each."""


class UnixLink:
    """For the synchronous client; see ``broker.client.links.Link``."""

    def __init__(self, path: str) -> None:
        """Connect. Raises OSError where nobody listens, IpcError where another OS user does."""
        self._socket: socket.socket = connected(path)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", _WAIT_S, 0))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._cutter = frames.Cutter(frames.LENGTH_LIMIT_BYTES)
        self._read: list[bytes | memoryview] = []
        """Frames that came while sending."""
        self._lost = False

    def send(self, frame: bytes) -> None:
        data = memoryview(frames.enclose(frame))
        while data and not self._lost:
            try:
                data = data[self._socket.send(data, socket.MSG_DONTWAIT) :]
            except BlockingIOError:  # a broker whose replies nobody reads stops reading
                self._poll.modify(self._socket, select.POLLIN | select.POLLOUT)
                self._lost = not self._poll.poll(_STALLED_MS)
                self._poll.modify(self._socket, select.POLLIN)
                self._read += self._take(socket.MSG_DONTWAIT)
            except OSError:
                self._lost = True

    def receive(self, timeout_s: float) -> "list[bytes | memoryview]":
        came, self._read = self._read, []
        end_s = time.monotonic() + timeout_s
        while not came and not self._lost:
            left_s = end_s - time.monotonic()
            if left_s < _WAIT_S and (left_s <= 0 or not self._poll.poll(left_s * 1000)):
                break
            came = self._take()
        return came

    def was_lost(self) -> bool:
        return self._lost

    def _take(self, flags: int = 0) -> "list[bytes | memoryview]":
        try:
            data = self._socket.recv(_READ_BYTES, flags)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        self._lost = not data
        return self._cutter.feed(data)

    def close(self, linger_ms: int) -> None:
        self._socket.close()


async def open_async_link(path: str, owner: LinkOwner) -> "AsyncUnixLink":
    """Connect. Raises OSError where nobody listens, IpcError where another OS user does."""
    link = AsyncUnixLink(owner)
    transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: link, path)
    try:
        check_peer(transport.get_extra_info("socket"), path)
    except IpcError:
        link.close(linger_ms=0)
        raise
    return link


class AsyncUnixLink(asyncio.BufferedProtocol):
    """For asyncio; see ``broker.client.links.AsyncLink``."""

    def __init__(self, owner: LinkOwner) -> None:
        self._owner: LinkOwner | None = owner
        self._cutter = frames.Cutter(frames.LENGTH_LIMIT_BYTES)
        self._buffer = bytearray(_ASYNC_READ_BYTES)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None

    def send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(frames.enclose(frame))

    def close(self, linger_ms: int) -> None:
        self._owner = None
        if self._transport is not None:
            self._transport.close()

    # asyncio.BufferedProtocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        for frame in self._cutter.feed(self._view[:nbytes]):
            if self._owner is not None:
                self._owner.link_brought(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._owner is not None:
            self._owner.link_lost()
