"""``python -m bridges.mcp --serve``: the process that runs the MCP SDK for all agents of one data folder.

Each connection is one relay (bridges.mcp.relay_protocol) and one MCP session with a BridgeSession of its own. The supervisor
has the listening socket and starts this process when the first agent connects. Agents that connect while the process is
replaced wait in the socket's queue.

The process ends when no agent has asked anything for ``mcp_rest_s``. The relays watch for mail meanwhile, and the next one that
needs it starts it again.

A session that fails ends alone. A session that reads slowly delays only its own answers: each has a task that writes.
"""

import asyncio
import os
import socket
from typing import Any, NamedTuple

from bridges.mcp.conversation import CLOSE_S, Conversation
from bridges.mcp.light_calls import LightCalls
from bridges.mcp.notifier import Notifier
from bridges.mcp.relay_protocol import LINE_BYTES, PROTOCOL, note, read_note
from bridges.mcp.relayed_agent import Agent
from bridges.mcp.session import CURRENT, BridgeSession
from bridges.mcp.voice import Voice
from bridges.waking import loud
from broker.home.environment import SHARED_SECRET
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.service.door_process import DoorProcess
from broker.version import VERSION

_LIMIT_BYTES = LINE_BYTES + 1024
"""The longest line. A relay has refused what is longer than LINE_BYTES."""
_HELLO_S = 10.0
_LOOKS = 3
"""Looks in ``mcp_rest_s`` at whether a process that may not end yet may end now."""


class Served(NamedTuple):
    """What belongs to a conversation."""

    session: BridgeSession
    notifier: Notifier
    writer: asyncio.StreamWriter
    rests: bool
    """Its relay knows what to do while no process serves it."""


class Bridge:
    """All sessions of this process."""

    def __init__(self, settings: Settings, log: Log, stopping: asyncio.Event, *, autostart: bool) -> None:
        self._settings = settings
        self._log = log
        self._autostart = autostart
        self._calls = LightCalls()
        self._writers: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}
        self._served: dict[Conversation, Served] = {}
        self._left_s = asyncio.get_running_loop().time()
        self._resting: set[asyncio.StreamWriter] = set()
        self.stopping = stopping

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one relay's connection to its end."""
        self._writers[writer] = asyncio.current_task()
        try:
            hello = await self._greet(reader, writer)
            if hello is not None:
                session = self._session(hello, writer)
                CURRENT.set(session)
                voice = Voice(writer.write)
                notifier = Notifier(session, voice, self._log)
                conversation = Conversation(session, self._calls, reader, writer, voice, self.stopping)
                session.on_watching = lambda: writer.write(note(watching=True))
                self._served[conversation] = Served(session, notifier, writer, hello.get("rests") is True)
                try:
                    await conversation.run()
                finally:
                    del self._served[conversation]
                    notifier.close()
        except (ConnectionError, TimeoutError) as e:
            self._log.info("session_lost", detail=str(e))
        finally:
            writer.close()
            del self._writers[writer]
            self._left_s = asyncio.get_running_loop().time()

    async def rest(self) -> None:
        """End when no agent has need of this process, after telling the relays."""
        rest_s = self._settings.mcp_rest_s
        while rest_s and not self.stopping.is_set():
            due_s = max([self._left_s, *(one.asked_s for one in self._served)]) + rest_s
            await asyncio.sleep(max(due_s - asyncio.get_running_loop().time(), rest_s / _LOOKS))
            if self._quiet(rest_s):
                await self._tell_to_rest(rest_s)

    def _quiet(self, rest_s: float) -> bool:
        until_s = asyncio.get_running_loop().time() - rest_s
        asked = all(served.rests and not one.busy and one.asked_s <= until_s for one, served in self._served.items())
        return asked and self._left_s <= until_s and len(self._writers) == len(self._served)

    async def _tell_to_rest(self, rest_s: float) -> None:
        rests: dict[Conversation, dict[str, Any]] = {}
        for conversation, served in list(self._served.items()):
            try:
                count = await served.session.count()
            except IpcError:
                return
            if not served.notifier.may_rest(count):
                return
            rests[conversation] = {"unread": loud(count or {}), "wake_s": served.notifier.checks_in_s()}
        if not self._quiet(rest_s) or rests.keys() != self._served.keys():
            return
        self.stopping.set()
        for conversation, fields in rests.items():
            served = self._served[conversation]
            self._resting.add(served.writer)
            conversation.rest({**served.session.rest(), **fields})

    async def drop(self) -> None:
        """End all connections, at once but for those that rest. Relays ask the next process for what was not answered."""
        for writer in self._writers.keys() - self._resting:
            writer.transport.abort()
        tasks = [task for task in self._writers.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=2 * CLOSE_S)

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> dict[str, Any] | None:
        async with asyncio.timeout(_HELLO_S):
            line = await reader.readline()
        if not line:
            return None  # a look at whether we are there
        try:
            hello = read_note(line)
            if hello.get("hello") != PROTOCOL:
                raise ValueError(f"it speaks {hello.get('hello')!r}")
            Agent.from_hello(hello)
        except (ValueError, KeyError, TypeError) as e:
            self._log.warning("hello_refused", detail=str(e)[:200])
            return None
        return hello

    def _session(self, hello: dict[str, Any], writer: asyncio.StreamWriter) -> BridgeSession:
        agent, settings = Agent.from_hello(hello), self._settings
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
    resting = asyncio.get_running_loop().create_task(bridge.rest())
    await door.stopping.wait()
    resting.cancel()
    server.close()
    await bridge.drop()


def _note_fault(log: Log, context: dict[str, Any]) -> None:
    """Log what ended one session. The others go on."""
    error = context.get("exception")
    if isinstance(error, BaseException):
        log.exception(error, "session_failed", detail=str(context.get("message")))
    else:
        log.error("session_failed", detail=str(context.get("message")))
