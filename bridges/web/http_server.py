"""uvicorn, as the page runs it: in the door's own loop, with the door's signals, and with bounds on strangers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridges.web.guard import Connected, Guard

CONNECTIONS = 256
STRANGERS = 8
"""Connections of other OS users at once: a Prometheus has one or two. For one more the new one is dropped."""
FIRST_REQUEST_S = 10.0
"""Seconds that a connection has for the whole head of its first request."""
HEAD_BYTES = 32 * 1024
_END_S = 1


class PageConnection(H11Protocol):
    """One browser's connection."""

    strangers: set[PageConnection]
    guard: Guard
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connected: socket.socket = transport.get_extra_info("socket")
        self.app: Any = Connected(self.guard, connected)
        if self.guard.peers(connected).verdict != "ours":
            if len(self.strangers) >= STRANGERS:
                transport.abort()
                return
            self.strangers.add(self)
        self._timer = self.loop.call_later(FIRST_REQUEST_S, self._time_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self.strangers.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _time_up(self) -> None:
        if self.cycle is None:
            self.transport.abort()


class PageServer(uvicorn.Server):
    """Serves until ``stopping`` is set."""

    def __init__(self, guard: Guard, stopping: asyncio.Event) -> None:
        kind = type("PageConnectionHere", (PageConnection,), {"guard": guard, "strangers": set()})
        super().__init__(
            uvicorn.Config(
                guard,
                http=kind,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,  # nobody stands between a browser and this port who could say who asks
                server_header=False,
                date_header=False,
                limit_concurrency=CONNECTIONS,
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
