"""A connection as its neighbours see it: its place among all (``Admission``) and its share of the memory (``Room``)."""

import socket
from abc import ABC, abstractmethod

from bridges.peers import UNKNOWN
from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.lifecycle import Lifecycle, LifeEvent
from bridges.tcp.memory import HOLD_S
from bridges.tcp.stream import ByteStream
from broker.protocol.errors import IpcError


class Guest(ABC):
    """A connection's use of what all connections share: places, memory, reading."""

    def __init__(self, upstream: JsonUpstream) -> None:
        self._up = upstream
        self._life = Lifecycle()
        self._stream: ByteStream = None  # type: ignore[assignment]  # set before any other callback
        self._peer = UNKNOWN
        self._proven = False
        """It has shown a valid token."""
        self._paced = self._held_up = False
        """Nothing is read: because too much of it waits, or because the door's memory is full."""
        self._asked_bytes = 0
        """Bytes of requests that have no reply yet."""

    @property
    @abstractmethod
    def half_read_bytes(self) -> int:
        """Bytes of a request that has not come whole."""

    @abstractmethod
    def report(self, event: LifeEvent, error: IpcError | None = None) -> None:
        """Go on by an event of the connection's life; ``error`` is what its client is told."""

    # its place

    def _admit(self, connected: socket.socket) -> None:
        """Take a place. Raises IpcError for a client that may not come in."""
        self._peer = self._up.admission.admit(self, connected)

    def _prove(self) -> None:
        """A reply has shown that the client's token is valid."""
        self._proven = True
        if not self._stream.is_closing:
            self._up.admission.prove(self)

    def _leave(self) -> None:
        self._up.admission.leave(self)
        self._up.room.leave(self)

    def give_way(self) -> None:
        self.report(LifeEvent.REFUSED, self._up.admission.no_place())
        self.drop()

    def drop(self) -> None:
        self.report(LifeEvent.DROPPED)

    # its memory

    def _count(self) -> None:
        """Report the bytes of requests that are held."""
        if self._stream.is_closing:
            self._up.room.leave(self)
            return
        half_read = self.half_read_bytes
        self._up.room.count(self, half_read + self._asked_bytes, half_read=half_read > 0)

    def hold_up(self) -> None:
        self._held_up = True
        self._stream.pause_reading()

    def let_go_on(self) -> None:
        self._held_up = False
        self._read_on()

    def give_room(self) -> None:
        self.report(LifeEvent.REFUSED, IpcError("idle_timeout", limit=HOLD_S))

    # its pace

    def _pace_down(self) -> None:
        self._paced = True
        self._stream.pause_reading()

    def _pace_up(self) -> None:
        self._paced = False
        self._read_on()

    def _read_on(self) -> None:
        if not self._paced and not self._held_up:
            self._stream.resume_reading()
