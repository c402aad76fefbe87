"""Mail that reaches an agent by itself. It is stored first: a push only points to it, and acknowledges nothing.

    new mail --> inbox resource updated, for clients that asked to be told (both protocol eras)
             --> a notice that wakes an idle Claude Code: by its inbox socket, else as a channel (bridges.hosts.wake)
             --> the line at the end of the next tool result (bridges.mcp.results), for every host

While a turn runs, hooks bring the mail at its tool calls and its end: a notice waits until the turn is over, unless the mail
is to interrupt. No host acknowledges a push and each may drop it, so automatic checks say again what is still unread.
"""

import asyncio
import contextlib
import os
import time
from typing import Any

from bridges.hosts import binding as bindings
from bridges.hosts import wake
from bridges.mcp.sdk import Voice
from bridges.mcp.session import BridgeSession
from broker.errors import IpcError
from broker.logs import Log

_TURN_POLL_S = 1.0
_JOIN_AFTER_S = (0.5, 2.0, 8.0, 30.0, 120.0)
"""When to look whether the host's hooks have registered this session, which a tool call would find out too."""


class Notifier:
    """Tells one agent of its new mail."""

    def __init__(self, session: BridgeSession, voice: Voice, log: Log) -> None:
        self._session = session
        self._voice = voice
        self._log = log
        self._home = str(session.home)
        environment = session.agent.environment
        self._host_session = environment.get("CLAUDE_CODE_SESSION_ID", "")
        self._socket = environment.get(wake.SOCKET_VARIABLE, "")
        self._token = environment.get(wake.TOKEN_VARIABLE)
        self._armed: dict[str, int] = {}
        self._telling: asyncio.Task[None] | None = None
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
        for fd in self._armed.values():
            os.close(fd)

    def arrived(self, push: dict[str, Any]) -> None:
        """The broker says that mail has come."""
        if self._telling is None or self._telling.done() or int(push.get("interrupt", 0)):
            self._telling = self._spawn(self._tell(push))

    def check_every(self, minutes: int) -> None:
        """Say again every so many minutes what is still unread; 0 ends that."""
        if self._checks is not None:
            self._checks.cancel()
            self._checks = None
        if minutes:
            loop = asyncio.get_running_loop()
            self._checks = loop.call_later(minutes * 60, lambda: self._spawn(self._check(minutes)))

    def announce(self) -> None:
        """The session has a name: say by which ways its mail reaches it."""
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
        """Take up the session of this host's hooks, or of this project, before the first tool call: it may never come."""
        for pause_s in _JOIN_AFTER_S:
            await asyncio.sleep(pause_s)
            if self._session.may_join() and await self._session.registered():
                return

    async def _check(self, minutes: int) -> None:
        self.check_every(minutes)
        count = await self._session.count()
        if count and count["unread"]:
            self.arrived(count)

    async def _say_reach(self) -> None:
        binding = self._session.agent.binding(self._session.home)
        ways = [] if binding is None else [way for way in binding.reach if way not in wake.WAYS]
        if self._arm("socket"):
            ways.insert(0, "socket")
        elif binding is not None and binding.channel and self._arm("channel"):
            ways.insert(0, "channel")
        await self._session.say_reach([*ways, "footer"])

    def _arm(self, way: str) -> bool:
        """Whether this process can wake the host in this way."""
        if way in self._armed:
            return True
        if not self._host_session or (way == "socket" and not wake.listens(self._socket)):
            return False
        fd = wake.arm(self._home, self._host_session, way)
        if fd is not None:
            self._armed[way] = fd
        return fd is not None

    async def _tell(self, push: dict[str, Any]) -> None:
        await self._voice.inbox_changed()
        if not self._armed:
            return
        urgent = int(push.get("interrupt", 0)) > 0
        while not urgent and bindings.busy(self._home, self._host_session, time.time()):
            await asyncio.sleep(_TURN_POLL_S)
        count = await self._session.count()
        if not count or not count["unread"]:
            return  # it was read meanwhile
        text = wake.notice(str(self._session.name), count)
        if "socket" in self._armed and wake.post(self._socket, self._token, text):
            self._log.info("woken", name=self._session.name, way="socket")
        elif "channel" in self._armed or self._arm("channel"):
            with contextlib.suppress(ConnectionError):
                await self._voice.channel(text, {"unread": str(count["unread"]), "name": str(self._session.name)})
            self._log.info("woken", name=self._session.name, way="channel")
