"""The driver of one TCP connection: tells its ``Lifecycle`` what happens, and does what comes of that.

    bytes --> requests --> Pipeline --> broker
      '---- events ----> Lifecycle ---- actions ----> Stream, mail

Nothing is decided here that ``lifecycle.TRANSITIONS`` decides.
"""

import asyncio

from bridges.peers import has_ended, unread_bytes
from bridges.tcp.framing import FirstObject, past_newline
from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.lifecycle import TIME_LIMITS, LifeAction, LifeEvent, LifeState, TimeLimit
from bridges.tcp.pace import TAKEN_BYTES
from bridges.tcp.pipeline import Pipeline
from bridges.tcp.stream import ByteStream
from broker.protocol.errors import IpcError
from broker.protocol.json_text import LineSplitter, to_json

NEWLINE_S = 0.2
"""A newline that follows the first object's reply within this makes the connection lasting."""
CLOSE_S = 30.0
"""So long a client may take to close after a legacy reply, or to read what is left at the end."""
_CONFIRM_S = 0.005
"""Between two looks at whether the client's kernel has the reply."""


class TcpConnection(Pipeline):
    """One client. ``upstream`` is shared by all."""

    def __init__(self, upstream: JsonUpstream) -> None:
        super().__init__(upstream)
        self._first: FirstObject | None = FirstObject(upstream.request_limit_bytes)
        self._lines = LineSplitter(upstream.request_limit_bytes)
        self._timer: asyncio.TimerHandle | None = None
        self._overdue = False
        """The time without a valid token is over, but for the reply to what has been asked."""
        self._active_s = 0.0
        """When something came last."""

    # events

    def report(self, event: LifeEvent, error: IpcError | None = None) -> None:
        before = self._life.state
        for action in self._life.on(event):
            self._carry_out(action, error)
        if self._life.state is not before:
            self._enter()

    def connection_made(self, stream: ByteStream) -> None:
        self._stream = stream
        try:
            self._admit(stream.socket)
        except IpcError as error:
            self.report(LifeEvent.REFUSED, error)

    def begun(self) -> None:
        """Most clients have sent their request by now; for the others the time begins."""
        if self._life.state is LifeState.READING:
            self._limit_time()

    def data_received(self, data: bytes) -> None:
        if self._life.is_over:
            return
        try:
            if self._life.state is not LifeState.LASTING:
                data = self._take_first(data)
            if data:
                self._take_lines(data)
        except IpcError as error:
            self.report(LifeEvent.REFUSED, error)
        self._count()
        if not self._window.bulk:
            self._up.hurry()

    def eof_received(self) -> None:
        if self._life.state is LifeState.LASTING and self._lines.held_bytes:
            self._take_lines(b"\n")  # the last one needs none
        error = None
        if self._life.state is LifeState.READING:  # each one-shot client comes here, and few are told
            error = IpcError("bad_request", detail="The connection ended before a complete JSON object")
        if self._client.waits and self._up.admission.has_left(self._stream.socket, self._peer):
            self._client.end_waits()  # not only its sending side has ended
        self.report(LifeEvent.CLIENT_CLOSED, error)

    def connection_lost(self, _error: OSError | None) -> None:
        self._leave()
        self._begin_blind()
        self.report(LifeEvent.LOST)
        for timer in (self._timer, self._slow_timer):
            if timer is not None:
                timer.cancel()

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._next_check()
        self._plan_flush()

    # what comes of them

    def _carry_out(self, action: LifeAction, error: IpcError | None) -> None:
        if action is LifeAction.TELL:
            assert error is not None
            self._flush()
            self._write([to_json(error.to_wire())], [])
        elif action is LifeAction.ACKNOWLEDGE:
            self._client.settle(acknowledge=True)
        elif action is LifeAction.GIVE_BACK:
            self._client.end()
        elif action is LifeAction.END_SENDING:
            self._stream.close_sending()
        elif action is LifeAction.CLOSE:
            self._stream.close()
        elif action is LifeAction.ABORT:
            self._stream.abort()

    def _enter(self) -> None:
        """What a new state begins with."""
        self._limit_time()
        state = self._life.state
        if state is LifeState.LASTING:
            self._send_at_once()
        elif state is LifeState.CONFIRMING:
            self._confirm()
        elif state is LifeState.DRAINING and not self._slots:
            self.report(LifeEvent.ALL_WRITTEN)

    def _confirm(self) -> None:
        """Look whether the client's kernel has the reply, and again until it has."""
        if self._life.state is not LifeState.CONFIRMING:
            return
        connected = self._stream.socket
        if has_ended(connected):
            self.drop()
        elif self._stream.unsent_bytes or unread_bytes(connected):
            self._up.loop.call_later(_CONFIRM_S, self._confirm)
        else:
            self.report(LifeEvent.TAKEN)

    # bytes

    @property
    def half_read_bytes(self) -> int:
        return self._lines.held_bytes if self._first is None else self._first.held_bytes

    def _take_first(self, data: bytes) -> bytes:
        """Bytes of a connection that is not lasting; those that are left for ``_take_lines``. Raises IpcError."""
        if self._first is None:
            rest = past_newline(data)
            if rest is not None:
                self.report(LifeEvent.NEWLINE)
        else:
            found = self._first.feed(data)
            if found is None:
                return b""
            raw, request, behind = found
            self._first = None
            rest = past_newline(behind)
            self.report(LifeEvent.OBJECT if rest is None else LifeEvent.OBJECT_LINE)
            self._submit(raw, request)
        return rest or b"" if self._life.state is LifeState.LASTING else b""

    def _take_lines(self, data: bytes) -> None:
        """Bytes of a lasting connection. Raises IpcError."""
        self._active_s = self._up.now_s()
        self._window.taken_bytes += len(data)
        taken = self._taken() if self._client.holds_mail else 0
        self._submit_all(self._lines.feed(data), taken)
        self._lines.check()
        if self._window.taken_bytes > TAKEN_BYTES and self._slots:
            self._pace_down()

    def _taken(self) -> int:
        """Bytes of replies and pushes that have reached the client's side."""
        return self._written - self._stream.unsent_bytes - unread_bytes(self._stream.socket)

    # time

    @property
    def _silence_s(self) -> float:
        """So long a connection may be silent."""
        settings = self._up.settings
        return settings.lasting_timeout_s if self._proven and self._life.is_lasting else settings.idle_timeout_s

    def _limit_time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        limit = TIME_LIMITS.get(self._life.state)
        if limit is TimeLimit.IDLE:
            if not self._client.subscriptions:
                self._start_timer(self._silence_s)
        elif limit is TimeLimit.NEWLINE:
            self._start_timer(NEWLINE_S)
        elif limit is TimeLimit.CLOSE and (self._life.state is not LifeState.CLOSING or self._stream.unsent_bytes):
            self._start_timer(CLOSE_S)

    def _start_timer(self, delay_s: float) -> None:
        self._timer = self._up.loop.call_later(delay_s, self._time_up)

    def _time_up(self) -> None:
        limit_s = self._silence_s
        left_s = self._active_s + limit_s - self._up.now_s()
        serves = self._life.is_lasting and not self._life.is_over
        if serves and self._slots and (self._proven or not self._overdue):
            self._overdue = True
            self._start_timer(limit_s)  # a long poll is not idleness
        elif serves and self._proven and left_s > 0.001:
            self._start_timer(left_s)  # something came since; moving the timer for each line would cost more
        elif serves and not self._proven:
            self.report(LifeEvent.STRANGER_TIMEOUT)
        else:
            self.report(LifeEvent.TIMEOUT, IpcError("idle_timeout", limit=limit_s))
