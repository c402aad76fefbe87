"""One TCP connection: the legacy form and the lasting form.

    first object --no newline--> answered; closes, unless a newline follows within GRACE_S
                 --newline-----> lasting: newline-delimited JSON, pipelined, replies in order

Mail of a legacy ``check`` is acknowledged when the client closes after our reply; a reset, or no close in 30 s, gives it
back. On a lasting connection the next ``check`` or an ``ack`` acknowledges; a lost connection gives it back at once.
"""

import asyncio
import fcntl
import json
import socket
import struct
import termios
from typing import Any

from bridges.tcp.framing import ObjectScanner, parse
from bridges.tcp.peer import is_stranger
from bridges.tcp.upstream import DELIVERING, Address, Upstream
from broker.errors import IpcError

LEGACY_REPLY_BYTES = 65_536
"""Existing clients read a reply with a single recv(65536)."""
GRACE_S = 0.2
CLOSE_WAIT_S = 30.0
_PIPELINE = 1024
_DRAIN_POLL_S = 0.005
_TCP_CLOSE = 7
"""State number of a connection that is gone, from linux/tcp_states.h."""
Unread = dict[str, list[str]]
"""Session token to the ids of mail that was handed out and not acknowledged."""


class Connection(asyncio.Protocol):
    """State of one client. ``upstream`` is shared by all; a ``private`` one came by the Unix socket."""

    def __init__(self, upstream: Upstream, *, private: bool = False) -> None:
        self._up = upstream
        self._private = private
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set before any other callback
        self._scanner: ObjectScanner | None = ObjectScanner(upstream.request_limit_bytes)
        self._lines = bytearray()
        self._lasting = False
        self._answered = False
        self._peer_closed = False
        self._closing = False
        self._unread: Unread = {}
        self._pushed: Unread = {}
        self._subscriptions: dict[str, int] = {}
        self._replies: asyncio.Queue[asyncio.Task[dict[str, Any]]] = asyncio.Queue()
        self._in_flight = 0
        self._last_check: asyncio.Task[dict[str, Any]] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._up.admit(self):
            self._refuse(IpcError("too_many_connections", limit=self._up.settings.connection_limit))
            return
        if self._private and is_stranger(transport.get_extra_info("socket")):
            self._refuse(IpcError("forbidden_user"))
            return
        self._restart_timer(self._up.settings.idle_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        try:
            if self._lasting:
                self._take_lines(data)
            else:
                self._take_first(data)
        except IpcError as error:
            self._refuse(error)

    def eof_received(self) -> bool:
        self._peer_closed = True
        if self._lasting or self._closing:
            self._begin_end()
        elif self._answered:
            self._settle(acknowledge=True)
        elif self._in_flight == 0:
            self._refuse(IpcError("bad_request", detail="The connection ended before a complete JSON object"))
        return True  # replies may still be due to a client that closed only its sending side

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._up.leave(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._writer is not None:
            self._writer.cancel()
        for token in self._subscriptions:
            self._up.unsubscribe(self._subscriptions[token], token)
        clean = exc is None and self._answered and not self._lasting and self._peer_closed
        self._hand_back(acknowledge=clean)

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    # requests

    def _take_first(self, data: bytes) -> None:
        if self._answered or self._scanner is None:
            self._after_first(data)
            return
        end = self._scanner.feed(data)
        if end is None:
            return
        raw, rest = bytes(self._scanner.buffer[:end]), bytes(self._scanner.buffer[end:])
        self._scanner = None
        head = rest.lstrip(b" \t\r")
        if head and not head.startswith(b"\n"):
            raise IpcError("bad_request", detail="More bytes follow the JSON object; end each object with a newline")
        self._lasting = head.startswith(b"\n")
        self._submit(raw)
        if self._lasting:
            self._restart_timer(self._up.settings.lasting_timeout_s)
            self._take_lines(head[1:])

    def _after_first(self, data: bytes) -> None:
        """Bytes after a complete first object: a newline makes the connection lasting."""
        head = data.lstrip(b" \t\r")
        if head.startswith(b"\n"):
            self._lasting = True
            self._restart_timer(self._up.settings.lasting_timeout_s)
            self._take_lines(head[1:])
        elif head:
            raise IpcError("bad_request", detail="More bytes follow the JSON object; end each object with a newline")

    def _take_lines(self, data: bytes) -> None:
        self._lines += data
        while (newline := self._lines.find(b"\n")) >= 0:
            line = bytes(self._lines[:newline]).strip()
            del self._lines[: newline + 1]
            if line:
                self._submit(line)
        limit = self._up.request_limit_bytes
        if len(self._lines) > limit:
            raise IpcError("too_large", what="A line", size=len(self._lines), limit=limit)
        if not self._closing:
            self._restart_timer(self._up.settings.lasting_timeout_s)

    def _submit(self, raw: bytes) -> None:
        """Start a request; replies are written in the order of requests."""
        self._in_flight += 1
        if self._in_flight >= _PIPELINE:
            self._transport.pause_reading()
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._run(raw, self._last_check))
        if b'"check"' in raw:
            self._last_check = task
        self._replies.put_nowait(task)
        if self._writer is None:
            self._writer = loop.create_task(self._write_replies())

    async def _run(self, raw: bytes, earlier_check: "asyncio.Task[dict[str, Any]] | None") -> dict[str, Any]:
        """The reply to one request, ready to be written as JSON."""
        echo: dict[str, Any] = {}
        try:
            request = parse(raw)
            if "id" in request:
                echo = {"id": request["id"]}
            action = request.get("action")
            if isinstance(action, str) and action in DELIVERING:
                if earlier_check is not None and action == "check":
                    await asyncio.wait([earlier_check])  # its mail is what this check acknowledges
                reply = await self._check(request)
            elif action == "subscribe":
                reply = self._subscribed(request, await self._subscribe(request))
            else:
                reply = await self._up.ask(request, self._address(), None if self._lasting else LEGACY_REPLY_BYTES)
                if action == "ack":
                    self._forget(request)
        except IpcError as error:
            reply = error.to_wire()
        except Exception as error:  # the one broad catch of this process: the client gets a reference, the log the rest
            reply = IpcError("internal", ref=self._up.note_fault(error)).to_wire()
        return {**reply, **echo}

    def _address(self) -> Address | None:
        if self._private:
            return None
        return self._transport.get_extra_info("peername"), self._transport.get_extra_info("sockname")

    async def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        token = str(request.get("session_token"))
        read = self._unread.pop(token, []) if request["action"] == "check" else []
        if read:
            await self._up.acknowledge(token, read)
        limit = None if self._lasting else LEGACY_REPLY_BYTES
        reply, ids = await self._up.check(request, limit, private=self._private)
        if ids:
            self._unread.setdefault(token, []).extend(ids)
            if self._transport.is_closing():
                self._hand_back(acknowledge=False)
        return reply

    def _forget(self, request: dict[str, Any]) -> None:
        """Mail the client has acknowledged itself is not given back when it leaves."""
        token, ids = str(request.get("session_token")), {str(i) for i in request.get("ids", [])}
        for table in (self._unread, self._pushed):
            if token in table:
                table[token] = [i for i in table[token] if i not in ids]

    async def _subscribe(self, request: dict[str, Any]) -> dict[str, Any]:
        if not self._lasting:
            raise IpcError("bad_request", detail="subscribe needs a lasting connection: end the request with a newline")
        token, echo = str(request.get("session_token")), request.get("id")

        def receive(push: dict[str, Any]) -> None:
            if echo is not None:
                push["id"] = echo
            self._pushed.setdefault(token, []).extend(m["id"] for m in push.get("messages", []))
            self._write(push)

        number, reply = await self._up.subscribe(request, receive, private=self._private)
        if reply.get("status") == "ok":
            self._subscriptions[token] = number
            if self._transport.is_closing():
                self._up.unsubscribe(number, token)
        return reply

    def _subscribed(self, _request: dict[str, Any], reply: dict[str, Any]) -> dict[str, Any]:
        if self._timer is not None and reply.get("status") == "ok":
            self._timer.cancel()  # silence is what a subscriber does
        return reply

    # replies

    async def _write_replies(self) -> None:
        while True:
            task = await self._replies.get()
            try:
                # awaiting the task itself would hand it our cancellation, which is lost if its reply has just come
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                raise
            reply = task.result()
            await self._can_write.wait()
            self._write(reply)
            self._in_flight -= 1
            if self._in_flight == _PIPELINE // 2:
                self._transport.resume_reading()
            if not self._lasting:
                self._answered = True
                self._restart_timer(GRACE_S, self._close_sending)
                if self._peer_closed:
                    self._await_drained()
            elif self._peer_closed and self._in_flight == 0:
                self._begin_end()

    def _write(self, reply: dict[str, Any]) -> None:
        text = json.dumps(reply, ensure_ascii=False).encode()
        self._transport.write(text + b"\n" if self._lasting else text)

    def _refuse(self, error: IpcError) -> None:
        """One clear error, then close; nothing of the input is run."""
        if not self._closing:
            self._write(error.to_wire())
            self._closing = True
            self._begin_end()

    # the end

    def _restart_timer(self, delay_s: float, action: Any = None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._subscriptions:
            self._timer = asyncio.get_running_loop().call_later(delay_s, action or self._idle)

    def _idle(self) -> None:
        if self._in_flight and not self._closing:
            self._restart_timer(self._up.settings.lasting_timeout_s)  # a long poll is not idleness
        elif self._closing or self._answered:
            self._transport.abort()
        else:
            self._refuse(IpcError("idle_timeout", limit=self._up.settings.idle_timeout_s))

    def _close_sending(self) -> None:
        """Nothing followed a legacy request: end our side; the client's end acknowledges its mail."""
        if self._lasting:
            return
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
        self._restart_timer(CLOSE_WAIT_S, self._transport.abort)

    def _begin_end(self) -> None:
        if self._in_flight == 0 or self._closing:
            self._transport.close()

    def _settle(self, *, acknowledge: bool) -> None:
        self._hand_back(acknowledge=acknowledge)
        self._transport.close()

    def _await_drained(self, waited_s: float = 0.0) -> None:
        """The client had closed its sending side before our reply: the reply counts as read once its kernel has it."""
        raw = self._transport.get_extra_info("socket")
        gone = not self._private and raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
        if gone or raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._transport.abort()
        elif struct.unpack("i", fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0] == 0:
            self._settle(acknowledge=True)
        elif waited_s < CLOSE_WAIT_S:
            asyncio.get_running_loop().call_later(_DRAIN_POLL_S, self._await_drained, waited_s + _DRAIN_POLL_S)
        else:
            self._transport.abort()

    def _hand_back(self, *, acknowledge: bool) -> None:
        unread, self._unread = self._unread, {}
        pushed, self._pushed = self._pushed, {}
        for token, ids in unread.items():
            if ids:
                self._up.settle(token, ids, acknowledge=acknowledge)
        for token, ids in pushed.items():
            if ids:
                self._up.settle(token, ids, acknowledge=False)
