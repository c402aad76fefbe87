"""Server-sent events: one subscription at the broker tells all pages that something has changed.

    broker --changed--> Feed --asks overview, once for all--> Feed --event: changed--> each open page, which asks anew
                          '---event: broker, data: up | down

The broker tells a change only after this connection has asked for the overview since the last one. So the feed asks, at most
each 0.3 s, and keeps what it got for the pages that ask next. Without an open page it asks for nothing.

What a page has not been told yet is two flags: a slow reader costs nothing and makes nobody wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from broker.client.aio import AsyncConnection
from broker.protocol.errors import IpcError, RemoteError

PACE_S = 0.3
HEARTBEAT_S = 15.0
"""A comment goes out after so long without an event: it tells a page that is gone from one that is quiet."""
_RETRY_S = 0.5
_WATCH_S = 10.0
_FRESH_S = 0.15
"""So long the pages that were told get the overview that was asked for all of them. Whoever comes later may know of a newer
change."""
ASK_S = 20.0
ASK_DOWN_S = 2.0
"""How long a request waits for a broker that was gone a moment ago."""
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
        self._telling: asyncio.Task[None] | None = None
        self._told_s = 0.0
        self._changes = 0
        """Counts the pushes."""
        self._overview: dict[str, Any] = {}
        self._overview_s = -_FRESH_S
        self._overview_of = -1
        """The count of pushes when it was asked for."""
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
                if reply.get("status") == "ok":
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
        """End all streams, and what is under way for them."""
        self._closed = True
        if self._telling is not None:
            self._telling.cancel()
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
        self._changes += 1
        if self._pages and self._telling is None:
            self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        """Tell the pages, once the pace allows it and the next change is sure to be told; again if one came meanwhile."""
        loop = asyncio.get_running_loop()
        try:
            while self._pages:
                await asyncio.sleep(max(0.0, self._told_s + PACE_S - loop.time()))
                self._told_s = loop.time()
                changes = self._changes
                with contextlib.suppress(IpcError):
                    self._overview, self._overview_of = await self._ask(), changes
                    self._overview_s = loop.time()
                for page in self._pages:
                    page.changed = True
                    page.wake.set()
                if self._overview_of == self._changes or self.is_up is False:  # when the broker is back, all is new
                    break
        finally:
            self._telling = None

    async def overview(self) -> dict[str, Any]:
        """The broker's overview: as it is now, or as the pages that were just told will see it. Raises IpcError."""
        fresh = asyncio.get_running_loop().time() - self._overview_s < _FRESH_S
        return self._overview if fresh and self._overview_of == self._changes else await self._ask()

    async def _ask(self) -> dict[str, Any]:
        timeout_s = ASK_DOWN_S if self.is_up is False else ASK_S
        reply = await self._broker.request({"action": "overview", "session_token": self._key}, timeout_s)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    # streams

    async def stream(self) -> AsyncIterator[str]:
        """The events of one page, from now on. The first says whether the broker is there."""
        page = OpenPage()
        self._pages.add(page)
        page.wake.set()
        self._changed({})  # nothing was asked for while nobody looked
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
