"""Server-sent events: one subscription at the broker tells all pages that something has changed.

    broker --changed--> Feed --event: changed--> each open page, which asks anew
                          '---event: broker, data: up | down

What a page has not been told yet is two flags, so a slow reader costs nothing and makes nobody wait. The broker says
``changed`` again only after somebody asked (``overview``, ``letters``, ...), and the feed at most each 0.3 s.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from broker.client.aio import AsyncConnection
from broker.protocol.errors import IpcError

PACE_S = 0.3
HEARTBEAT_S = 15.0
"""A comment goes out after so long without an event: it tells a page that is gone from one that is quiet."""
_RETRY_S = 0.5
_WATCH_S = 10.0
MOST_PAGES = 100
"""Open streams."""
FRAME = "event: {event}\ndata: {data}\n\n"


class OpenPage:
    """What one stream has not been told yet."""

    __slots__ = ("changed", "told", "wake")

    def __init__(self) -> None:
        self.changed = False
        self.told: bool | None = None
        """The last word about the broker."""
        self.wake = asyncio.Event()


class Feed:
    """The subscription, and the streams that it feeds."""

    def __init__(self, broker: AsyncConnection, key: str) -> None:
        self._broker = broker
        self._key = key
        self._pages: set[OpenPage] = set()
        self._lost = asyncio.Event()
        self._due = False
        self._told_s = 0.0
        self.is_up: bool | None = None
        """Whether the broker answers; None before the first word."""
        self._closed = False
        broker.on_link = self._linked

    def __len__(self) -> int:
        return len(self._pages)

    async def run(self) -> None:
        """Keep the subscription until cancelled."""
        while True:
            self._lost.clear()
            number, future = self._broker.begin({"action": "watch_all", "session_token": self._key}, _WATCH_S)
            self._broker.on_push[number] = self._changed
            try:
                reply = await future
                if reply.get("status") == "ok" or reply.get("code") == "unknown_action":
                    self._say(up=True)
                    self._changed({})
                    await self._lost.wait()
                else:
                    self._say(up=False)
                    await asyncio.sleep(_RETRY_S)
            except IpcError:
                self._say(up=False)
            finally:
                self._broker.end_pushes(number)

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for page in self._pages:
            page.wake.set()

    # what the broker tells

    def _linked(self, up: bool) -> None:
        if not up:
            self._say(up=False)
            self._lost.set()

    def _say(self, *, up: bool) -> None:
        self.is_up = up
        for page in self._pages:
            page.wake.set()

    def _changed(self, _push: dict[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        if self._due:
            return
        self._due = True
        loop.call_at(max(loop.time(), self._told_s + PACE_S), self._tell)

    def _tell(self) -> None:
        self._due = False
        self._told_s = asyncio.get_running_loop().time()
        for page in self._pages:
            page.changed = True
            page.wake.set()

    # streams

    async def stream(self) -> AsyncIterator[str]:
        """The events of one page, from now on. The first says whether the broker is there."""
        page = OpenPage()
        self._pages.add(page)
        page.wake.set()
        try:
            yield "retry: 1000\n\n"
            while not self._closed:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(page.wake.wait(), HEARTBEAT_S)
                page.wake.clear()
                yield self._events(page) or ": still here\n\n"
        finally:
            self._pages.discard(page)

    def _events(self, page: OpenPage) -> str:
        text = ""
        if self.is_up is not None and page.told is not self.is_up:
            page.told = self.is_up
            text += FRAME.format(event="broker", data="up" if self.is_up else "down")
        if page.changed:
            page.changed = False
            text += FRAME.format(event="changed", data="")
        return text
