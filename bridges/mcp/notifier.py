"""Tells an agent of its new mail. The mail is stored first; a push only points to it and acknowledges nothing.

    new mail --> inbox resource updated, for clients that asked to be told (both protocol eras)
             --> the line at the end of the next tool result (bridges.mcp.results), for every host
    wake     --> a notice to an idle Claude Code, by its inbox socket or as a channel (bridges.waking)

The broker says when a notice is given and by which way. Automatic checks arm the ways anew, so that it is told again of what is
still unread.
"""

import asyncio
from typing import Any

from bridges import waking
from bridges.mcp.session import BridgeSession
from bridges.mcp.voice import Voice
from bridges.waking import WakeWay
from broker.home.logs import Log
from broker.protocol.errors import IpcError

_GATHER_S = 0.3
_JOIN_AFTER_S = (0.5, 2.0, 8.0, 30.0, 120.0)
"""Seconds to wait before each look at whether the host's hooks have registered this session."""


class Notifier:
    """Tells one agent of its new mail."""

    def __init__(self, session: BridgeSession, voice: Voice, log: Log) -> None:
        self._session = session
        self._voice = voice
        self._log = log
        environment = session.agent.environment
        self._socket = waking.SocketWay(environment.get(waking.SOCKET_VARIABLE, ""), environment.get(waking.TOKEN_VARIABLE))
        self._channel = waking.ChannelWay(voice.channel)
        self._armed: list[str] = []
        self._saying: asyncio.Task[None] | None = None
        self._checks: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        session.ways = self._ways_now
        session.on_arrival = self.arrived
        session.on_wake = self.wake
        session.on_autocheck = self.check_every
        session.on_name = self.announce
        self._joining = self._spawn(self._join())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._checks is not None:
            self._checks.cancel()

    def may_rest(self, count: dict[str, Any] | None) -> bool:
        """Whether nothing is under way that only this process can do. ``count`` says what mail waits.

        Mail that waits where a way is armed may be a notice that is under way, and a new subscription would give it again.
        """
        if self._session.name is None:
            return self._joining.done()
        return (self._saying is None or self._saying.done()) and not (self._armed and count and waking.loud(count))

    def checks_in_s(self) -> float | None:
        """Seconds until the next automatic check."""
        return None if self._checks is None else max(0.0, self._checks.when() - asyncio.get_running_loop().time())

    def arrived(self, _push: dict[str, Any]) -> None:
        """Take the broker's push about new mail."""
        if self._saying is None or self._saying.done():
            self._saying = self._spawn(self._say_changed())

    def wake(self, push: dict[str, Any]) -> None:
        """Give the notice that the broker asks for."""
        way = next((way for way in (self._socket, self._channel) if way.name == push["way"]), None)
        result = waking.FAILED if way is None else way.give(waking.notice(push), push)
        self._log.info("woken" if result == waking.GIVEN else "wake_failed", name=push["instance_id"], way=push["way"])
        self._spawn(self._session.say_woken(str(push["way"]), result))

    def check_every(self, minutes: int) -> None:
        """Tell again every ``minutes`` of what is still unread; 0 ends that."""
        if self._checks is not None:
            self._checks.cancel()
            self._checks = None
        if minutes:
            loop = asyncio.get_running_loop()
            self._checks = loop.call_later(minutes * 60, lambda: self._spawn(self._check(minutes)))

    def announce(self) -> None:
        """Say by which ways mail reaches the session, which has a name now."""
        self._spawn(self._say_reach())

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(self._quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _quietly(self, work: Any) -> None:
        try:
            await work
        except IpcError as e:
            self._log.info("push_failed", code=e.code, name=self._session.name)

    async def _join(self) -> None:
        """Take up the session of the host's hooks, or of the project, before the first tool call, which may never come."""
        for pause_s in (0.0, *_JOIN_AFTER_S) if self._session.agent.state.get("name") else _JOIN_AFTER_S:
            await asyncio.sleep(pause_s)
            if self._session.may_join() and await self._session.registered():
                return

    async def _check(self, minutes: int) -> None:
        self.check_every(minutes)
        count = await self._session.count()
        if count and waking.loud(count):
            self._session.watch_mail()

    def _there(self) -> list[WakeWay]:
        """The ways by which this process can wake the host now."""
        binding = self._session.agent.binding(self._session.home)
        ways: list[WakeWay] = [self._socket] if self._socket.there() else []
        return [*ways, self._channel] if binding is not None and binding.channel else ways

    def _ways_now(self) -> dict[str, Any]:
        """What arms them, as fields of ``subscribe``."""
        binding = self._session.agent.binding(self._session.home)
        self._armed = [way.name for way in self._there()]
        return {"ways": self._armed} if binding is None else {"ways": self._armed, "look_s": binding.look_s}

    async def _say_reach(self) -> None:
        binding = self._session.agent.binding(self._session.home)
        said = [] if binding is None else [way for way in binding.reach if way not in waking.NAMES]
        await self._session.say_reach([*said, "footer"])

    async def _say_changed(self) -> None:
        await asyncio.sleep(_GATHER_S)
        if [way.name for way in self._there()] != self._armed:  # the host's socket or its hooks came later than we
            self._session.watch_mail()
        await self._voice.inbox_changed()
