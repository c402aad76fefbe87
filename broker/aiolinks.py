"""How the asyncio client reaches the broker: by the Unix socket, or over ZeroMQ where an endpoint is set."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from broker import wire
from broker.place import wire_socket
from broker.runtime import endpoint
from broker.settings import Settings

_READ_BYTES = 256 * 1024
OnFrame = Callable[["bytes | memoryview"], None]


class AsyncLink(Protocol):
    """One connection that carries frames; those that come are told to ``on_frame``, its loss, once, to ``on_lost``."""

    def send(self, frame: bytes) -> None: ...

    def close(self, linger_ms: int) -> None:
        """End it, without a word; over ZeroMQ what was sent has so long to get out."""


async def open_async_link(settings: Settings, on_frame: OnFrame, on_lost: Callable[[], None]) -> AsyncLink:
    """A connection to a broker that is known to run. Raises OSError."""
    loop = asyncio.get_running_loop()
    if not settings.endpoint:
        link = AsyncStreamLink(on_frame, on_lost)
        try:
            await loop.create_unix_connection(lambda: link, wire_socket(str(settings.home)))
        except OSError:
            pass  # a broker of an earlier version
        else:
            return link
    from broker.zmqlink import AsyncZmqLink  # whose import costs 30 ms

    return AsyncZmqLink(endpoint(settings), on_frame, on_lost, loop)


class AsyncStreamLink(asyncio.BufferedProtocol):
    """A Unix socket."""

    def __init__(self, on_frame: OnFrame, on_lost: Callable[[], None]) -> None:
        self._on_frame = on_frame
        self._on_lost: Callable[[], None] | None = on_lost
        self._cutter = wire.Cutter()
        self._buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None

    def send(self, frame: bytes) -> None:
        if self._transport is not None:
            self._transport.write(wire.enclose(frame))

    def close(self, linger_ms: int) -> None:
        self._on_lost = None
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
            self._on_frame(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._on_lost is not None:
            self._on_lost()
