"""Tells each channel what it has not told: one look at all needs at a time, so nothing hangs on an event that was lost."""

import asyncio
import time
from collections.abc import Sequence, Set

from bridges.notify.channels import tell
from bridges.notify.http_post import ChannelError
from bridges.notify.notices import Link, Notification, is_for, notices_of
from bridges.notify.notify_settings import ChannelSettings
from bridges.notify.outbox import DeadNotice, NotifyOutbox
from bridges.view.needs import Need
from broker.home.logs import Log


class Courier:
    """The channels and their outbox."""

    def __init__(self, home: str, channels: Sequence[ChannelSettings], link_of: Link, log: Log) -> None:
        self._home = home
        self._channels = channels
        self._link_of = link_of
        self._log = log
        self._outbox = NotifyOutbox.read(home)
        self._written = ""
        self._asked: Set[str] = frozenset()

    async def tell_all(self, needs: Sequence[Need], asked: Set[str]) -> float | None:
        """Tell what is due; the Unix time at which something is to be tried again, None where nothing waits.

        ``asked``: ids of the questions that were put to the person's own name, and so can be answered by a link.
        """
        self._asked = asked
        self._outbox.see(needs, time.time())
        await asyncio.gather(*(self._tell(channel, needs) for channel in self._channels))
        self._keep()
        return self._outbox.next_s(needs)

    async def _tell(self, channel: ChannelSettings, needs: Sequence[Need]) -> None:
        due = self._outbox.due(channel.name, [need for need in needs if is_for(channel, need)], time.time())
        for notice in notices_of(channel, due, self._link):
            try:
                await tell(channel, notice)
            except ChannelError as e:
                self._failed(channel, notice, e)
            else:
                self._outbox.sent(channel.name, notice.keys, time.time())
                self._log.info("told", channel=channel.name, kind=notice.kind, name=notice.name)
            self._keep()

    def _link(self, need: Need) -> str:
        return "" if need.kind == "question" and need.id not in self._asked else self._link_of(need)

    def _failed(self, channel: ChannelSettings, notice: Notification, error: ChannelError) -> None:
        now_s = time.time()
        again = not error.final and self._outbox.failed(channel.name, notice.keys, now_s, str(error), error.retry_after_s)
        if not again:
            dead = DeadNotice(channel.name, notice.kind, notice.name, notice.title, now_s, str(error))
            self._outbox.give_up(dead, notice.keys)
        self._log.warning("not_told", channel=channel.name, kind=notice.kind, name=notice.name, again=again, detail=str(error))

    def _keep(self) -> None:
        """Write the state if it has changed. On a full disk it is kept in memory."""
        text = self._outbox.to_json()
        if text == self._written:
            return
        try:
            self._outbox.write(self._home)
            self._written = text
        except OSError as e:
            self._log.error("notify_not_kept", detail=str(e))
