"""``python -m bridges.mcp --serve``: the process that runs the MCP SDK for all agents of one data folder.

Each connection is one relay (bridges.mcp.relay_protocol) and one MCP session with a BridgeSession of its own. The supervisor
has the listening socket and starts this process when the first agent connects. Agents that connect while the process is
replaced wait in the socket's queue. Without agents for an hour, the process ends.

A session that fails ends alone. A session that reads slowly delays only its own answers: each has a task that writes.
"""

import asyncio
import contextlib
import dataclasses
import os
import socket
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.mcpserver import MCPServer
from mcp.shared.message import SessionMessage

from bridges.mcp import sdk
from bridges.mcp.notifier import Notifier
from bridges.mcp.relay_protocol import LINE_BYTES, NOTE, PROTOCOL, note, read_note
from bridges.mcp.relayed_agent import Agent
from bridges.mcp.server import build
from bridges.mcp.session import BridgeSession
from bridges.mcp.tool_evidence import patience_of
from broker.home.environment import SHARED_SECRET
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.service.door_process import DoorProcess
from broker.version import VERSION

IDLE_S = 3600.0
_LIMIT_BYTES = LINE_BYTES + 1024
"""The longest line. A relay has refused what is longer than LINE_BYTES."""
_HELLO_S = 10.0
_CLOSE_S = 1.5
"""Seconds to acknowledge what was shown when a session ends. Hosts kill what needs 2 s."""


class Bridge:
    """All sessions of this process."""

    def __init__(self, settings: Settings, log: Log, stopping: asyncio.Event, *, autostart: bool) -> None:
        self._settings = settings
        self._log = log
        self._autostart = autostart
        self._template = build(log)
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
                sdk.CURRENT.set(session)
                voice = sdk.Voice()
                notifier = Notifier(session, voice, self._log)
                try:
                    await Conversation(session, self._template, reader, writer, voice, self.stopping).run()
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
            await asyncio.wait(tasks, timeout=2 * _CLOSE_S)

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
            settings = dataclasses.replace(settings, shared_secret=agent.environment[SHARED_SECRET])
        self._log.info("session_started", project=agent.project, relay_pid=hello.get("pid"), relay_version=hello.get("version"))
        writer.write(note(ready=VERSION))
        return BridgeSession(settings, agent, autostart=self._autostart)


class Conversation:
    """One session's lines to and from the SDK."""

    def __init__(
        self,
        session: BridgeSession,
        template: MCPServer[None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        voice: sdk.Voice,
        stopping: asyncio.Event,
    ) -> None:
        self._stopping = stopping
        self._session = session
        self._voice = voice
        self._template = template
        self._reader = reader
        self._writer = writer
        self._orderly = self._left = False
        self._told = session.state()

    async def run(self) -> None:
        to_sdk, sdk_reads = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        sdk_writes, from_sdk = anyio.create_memory_object_stream[SessionMessage](0)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._read, to_sdk)
                tasks.start_soon(self._write, from_sdk)
                await sdk.run(self._template, sdk_reads, sdk_writes, self._voice)
        finally:
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_S):
                going_on = self._stopping.is_set() and not self._left
                await self._session.close(orderly=self._orderly, going_on=going_on)

    async def _read(self, to_sdk: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        async with to_sdk:
            while True:
                try:
                    line = await self._reader.readline()
                except ValueError:  # over the limit that a relay keeps: this is no relay
                    self._writer.write(sdk.error_line(None, sdk.INVALID_REQUEST, f"A line is over {LINE_BYTES} bytes"))
                    return
                except ConnectionError:
                    return
                if not line:
                    return
                if line.startswith(NOTE):
                    self._take_bye(line)
                    continue
                try:
                    message = sdk.parse(line)
                except ValueError:
                    self._writer.write(sdk.refused(line))
                    continue
                client = sdk.client_of(message)
                if client is not None:
                    self._session.given.patience_s = patience_of(client)
                cancelled = sdk.cancelled(message)
                if cancelled is not None:
                    await self._session.given.cancel(cancelled)
                refusal = sdk.refusal(message, self._session.agent.environment)
                if refusal is not None:
                    self._writer.write(refusal)
                    continue
                await to_sdk.send(message)

    def _take_bye(self, line: bytes) -> None:
        """Note how the host left. A relay of 0.3.0 says only that it left."""
        with contextlib.suppress(ValueError, KeyError):
            said = read_note(line)
            self._left = self._left or bool(said.get("bye"))
            self._orderly = self._orderly or (bool(said.get("bye")) and said.get("taken") is not False)

    async def _write(self, from_sdk: MemoryObjectReceiveStream[SessionMessage]) -> None:
        async with from_sdk:
            async for message in from_sdk:
                answered = sdk.answered(message)
                if answered is not None and not self._writer.is_closing():
                    await self._session.given.show(answered)
                self._writer.write(sdk.to_line(message))
                with contextlib.suppress(ConnectionError):  # the reader notices it, too, and ends the session
                    await self._writer.drain()
                if answered is not None and not self._writer.is_closing():
                    self._tell_state()

    def _tell_state(self) -> None:
        """Tell the relay what the next process must know of this session, after each answer that changed it."""
        state = self._session.state()
        if state != self._told:
            self._told = state
            self._writer.write(note(state=state))


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
