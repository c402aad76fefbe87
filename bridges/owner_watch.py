"""The owner's watch over the broker, for processes that look at everything anew whenever anything has changed."""

import asyncio
from collections.abc import Callable
from typing import Any

from broker.client.aio import AsyncConnection
from broker.protocol.errors import RemoteError

ASK_S = 15.0
_RETRY_S = 0.5


class OwnerWatch:
    """Requests with the owner's key, and ``changed``, which is set at each word of a change and at each new subscription.

    It takes the connection's ``on_link``. ``lost`` is called when the link has broken.
    """

    def __init__(self, broker: AsyncConnection, key: str, lost: Callable[[], None] = lambda: None) -> None:
        self.changed = asyncio.Event()
        self._broker = broker
        self._key = key
        self._lost = lost
        self._down = asyncio.Event()
        broker.on_link = self._linked

    def begin(self, action: str, **fields: Any) -> tuple[int, "asyncio.Future[dict[str, Any]]"]:
        """Send a request; its number, by which pushes name it, and its reply."""
        return self._broker.begin({"action": action, "session_token": self._key, **fields}, ASK_S)

    async def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        """The broker's reply. Raises IpcError."""
        reply = await self._broker.request({"action": action, "session_token": self._key, **fields}, ASK_S)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    async def run(self) -> None:
        """Keep the subscription to changes, until cancelled."""
        while True:
            self._down.clear()
            number, future = self.begin("watch_all")
            self._broker.on_push[number] = lambda _push: self.changed.set()
            try:
                reply = await future
                if reply.get("status") == "ok":
                    self.changed.set()
                    await self._down.wait()
                else:
                    await asyncio.sleep(_RETRY_S)
            finally:
                self._broker.end_pushes(number)

    def _linked(self, up: bool) -> None:
        if not up:
            self._lost()
            self._down.set()
