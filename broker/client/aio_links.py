"""How the asyncio client reaches the broker: by the Unix socket, or over ZeroMQ where an endpoint or a key is set."""

import asyncio
from typing import TYPE_CHECKING, Protocol

from broker.home.files import endpoint
from broker.home.local_sockets import check_peer
from broker.home.paths import wire_socket
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.errors import IpcError

if TYPE_CHECKING:
    from broker.client.keyfile import Handshakes

_READ_BYTES = 256 * 1024


class LinkOwner(Protocol):
    """Who is told what happens to a link."""

    def link_brought(self, frame: "bytes | memoryview") -> None:
        """A frame has come, to be read before this returns."""

    def link_lost(self) -> None: ...

    def link_refused(self, error: IpcError) -> None:
        """The broker does not let this key in, or is another one."""


class AsyncLink(Protocol):
    """One connection that carries frames."""

    def send(self, frame: bytes) -> None: ...

    def close(self, linger_ms: int) -> None:
        """End it, without a word; over ZeroMQ what was sent has so long to get out."""


async def open_async_link(settings: Settings, handshakes: "Handshakes | None", owner: LinkOwner) -> AsyncLink:
    """A connection to a broker that is known to run; with a key, to that of another machine. Raises IpcError."""
    loop = asyncio.get_running_loop()
    if handshakes is None and not settings.endpoint:
        link, path = AsyncStreamLink(owner), wire_socket(str(settings.home))
        try:
            transport, _ = await loop.create_unix_connection(lambda: link, path)
        except OSError:
            pass  # a broker of an earlier version
        else:
            try:
                check_peer(transport.get_extra_info("socket"), path)
            except IpcError:
                link.close(linger_ms=0)
                raise
            return link
    from broker.client.zeromq_link import AsyncZmqLink  # whose import costs 30 ms

    return AsyncZmqLink(endpoint(settings) if handshakes is None else handshakes.key.endpoint, handshakes, owner, loop)


class AsyncStreamLink(asyncio.BufferedProtocol):
    """A Unix socket."""

    def __init__(self, owner: LinkOwner) -> None:
        self._owner: LinkOwner | None = owner
        self._cutter = frames.Cutter(frames.LENGTH_LIMIT_BYTES)
        self._buffer = bytearray(_READ_BYTES)
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
