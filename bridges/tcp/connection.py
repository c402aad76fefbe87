"""One connection: the legacy form and the lasting form.

    first object --no newline--> answered; closes, unless a newline follows within GRACE_S
                 --newline-----> lasting: newline-delimited JSON, pipelined, replies in order

Mail of a legacy ``check`` is acknowledged when the client closes after our reply; a reset, or no close in 30 s, gives it
back. On a lasting connection the next ``check`` or an ``ack`` acknowledges; a lost connection gives it back at once.

No request has a task: a reply comes as a call, fills its slot, and all slots that are filled from the first on are written
together at the end of the loop's turn.
"""

import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from bridges.tcp.fitting import ONE_SHOT_BYTES, fit
from bridges.tcp.framing import FirstObject
from bridges.tcp.guest import CLOSE_WAIT_S, Guest
from bridges.tcp.json_requests import DELIVERING, JsonUpstream, legacy_message, shown
from bridges.tcp.pace import FOR_ITSELF, LONG, PIPELINE, TAKEN_BYTES, UNREAD_PUSHES_BYTES, Slot, Window
from bridges.tcp.peer import unread_bytes
from bridges.tcp.say import Saying
from bridges.tcp.stream import Stream
from bridges.upstream import DoorClient, Handed
from broker.protocol.errors import IpcError
from broker.protocol.json_text import parse, to_json

GRACE_S = 0.2
_WRITE_AT_ONCE = 256
"""Replies in one write; before the next one it is seen whether the client keeps up."""
_ONE_PACKET_BYTES = 1400


