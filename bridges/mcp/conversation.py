"""One host's session with us: its messages, in order, and the answers.

    host's line --known answers--> answered
                --an ordinary tools/call--> called, answered        (bridges.mcp.light_calls)
                --anything else--> the SDK, from then on for all of this session's messages (bridges.mcp.sdk)

The SDK takes a second to import. The session whose host needs it waits for that; the others don't.
"""

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bridges.mcp import json_rpc
from bridges.mcp.json_rpc import request_key, to_line
from bridges.mcp.known_answers import KnownAnswers, client_of
from bridges.mcp.light_calls import LightCall, LightCalls, answer_of
from bridges.mcp.relay_protocol import LINE_BYTES, NOTE, note, read_note
from bridges.mcp.session import BridgeSession
from bridges.mcp.tool_evidence import called, patience_of
from bridges.mcp.voice import Voice

if TYPE_CHECKING:
    from bridges.mcp.sdk import SdkSession

CLOSE_S = 1.5
"""Seconds to acknowledge what was shown when a session ends. Hosts kill what needs 2 s."""


class Conversation:
    """The lines of one relay's connection."""

    def __init__(
        self,
        session: BridgeSession,
        calls: LightCalls,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        voice: Voice,
        stopping: asyncio.Event,
    ) -> None:
        self._stopping = stopping
        self._session = session
        self._calls = calls
        self._voice = voice
        self._reader = reader
        self._writer = writer
        self._known = KnownAnswers(session.agent.environment)
        self._handshake: list[tuple[str | None, bytes]] = []
        """(key, line) of what the SDK must hear first if it is ever asked."""
        self._running: dict[str, asyncio.Task[None]] = {}
        """Calls that may be cancelled, by the key of their request."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sdk: SdkSession | None = None
        self._asked: set[str] = set()
        """Keys of requests that have no answer yet."""
        self.asked_s = asyncio.get_running_loop().time()
        """When the host last said something (the loop's clock)."""
        self._resting = False
        self._swallow: set[str] = set()
        self._orderly = self._left = False
        self._told = session.state()

    async def run(self) -> None:
        try:
            await self._read()
        finally:
            await self._end()

    async def _read(self) -> None:
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:  # over the limit that a relay keeps: this is no relay
                text = f"A line is over {LINE_BYTES} bytes"
                self._writer.write(json_rpc.error_line(None, json_rpc.INVALID_REQUEST, text))
                return
            except ConnectionError:
                return
            if not line or self._resting:  # what it says now, its relay asks the next process
                return
            self.asked_s = asyncio.get_running_loop().time()
            if line.startswith(NOTE):
                self._take_bye(line)
            else:
                await self._take(line)

    @property
    def busy(self) -> bool:
        return bool(self._asked or self._left)

    def rest(self, fields: dict[str, Any]) -> None:
        """End, in order, until the host has need of us again. ``fields`` tell the relay what to do meanwhile."""
        self._resting = True
        self._writer.write(note(state={**self._session.state(), "rested": True}, rest=fields))
        cast(asyncio.Transport, self._writer.transport).pause_reading()
        self._reader.feed_eof()

    def _take_bye(self, line: bytes) -> None:
        """Note how the host left. A relay of 0.3.0 says only that it left."""
        with contextlib.suppress(ValueError, KeyError):
            said = read_note(line)
            self._left = self._left or bool(said.get("bye"))
            self._orderly = self._orderly or (bool(said.get("bye")) and said.get("taken") is not False)

    async def _take(self, line: bytes) -> None:
        """Take one message of the host."""
        message = json_rpc.parsed(line)
        if message is not None:
            await self._notice(message)
            if await self._taken_lightly(message, line):
                return
        elif not json_rpc.is_json(line):
            self._writer.write(json_rpc.refused(line))
            return
        if message is not None and "id" in message and "method" in message:
            self._asked.add(request_key(message["id"]))
        sdk = self._sdk or await self._start_sdk()
        if not await sdk.take(line):
            self._writer.write(json_rpc.refused(line))

    async def _notice(self, message: dict[str, Any]) -> None:
        """See what a message means for the mail that was given."""
        client = client_of(message)
        if client is not None:
            self._session.given.patience_s = patience_of(client)
            self._session.agent = replace(self._session.agent, client=called(client))
        key = json_rpc.cancelled(message)
        if key is not None:
            self._asked.discard(key)
            await self._session.given.cancel(key)
            task = self._running.get(key)
            if task is not None:
                task.cancel()

    async def _taken_lightly(self, message: dict[str, Any], line: bytes) -> bool:
        """Do without the SDK what can be done without it."""
        answer = self._known.answer(message)
        method = message.get("method")
        if method == "initialize":
            self._voice.shaken = True
            self._handshake.clear()
        if method in ("initialize", "notifications/initialized") and self._known.shaken:
            self._handshake.append((request_key(message["id"]) if "id" in message else None, line))
        if self._sdk is not None:
            return False
        if answer is not None:
            self._writer.write(to_line(answer))
            return True
        if not self._known.shaken:
            return False
        call = self._calls.call(message) if "id" in message else None
        if call is not None and request_key(call.number) not in self._running:
            self._asked.add(request_key(call.number))
            task = self._spawn(self._answer(call))
            self._running[request_key(call.number)] = task
            return True
        return "id" not in message and isinstance(method, str)  # a notification, which nobody here hears

    def _spawn(self, work: Any) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _answer(self, call: LightCall) -> None:
        key = request_key(call.number)
        self._session.begin_request(key)
        try:
            result = await call.run()
        except asyncio.CancelledError:
            if not self._writer.is_closing():
                await self._session.given.cancel(key)
            return
        finally:
            self._running.pop(key, None)
        await self._say(to_line(answer_of(call.number, result)), key)

    async def _say(self, line: bytes, answered: str | None) -> None:
        """Write to the host. ``answered`` is the key of the request that the line answers."""
        if answered is not None and answered in self._swallow:
            self._swallow.discard(answered)
            return
        if answered is not None and not self._writer.is_closing():
            await self._session.given.show(answered)
        self._writer.write(line)
        with contextlib.suppress(ConnectionError):  # the reader notices it, too, and ends the session
            await self._writer.drain()
        if answered is not None:
            self._asked.discard(answered)
            if not self._writer.is_closing():
                self._tell_state()

    def _tell_state(self) -> None:
        """Tell the relay what the next process must know of this session, after each answer that changed it."""
        state = self._session.state()
        if state != self._told:
            self._told = state
            self._writer.write(note(state=state))

    # the SDK

    async def _start_sdk(self) -> "SdkSession":
        """Import the SDK, once in this process, and tell it what was said so far."""
        template, make = await asyncio.to_thread(_sdk)
        sdk: SdkSession = make(template, self._say)
        self._sdk, self._voice.tell_changed = sdk, sdk.inbox.changed
        sdk.inbox.missed = self._voice.missed and bool(self._session.agent.state)
        self._spawn(sdk.run()).add_done_callback(self._sdk_ended)
        for key, line in self._handshake:
            if key is not None:
                self._swallow.add(key)
            await sdk.take(line)
        return sdk

    def _sdk_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._session.log.error("session_failed", detail=str(task.exception()))
            self._writer.transport.abort()  # the relay asks again

    async def _end(self) -> None:
        """Drop what runs, and say what becomes of the mail that was shown."""
        for task in list(self._running.values()):
            task.cancel()
        if self._sdk is not None:
            self._sdk.end()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                if self._tasks:
                    await asyncio.wait(self._tasks)
                going_on = self._stopping.is_set() and not self._left
                await self._session.close(orderly=self._orderly, going_on=going_on)


_made: list[Any] = []


def _sdk() -> Any:
    """(the server with our tools, the class of its sessions), made at the first call. Runs in a thread."""
    from bridges.mcp.sdk import SdkSession
    from bridges.mcp.server import build

    if not _made:
        _made.append(build())
    return _made[0], SdkSession
