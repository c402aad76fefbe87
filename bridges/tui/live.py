"""What the broker tells the view: the newest overview, asked anew after each change, and whether anybody answers.

watch_all --> overview --> shown, changed --> overview --> ...        the link breaks or an answer fails: said, tried again
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from broker.client.aio import AsyncConnection
from broker.protocol.errors import IpcError, RemoteError

_PACE_S = 0.3
"""At least so long between two overviews; beyond that five times as long as the last one took."""
_AGAIN_S = 0.3
_ANSWER_S = 10.0
_DEAD = 50
"""Dead letters that are shown."""
_TOO_OLD = "the service is of an older version; ipc down, then ipc up, starts this one"


class OverviewFeed:
    """Asks until cancelled. ``shown`` gets each overview with dead letters, ``away`` a sentence when nobody answers."""

    def __init__(
        self, broker: AsyncConnection, key: str, shown: Callable[[dict[str, Any], list[Any]], None], away: Callable[[str], None]
    ) -> None:
        self._broker = broker
        self._key = key
        self._shown = shown
        self._away = away
        self._changed = asyncio.Event()
        self._lost = False
        broker.on_link = self._linked

    async def run(self) -> None:
        while True:
            self._lost = False
            number, future = self._broker.begin({"action": "watch_all", "session_token": self._key}, _ANSWER_S)
            self._broker.on_push[number] = self._pushed
            try:
                reply = await future
                if reply.get("status") == "ok":
                    await self._follow()
                else:
                    self._away(_TOO_OLD if reply.get("code") == "unknown_action" else str(reply.get("message", "")))
            except IpcError as e:
                self._away(e.text)
            finally:
                self._broker.end_pushes(number)
            await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """Show what there is after each change, until the link is lost. Raises IpcError."""
        while not self._lost:
            self._changed.clear()
            begun_s = asyncio.get_running_loop().time()
            overview = await self._asked("overview")
            dead = (await self._asked("dead_letters", limit=_DEAD))["dead"] if overview.get("dead") else []
            self._shown(overview, dead)
            took_s = asyncio.get_running_loop().time() - begun_s
            await asyncio.sleep(max(_PACE_S, 5 * took_s))
            await self._changed.wait()

    async def _asked(self, action: str, **fields: Any) -> dict[str, Any]:
        """The reply to an owner's request. Raises IpcError."""
        reply = await self._broker.request({"action": action, "session_token": self._key, **fields}, _ANSWER_S)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    def ask_again(self) -> None:
        """Something was done here: do not wait for word of it."""
        self._changed.set()

    def _pushed(self, _push: dict[str, Any]) -> None:
        self._changed.set()

    def _linked(self, up: bool) -> None:
        if not up:
            self._away("the broker is away")
            self._lost = True
            self._changed.set()