class TcpConnection(Guest):
    """State of one client. ``upstream`` is shared by all; a ``private`` one came by the Unix socket."""

    def __init__(self, upstream: JsonUpstream, *, private: bool = False) -> None:
        super().__init__(upstream, private=private)
        self._first: FirstObject | None = FirstObject(upstream.request_limit_bytes)
        self._lines = bytearray()
        self._lasting = self._answered = self._peer_closed = False
        self._client = DoorClient(upstream)
        self._written = 0
        """Bytes of replies and pushes, in all."""
        self._slots: deque[Slot] = deque()
        self._checks: deque[Slot] = deque()
        """Checks in order; one is asked at a time."""
        self._checking = False
        """The first of them has been asked."""
        self._flush_planned = False
        self._active_s = 0.0
        self._can_write = True
        self._pace = Window()

    # the stream's side

    def connection_made(self, stream: Stream) -> None:
        self._stream = stream
        try:
            self._admit(stream.socket)
        except IpcError as error:
            self.refuse(error)

    def begun(self) -> None:
        """Most clients have sent their request by now; the others have so long."""
        if self._first is not None and not self._closing:
            self._restart_timer(self._silence_s)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._pace.shares = self._up.turns.heard(id(self), self._up.now_s())
        try:
            if self._lasting:
                self._take_lines(data)
            else:
                self._take_first(data)
        except IpcError as error:
            self.refuse(error)
        self._count()

    @property
    def half_read_bytes(self) -> int:
        return len(self._lines) if self._first is None else self._first.held_bytes

    def eof_received(self) -> None:
        """The client sends no more; replies may still be due to one that closed only its sending side."""
        self._peer_closed = True
        if self._lasting and self._lines and not self._closing:
            self._take_lines(b"\n")  # the last one needs none
        if self._lasting or self._closing:
            self._begin_end()
        elif self._answered:
            self._settle(acknowledge=True)
        elif not self._slots:
            self.refuse(IpcError("bad_request", detail="The connection ended before a complete JSON object"))

    def connection_lost(self, error: OSError | None) -> None:
        self._closing = True
        self._leave()
        for slot, raw, held in self._pace.rest():
            self._guarded(slot, self._start_blind, raw, held)
        clean = error is None and self._answered and not self._lasting and self._peer_closed
        self._client.end(acknowledge=clean)

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._next_check()
        self._plan_flush()

    # requests

    def _take_first(self, data: bytes) -> None:
        if self._first is None:
            self._after_first(data)
            return
        found = self._first.feed(data)
        if found is None:
            return
        raw, request, rest = found
        self._first = None
        head = rest.lstrip(b" \t\r")
        if head and not head.startswith(b"\n"):
            raise IpcError("bad_request", detail="More bytes follow the JSON object; end each object with a newline")
        if head:
            self._become_lasting()
        self._submit(raw, request)
        if head:
            self._take_lines(head[1:])

    def _after_first(self, data: bytes) -> None:
        """Bytes after a complete first object: a newline makes the connection lasting."""
        head = data.lstrip(b" \t\r")
        if head.startswith(b"\n"):
            self._become_lasting()
            self._take_lines(head[1:])
        elif head:
            raise IpcError("bad_request", detail="More bytes follow the JSON object; end each object with a newline")

    def _become_lasting(self) -> None:
        self._lasting = True
        if not self._private:
            self._stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._restart_timer(self._silence_s)

    def _take_lines(self, data: bytes) -> None:
        self._active_s = self._up.now_s()
        self._pace.taken_bytes += len(data)
        taken = self._taken() if self._client.holds_mail else 0
        *lines, rest = data.split(b"\n")
        if self._lines and lines:
            lines[0] = bytes(self._lines) + lines[0]
            self._lines.clear()
        self._lines += rest
        for line in lines:
            line = line.strip()
            if line:
                self._submit(line, None, taken)
        limit = self._up.request_limit_bytes
        if len(self._lines) > limit:
            raise IpcError("too_large", what="A line", size=len(self._lines), limit=limit)
        if self._pace.taken_bytes > TAKEN_BYTES and self._slots:
            self._pace_down()

    def _taken(self) -> int:
        """Bytes of replies and pushes that have reached the client's side."""
        return self._written - self._stream.unsent_bytes - unread_bytes(self._stream.socket)

    def _submit(self, raw: bytes, request: dict[str, Any] | None, taken: int = 0) -> None:
        """Start a request; replies are written in the order of requests."""
        slot = Slot(len(raw), taken)
        self._asked_bytes += len(raw)
        self._slots.append(slot)
        if len(self._slots) == PIPELINE:
            self._pace_down()
        if self._pace.holds:
            self._pace.hold(slot, raw, request)
        else:
            self._guarded(slot, self._start, raw, request)

    def _guarded(self, slot: Slot, work: Callable[..., None], *arguments: Any) -> bool:
        """Do something for a request; what goes wrong becomes its reply. True: mail that came has been seen to."""
        try:
            work(slot, *arguments)
        except IpcError as error:
            self._answer(slot, error.to_wire())
        except Exception as error:  # the one broad catch of this process: the client gets a reference, the log the rest
            self._answer(slot, IpcError("internal", ref=self._up.note_fault(error)).to_wire())
        return True

    def _begin_held(self) -> None:
        for slot, raw, request in self._pace.next():
            self._guarded(slot, self._start, raw, request)

    def _start_blind(self, slot: Slot, raw: bytes, request: dict[str, Any] | None) -> None:
        """The client has left: run what it had sent, unless that brings something to it alone."""
        slot.request = request = parse(raw) if request is None else request
        if request.get("action") not in FOR_ITSELF:
            self._ask(slot)

    def _start(self, slot: Slot, raw: bytes, request: dict[str, Any] | None) -> None:
        slot.request = request = parse(raw) if request is None else request
        action = request.get("action")
        self._pace.begins(slot)
        if action == "check":
            self._checks.append(slot)
            if len(self._checks) == 1:
                self._next_check()
        elif isinstance(action, str) and action in LONG:
            self._pace.long.append(slot)
            if action == "say":
                Saying(request, self._up.words, partial(self._ask_for, slot), partial(self._answer, slot)).go_on()
            else:
                self._ask(slot)
        elif action == "subscribe":
            self._subscribe(slot)
        elif action == "unsubscribe":
            self._client.unsubscribe(self._body(request), partial(self._guarded, slot, self._listened))
        else:
            if action == "release":
                self._client.disown(request)
            self._ask(slot)

    def _body(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._up.body(request, self._peer, private=self._private)

    def _ask(self, slot: Slot) -> None:
        self._ask_for(slot, slot.request, partial(self._answer, slot))

    def _ask_for(self, slot: Slot, request: dict[str, Any], then: Callable[[dict[str, Any]], None]) -> None:
        """Make a request, or one that a sentence stands for; mail that its reply brings is the slot's."""
        body = self._body(request)
        action, legacy, token = body["action"], "door" not in body, body.get("session_token")
        if action == "check" and not self._lasting:
            self._up.limit_mail(body, ONE_SHOT_BYTES // (1 if request is slot.request else 2))

        def replied(slot: Slot, reply: dict[str, Any]) -> None:
            reply = shown(reply, delivers=action in DELIVERING, legacy=legacy)
            if reply["status"] == "ok" and action in DELIVERING:
                slot.mail.append(self._client.hand(token, [m["id"] for m in reply["messages"]]))
                if self._stream.is_closing:
                    self._client.settle(acknowledge=False)
            elif reply["status"] == "ok" and action in ("ack", "touch"):
                self._client.disown(request)
            then(reply)

        self._client.ask(body, partial(self._guarded, slot, replied))

    def _next_check(self) -> None:
        """Go on with the checks, unless their client does not take what it has been given."""
        if self._checks and not self._checking and self._can_write:
            self._checking = True
            self._guarded(self._checks[0], self._check)

    def _check(self, slot: Slot) -> None:
        """Ask for mail, after acknowledging what the client had taken before it asked: a check that was sent before the reply
        to another had come says nothing about the mail of that one."""
        self._client.taken(slot.request.get("session_token"), slot.taken)
        self._ask(slot)

    def _subscribe(self, slot: Slot) -> None:
        if not self._lasting:
            raise IpcError("bad_request", detail="subscribe needs a lasting connection: end the request with a newline")
        token, echo = slot.request.get("session_token"), slot.request.get("id")

        def receive(push: dict[str, Any]) -> None:
            push.pop("id", None)
            if echo is not None:
                push["id"] = echo
            mail = self._client.hand(token, [m["id"] for m in push.get("messages", ())], pushed=True)
            for message in push.get("messages", ()):
                legacy_message(message)
            self._flush()  # its subscribe's reply comes before it
            self._send([to_json(push)], [mail])
            if not self._can_write and self._stream.unsent_bytes > UNREAD_PUSHES_BYTES:
                self.drop()

        self._client.subscribe(self._body(slot.request), echo, receive, partial(self._guarded, slot, self._listened))

    def _listened(self, slot: Slot, reply: dict[str, Any]) -> None:
        if not self._client.subscriptions:
            self._restart_timer(self._silence_s)
        elif self._timer is not None:
            self._timer.cancel()  # silence is what a subscriber does
        self._answer(slot, shown(reply, delivers=False, legacy=True))

    # replies

    def _answer(self, slot: Slot, reply: dict[str, Any]) -> None:
        request = slot.request
        if "id" in request:
            reply["id"] = request["id"]
        if not self._lasting:
            self._fit(slot, reply)
        slot.reply, slot.due_s = reply, self._due_s(reply)
        self._asked_bytes -= slot.size_bytes
        self._pace.answered(slot)
        if not self._proven and reply.get("status") == "ok":
            self._prove()
            if self._lasting:
                self._restart_timer(self._silence_s)
        if self._checks and slot is self._checks[0]:
            self._checks.popleft()
            self._checking = False
            if self._checks:
                self._up.loop.call_soon(self._next_check)
        self._plan_flush()

    def _fit(self, slot: Slot, reply: dict[str, Any]) -> None:
        """Make of a reply what a one-shot client can take; mail that is not in it any more has been shown to nobody."""
        fit(reply, ONE_SHOT_BYTES)
        for mail in slot.mail:
            self._client.keep(mail, {m["id"] for part in (reply, *reply.get("results", ())) for m in part.get("messages", ())})

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._up.loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write the replies that are there, up to the first that is not."""
        self._flush_planned = False
        slots = self._slots
        texts: list[bytes] = []
        mail: list[Handed] = []
        before = len(slots)
        first_long = self._pace.first_long
        while slots and slots[0].reply is not None and self._can_write:
            if slots[0].due_s and self._waits_until(slots[0].due_s, self._plan_flush):
                break
            texts.append(to_json(slots[0].reply))
            mail += slots[0].mail
            if slots.popleft() is first_long:
                self._send(texts, mail)
                texts, mail = [], []
                self._pace.long.popleft()
                first_long = self._pace.first_long
            if len(texts) == _WRITE_AT_ONCE:
                self._send(texts, mail)
                texts, mail = [], []
        self._send(texts, mail)
        self._begin_held()
        if self._pace.goes_on(before, len(slots)):
            self._pace_up()
        if before != len(slots):
            self._count()
            self._after_replies()

    def _send(self, texts: list[bytes], mail: list[Handed]) -> None:
        if not texts or self._stream.is_closing:
            return
        if self._lasting:
            texts.append(b"")
        elif len(texts[0]) > _ONE_PACKET_BYTES and not self._private:
            self._stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its end must not wait for an ACK
        data = b"\n".join(texts)
        self._written += len(data)
        for handed in mail:
            handed.end = self._written
        self._stream.write(data)

    def _after_replies(self) -> None:
        if not self._lasting:
            self._answered = True
            self._restart_timer(GRACE_S, self._close_sending)
            if self._peer_closed:
                self._await_drained()
        elif self._peer_closed and not self._slots:
            self._begin_end()

    def refuse(self, error: IpcError) -> None:
        """One clear error, then close; nothing of the input is run."""
        if not self._closing:
            self._flush()
            self._send([to_json(error.to_wire())], [])
            self._closing = True
            self._begin_end()

    # the end

    def _restart_timer(self, delay_s: float, action: Callable[[], None] | None = None) -> None:
        if not self._client.subscriptions and not self._stream.is_closing:
            self._start_timer(delay_s, action or self._idle)

    def _idle(self) -> None:
        limit_s = self._silence_s
        left_s = self._active_s + limit_s - self._up.now_s()
        if self._slots and not self._closing and (self._proven or not self._overdue):
            self._overdue = True
            self._restart_timer(limit_s)  # a long poll is not idleness
        elif self._lasting and self._proven and not self._closing and left_s > 0.001:
            self._restart_timer(left_s)  # something came since; moving the timer for each line would cost more
        elif self._closing or self._answered or (self._lasting and not self._proven):  # a line now would pass for a reply
            self._stream.abort()
        else:
            self.refuse(IpcError("idle_timeout", limit=limit_s))

    def _close_sending(self) -> None:
        """Nothing followed a legacy request: end our side; the client's end acknowledges its mail."""
        if self._lasting:
            return
        self._stream.close_sending()
        self._restart_timer(CLOSE_WAIT_S, self._stream.abort)

    def _begin_end(self) -> None:
        if not self._slots or self._closing:
            self._stream.close()
            if self._stream.unsent_bytes:  # who does not read must end, too
                self._start_timer(CLOSE_WAIT_S, self._stream.abort)

    def _settle(self, *, acknowledge: bool) -> None:
        self._client.settle(acknowledge=acknowledge)
        self._stream.close()
