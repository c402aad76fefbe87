"""``python -m bridges.mcp --serve``: the process that runs the MCP SDK for all agents of one data folder.

Each connection is one relay (bridges.mcp.relay_protocol) and one MCP session with a BridgeSession of its own. The supervisor
has the listening socket and starts this process when the first agent connects. Agents that connect while the process is
replaced wait in the socket's queue. Without agents for an hour, the process ends.

A session that fails ends alone. A session that reads slowly delays only its own answers: each has a task that writes.
"""

import asyncio
import os
import socket
from typing import Any

from bridges.mcp.conversation import CLOSE_S, Conversation
from bridges.mcp.light_calls import LightCalls
from bridges.mcp.notifier import Notifier
from bridges.mcp.relay_protocol import LINE_BYTES, PROTOCOL, note, read_note
from bridges.mcp.relayed_agent import Agent
from bridges.mcp.session import CURRENT, BridgeSession
from bridges.mcp.voice import Voice
from broker.home.environment import SHARED_SECRET
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.service.door_process import DoorProcess
from broker.version import VERSION

IDLE_S = 3600.0
_LIMIT_BYTES = LINE_BYTES + 1024
"""The longest line. A relay has refused what is longer than LINE_BYTES."""
_HELLO_S = 10.0


class Bridge:
    """All sessions of this process."""

    def __init__(self, settings: Settings, log: Log, stopping: asyncio.Event, *, autostart: bool) -> None:
        self._settings = settings
        self._log = log
        self._autostart = autostart
        self._calls = LightCalls()
        self._writers: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}
        self._idle: asyncio.TimerHandle | None = None
        self.stopping = stopping

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one relay's connection to its end."""
        self._writers[writer] = asyncio.current_task()
        if self._idle is not None:
            self._idle.cancel()
        try:
            session = await self._greet(reader, writer)
            if session is not None:
                CURRENT.set(session)
                voice = Voice(writer.write)
                notifier = Notifier(session, voice, self._log)
                try:
                    await Conversation(session, self._calls, reader, writer, voice, self.stopping).run()
                finally:
                    notifier.close()
        except (ConnectionError, TimeoutError) as e:
            self._log.info("session_lost", detail=str(e))
        finally:
            writer.close()
            del self._writers[writer]
            self.rest()

    def rest(self) -> None:
        """End after an hour without agents."""
        if not self._writers:
            self._idle = asyncio.get_running_loop().call_later(IDLE_S, self.stopping.set)

    async def drop(self) -> None:
        """End all connections at once. Relays ask the next process for what was not answered."""
        for writer in self._writers:
            writer.transport.abort()
        tasks = [task for task in self._writers.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=2 * CLOSE_S)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> BridgeSession | None:
        async with asyncio.timeout(_HELLO_S):
            line = await reader.readline()
        if not line:
            return None  # a look at whether we are there
        try:
            hello = read_note(line)
            agent = Agent.from_hello(hello)
            if hello.get("hello") != PROTOCOL:
                raise ValueError(f"it speaks {hello.get('hello')!r}")
        except (ValueError, KeyError, TypeError) as e:
            self._log.warning("hello_refused", detail=str(e)[:200])
            return None
        settings = self._settings
        if SHARED_SECRET in agent.environment:
            settings = settings.but(shared_secret=agent.environment[SHARED_SECRET])
        self._log.info("session_started", project=agent.project, relay_pid=hello.get("pid"), relay_version=hello.get("version"))
        writer.write(note(ready=VERSION))
        return BridgeSession(settings, agent, autostart=self._autostart, log=self._log)


async def serve(door: DoorProcess, *, listening: int | None, connected: int | None) -> None:
    """Serve until told to stop, or until an hour without agents is over."""
    log = door.log
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: _note_fault(log, context))
    bridge = Bridge(door.settings, log, door.stopping, autostart=not door.supervised)
    log.info("mcp_started", pid=os.getpid())
    if connected is not None:
        reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=connected), limit=_LIMIT_BYTES)
        await bridge.serve(reader, writer)
        return
    server = await asyncio.start_unix_server(bridge.serve, sock=socket.socket(fileno=listening), limit=_LIMIT_BYTES)
    bridge.rest()
    await door.stopping.wait()
    server.close()
    await bridge.drop()


def _note_fault(log: Log, context: dict[str, Any]) -> None:
    """Log what ended one session. The others go on."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        log.exception(error, "session_failed", detail=str(context.get("message")))
    else:
        log.error("session_failed", detail=str(context.get("message")))
