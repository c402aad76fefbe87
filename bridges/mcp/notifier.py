"""Tells an agent of its new mail. The mail is stored first; a push only points to it and acknowledges nothing.

    new mail --> inbox resource updated, for clients that asked to be told (both protocol eras)
             --> one notice that wakes an idle Claude Code: by its inbox socket, then as a channel (bridges.waking)
             --> the line at the end of the next tool result (bridges.mcp.results), for every host

While a turn runs, hooks bring the mail at its tool calls and its end. A notice waits for the end of the turn, unless the mail
is to interrupt. A host may drop a push and acknowledges none, so automatic checks tell again of what is still unread.
"""

import asyncio
import contextlib
import time
from typing import Any

from bridges import host_turns, waking
from bridges.mcp.sdk import Voice
from bridges.mcp.session import BridgeSession
from broker.home.logs import Log
from broker.protocol.errors import IpcError

_TURN_POLL_S = 1.0
_JOIN_AFTER_S = (0.5, 2.0, 8.0, 30.0, 120.0)
"""Seconds to wait before each look at whether the host's hooks have registered this session."""


class Notifier:
    """Tells one agent of its new mail."""

    def __init__(self, session: BridgeSession, voice: Voice, log: Log) -> None:
        self._session = session
        self._voice = voice
        self._log = log
        self._home = str(session.home)
        environment = session.agent.environment
        self._host_session = environment.get("CLAUDE_CODE_SESSION_ID", "")
        self._socket = environment.get(waking.SOCKET_VARIABLE, "")
        self._token = environment.get(waking.TOKEN_VARIABLE)
        self._ways = [waking.HeldWay(self._home, self._host_session, name) for name in ("socket", "channel")]
        self._pending = self._urgent = False
        self._telling: asyncio.Task[None] | None = None
        self._saying: asyncio.Task[None] | None = None
        self._checks: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        session.on_arrival = self.arrived
        session.on_autocheck = self.check_every
        session.on_name = self.announce
        self._spawn(self._join())

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._checks is not None:
            self._checks.cancel()
        for way in self._ways:
            way.rest()

    def arrived(self, push: dict[str, Any]) -> None:
        """Take the broker's push about new mail."""
        if self._saying is None or self._saying.done():
            self._saying = self._spawn(self._say_changed())
        self._pending = True
        self._urgent = self._urgent or int(push.get("interrupt", 0)) > 0
        if self._telling is None or self._telling.done():
            self._telling = self._spawn(self._tell())

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
        for pause_s in _JOIN_AFTER_S:
            await asyncio.sleep(pause_s)
            if self._session.may_join() and await self._session.registered():
                return

    async def _check(self, minutes: int) -> None:
        self.check_every(minutes)
        count = await self._session.count()
        if count and waking.loud(count):
            self.arrived(count)

    async def _say_reach(self) -> None:
        binding = self._session.agent.binding(self._session.home)
        ways = [] if binding is None else [way for way in binding.reach if way not in waking.WAYS]
        self._arm()
        await self._session.say_reach([*(way.name for way in self._ways if not way.resting()), *ways, "footer"])

    def _arm(self) -> None:
        """Arm the ways by which this process can wake the host now."""
        binding = self._session.agent.binding(self._session.home)
        for way in self._ways if self._host_session else ():
            if waking.listens(self._socket) if way.name == "socket" else binding is not None and binding.channel:
                way.arm()

    async def _say_changed(self) -> None:
        await asyncio.sleep(waking.GATHER_S)
        await self._voice.inbox_changed()

    async def _tell(self) -> None:
        """Give notice as long as mail comes. What a running turn leaves is told at its end."""
        while self._pending:
            await asyncio.sleep(waking.GATHER_S)
            while not self._urgent and host_turns.busy(self._home, self._host_session, time.time()):
                await asyncio.sleep(_TURN_POLL_S)
            self._pending, self._urgent = host_turns.busy(self._home, self._host_session, time.time()), False
            if not await self._wake():
                for way in self._ways:
                    way.rest()  # worse ways, of other processes, have as long to give notice
                await self._heeded(waking.Outlook(self._home, self._host_session))
            self._arm()

    async def _wake(self) -> bool:
        """Give notice in one way after the other. False if none brought a turn or a read."""
        armed = [way for way in self._ways if not way.resting()]
        for way in armed:
            count = await self._session.count()
            if not count or not waking.loud(count):
                return True  # the mail was read meanwhile
            given = waking.Outlook(self._home, self._host_session)
            if await self._give(way.name, {"instance_id": self._session.name, **count}) and await self._heeded(given):
                return True
        return not armed

    async def _give(self, way: str, count: dict[str, Any]) -> bool:
        text = waking.notice(count)
        if way == "socket":
            given = waking.post(self._socket, self._token, text)
        else:
            with contextlib.suppress(ConnectionError):
                await self._voice.channel(text, {"unread": str(count["unread"]), "name": str(count["instance_id"])})
            given = True
        self._log.info("woken" if given else "wake_failed", name=count["instance_id"], way=way)
        return given

    async def _heeded(self, given: waking.Outlook) -> bool:
        """Wait until a turn began or the mail was read. False if neither comes in time."""
        while not given.over():
            await asyncio.sleep(min(_TURN_POLL_S, max(0.0, given.until_s - time.monotonic())))
            if given.heeded():
                return True
        count = await self._session.count()
        return not count or not waking.loud(count)
