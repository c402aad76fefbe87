"""The process that tells the person what waits. The broker says that something changed; then all of it is looked at anew.

    watch_all --changed--> overview --needs_of--> what a channel has not told --> channel

A look costs the broker one request, at most each second. What became of the process stands in ``run/notify.json``:
``{"pid", "channels", "error"}``. A fault in ``[notify]`` is tried again each 2 s.
"""

import asyncio
import contextlib
import time

from bridges.notify.answer_links import AnswerLinks
from bridges.notify.courier import Courier
from bridges.notify.notify_settings import ChannelSettings, read_channels
from bridges.owner_watch import OwnerWatch
from bridges.person import known_name
from bridges.tasks import end_tasks
from bridges.view.needs import needs_of
from broker.client.aio import AsyncConnection
from broker.home.files import owner_key
from broker.home.settings import Settings
from broker.protocol.errors import IpcError, SettingsError
from broker.service.door_process import DoorProcess

PACE_S = 1.0
LOOK_S = 60.0
"""A look without word of a change: a turn is over, a question's time comes."""
_DEAD = 100
"""Dead letters that are looked at; of more at once one hears the number."""
_END_S = 2.0


async def serve(process: DoorProcess) -> None:
    """Tell until told to stop."""
    settings = process.settings

    def say(error: str | None, channels: tuple[str, ...] = ()) -> None:
        process.say(channels=channels, error=error)

    home = str(settings.home)
    channels = await process.opened(lambda: read_channels(home), str, say, SettingsError)
    if channels is None:
        return
    broker = AsyncConnection(settings, autostart=not process.supervised, door="notify")
    courier = Courier(home, channels, AnswerLinks(settings), process.log)
    watch = Watch(broker, owner_key(home), courier, settings, hears_of_bounces=any("bounce" in one.kinds for one in channels))
    looking = asyncio.ensure_future(watch.run())
    say(None, tuple(channel.name for channel in channels))
    process.log.info("notify_started", channels=_words(channels))
    try:
        await process.stopping.wait()
        watch.stop()
        await asyncio.wait([looking], timeout=_END_S)  # what is under way is noted as told
    finally:
        await end_tasks([looking])
        await broker.close()


def _words(channels: list[ChannelSettings]) -> list[str]:
    return [f"{channel.name}: {', '.join(channel.told)}" for channel in channels]


class Watch:
    """The subscription to changes, and the looks."""

    def __init__(
        self, broker: AsyncConnection, key: str, courier: Courier, settings: Settings, *, hears_of_bounces: bool
    ) -> None:
        self._courier = courier
        self._settings = settings
        self._hears_of_bounces = hears_of_bounces
        self._stopping = asyncio.Event()
        self._owner = OwnerWatch(broker, key)
        self._changed = self._owner.changed

    async def run(self) -> None:
        """Look whenever something has changed, until cancelled."""
        watching = asyncio.ensure_future(self._owner.run())
        try:
            while not self._stopping.is_set():
                self._changed.clear()
                again_s = await self._look()
                left_s = LOOK_S if again_s is None else min(LOOK_S, max(0.0, again_s - time.time()))
                await _first_of(self._stopping, PACE_S)  # the broker sets no pace, so this does
                await _first_of(self._changed, left_s - PACE_S)
        finally:
            await end_tasks([watching])

    def stop(self) -> None:
        """Look no more; a look that is under way comes to its end."""
        self._stopping.set()
        self._changed.set()

    async def _look(self) -> float | None:
        try:
            overview = await self._owner.ask("overview")
            dead = (
                (await self._owner.ask("dead_letters", limit=_DEAD))["dead"]
                if self._hears_of_bounces and overview["dead"]
                else ()
            )
        except IpcError:
            return None  # the broker is away; the next connection brings a change
        person = known_name(self._settings)
        asked = {str(q["id"]) for q in overview["questions"] if q["to"] == person}
        return await self._courier.tell_all(needs_of(overview, person, dead), asked)


async def _first_of(event: asyncio.Event, wait_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), max(0.0, wait_s))
