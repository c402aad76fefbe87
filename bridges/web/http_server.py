"""The page's server: beside the bounds of bridges.http_server, few connections of other OS users."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from bridges.http_server import HttpConnection, HttpServer
from bridges.web.guard import Connected, Guard

CONNECTIONS = 256
STRANGERS = 8
"""Connections of other OS users at once: a Prometheus has one or two. For one more the new one is dropped."""


class PageConnection(HttpConnection):
    """One browser's connection."""

    strangers: set[PageConnection]
    guard: Guard

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connected: socket.socket = transport.get_extra_info("socket")
        self.app: Any = Connected(self.guard, connected)
        if self.guard.peers(connected).verdict != "ours":
            if len(self.strangers) >= STRANGERS:
                transport.abort()
                return
            self.strangers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.strangers.discard(self)
        super().connection_lost(exc)


class PageServer(HttpServer):
    """Serves the page until ``stopping`` is set, then calls ``ending``, which ends the streams."""

    def __init__(self, guard: Guard, stopping: asyncio.Event, ending: Callable[[], None]) -> None:
        kind = type("PageConnectionHere", (PageConnection,), {"guard": guard, "strangers": set()})
        super().__init__(guard, stopping, CONNECTIONS, kind)
        self._ending = ending

    async def main_loop(self) -> None:
        await super().main_loop()
        self._ending()
