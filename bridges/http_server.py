"""uvicorn, as doors run it: in the door's own loop, with the door's signals, and with bounds on whoever connects."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect, Request
from uvicorn.protocols.http.h11_impl import H11Protocol

from broker.protocol.errors import IpcError

HEAD_S = 10.0
"""Seconds that a connection has for the whole head of its next request, since it began or was answered last."""
HEAD_BYTES = 32 * 1024
_END_S = 1


class HttpConnection(H11Protocol):
    """A client's connection."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self._await_head()  # uvicorn's own time for the next request ends with the first byte, whatever follows it
        super().on_response_complete()

    def _await_head(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(HEAD_S, self._time_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _time_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()


class HttpServer(uvicorn.Server):
    """Serves until ``stopping`` is set."""

    def __init__(
        self, app: Any, stopping: asyncio.Event, connections: int, kind: type[HttpConnection] = HttpConnection
    ) -> None:
        # a warning for each request that is no HTTP, or asks for WebSockets, would let anybody fill the disk
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        super().__init__(
            uvicorn.Config(
                app,
                http=kind,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # nobody is believed who says in whose name he asks
                server_header=False,
                date_header=False,
                limit_concurrency=connections,
                h11_max_incomplete_event_size=HEAD_BYTES,
                timeout_graceful_shutdown=_END_S,
            )
        )
        self._stopping = stopping

    async def main_loop(self) -> None:
        """Wait to be told, and not ten times a second."""
        await self.on_tick(0)
        await self._stopping.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The door has its own."""
        yield


async def read_body(request: Request, most_bytes: int, most_s: float) -> bytes:
    """The whole body. Raises IpcError ``too_large``, ``idle_timeout``, ``bad_request``."""
    try:
        async with asyncio.timeout(most_s):
            return await _whole(request, most_bytes)
    except TimeoutError:
        raise IpcError("idle_timeout", limit=most_s) from None
    except ClientDisconnect:
        raise IpcError("bad_request", detail="The request ended before its body did") from None


async def _whole(request: Request, most_bytes: int) -> bytes:
    parts, size = [], 0
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > most_bytes:
        raise IpcError("too_large", what="The body", size=int(declared[:20]), limit=most_bytes)
    async for part in request.stream():
        size += len(part)
        if size > most_bytes:
            raise IpcError("too_large", what="A body", size=size, limit=most_bytes)
        parts.append(part)
    return b"".join(parts)
