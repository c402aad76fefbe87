"""A connection as its neighbours see it: what it takes of the door that all share, and how it gives that back."""

import asyncio
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.memory import HOLD_S
from bridges.tcp.peer import UNKNOWN, has_ended, unread_bytes
from bridges.tcp.stream import Stream
from broker.protocol.errors import IpcError

CLOSE_WAIT_S = 30.0
_DRAIN_POLL_S = 0.005
_WRONG = frozenset({"invalid_auth", "unauthorized"})
WRONG_AT_ONCE = 3
_SLOW_S, _DOUBLINGS = 0.03, 4
"""The next wrong one waits so long for its reply, and each after it twice as long, so many times."""


class Guest(ABC):
    """The part of a connection that ``Admission`` and ``Room`` deal with."""

    def __init__(self, upstream: JsonUpstream, *, private: bool) -> None:
        self._up = upstream
        self._private = private
        self._stream: Stream = None  # type: ignore[assignment]  # set before any other callback
        self._peer = UNKNOWN
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None
        self._proven = False
        """It has shown a valid token."""
        self._overdue = False
        """Its time without one is up, but for the reply to what it has asked."""
        self._paced = self._held_up = False
        """Nothing is read: for its own pace, for want of room."""
        self._wrong = 0
        self._slow_until_s = 0.0
        self._slow_timer: asyncio.TimerHandle | None = None
        self._asked_bytes = 0
        """Of requests that have no reply yet."""

    @property
    @abstractmethod
    def half_read_bytes(self) -> int:
        """Of a request that has not come whole."""

    @abstractmethod
    def _settle(self, *, acknowledge: bool) -> None:
        """Acknowledge what was written, or give it back, and end."""

    @abstractmethod
    def refuse(self, error: IpcError) -> None:
        """One clear error, then close; nothing of the input is run."""

    def _admit(self, connected: socket.socket) -> None:
        """Raises IpcError for who may not come in."""
        self._peer = self._up.admission.admit(self, connected, private=self._private)

    def _prove(self) -> None:
        """Its token is valid, as a reply showed."""
        self._proven = True
        if not self._stream.is_closing:
            self._up.admission.prove(self, private=self._private)

    def _due_s(self, reply: dict[str, Any]) -> float:
        """When a reply may be written: those to wrong proofs and tokens come slower and slower, and so does what is behind."""
        if reply.get("code") not in _WRONG:
            return 0.0
        self._wrong += 1
        if self._wrong <= WRONG_AT_ONCE:
            return 0.0
        delay_s = _SLOW_S * 2 ** min(self._wrong - WRONG_AT_ONCE - 1, _DOUBLINGS)
        self._slow_until_s = max(self._slow_until_s, self._up.now_s()) + delay_s
        return self._slow_until_s

    def _waits_until(self, due_s: float, then: Callable[[], None]) -> bool:
        """False if the time has come; else ``then`` is called when it has."""
        if due_s <= self._up.now_s():
            return False
        if self._slow_timer is not None:
            self._slow_timer.cancel()
        self._slow_timer = self._up.loop.call_at(due_s, then)
        return True

    @property
    def _silence_s(self) -> float:
        """So long a lasting connection may be silent."""
        settings = self._up.settings
        return settings.lasting_timeout_s if self._proven else settings.idle_timeout_s

    def _start_timer(self, delay_s: float, action: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._up.loop.call_later(delay_s, action)

    def _leave(self) -> None:
        for timer in (self._timer, self._slow_timer):
            if timer is not None:
                timer.cancel()
        self._up.admission.leave(self)
        self._up.room.leave(self)

    def _count(self) -> None:
        """Say how many bytes are held of requests."""
        if self._stream.is_closing:
            self._up.room.leave(self)
            return
        half_read = self.half_read_bytes
        self._up.room.count(self, half_read + self._asked_bytes, half_read=half_read > 0)

    def _pace_down(self) -> None:
        self._paced = True
        self._stream.pause_reading()

    def _pace_up(self) -> None:
        self._paced = False
        self._read_on()

    def _read_on(self) -> None:
        if not self._paced and not self._held_up:
            self._stream.resume_reading()

    def hold_up(self) -> None:
        self._held_up = True
        self._stream.pause_reading()

    def let_go_on(self) -> None:
        self._held_up = False
        self._read_on()

    def give_room(self) -> None:
        self.refuse(IpcError("idle_timeout", limit=HOLD_S))

    def give_way(self) -> None:
        self.refuse(self._up.admission.no_place())
        self._stream.abort()

    def _await_drained(self, waited_s: float = 0.0) -> None:
        """The client had closed its sending side before our reply: the reply counts as read once its kernel has it."""
        raw = self._stream.socket
        if self._stream.is_closing:
            return
        if has_ended(raw):
            self._stream.abort(ConnectionResetError())
        elif unread_bytes(raw) == 0:
            self._settle(acknowledge=True)
        elif waited_s < CLOSE_WAIT_S:
            self._up.loop.call_later(_DRAIN_POLL_S, self._await_drained, waited_s + _DRAIN_POLL_S)
        else:
            self._stream.abort(ConnectionResetError())

    def drop(self) -> None:
        self._closing = True
        self._stream.abort()
