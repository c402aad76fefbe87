"""Memory for requests over all connections: those that are being read, and those that wait for replies; 64 MiB.

    at most ROOM_BYTES: everyone is read
    more:               only the connection that began first is read; the others' bytes wait in their kernels

While another waits, a connection that has not finished its request 3 s after it began is ended. The first 16 KiB of a
connection are not counted, so a small request never waits for large ones.
"""

import asyncio
from typing import Protocol

ROOM_BYTES = 64 * 1024 * 1024
"""Two requests of the greatest length, and one more that is being read."""
FREE_BYTES = 16 * 1024
"""Of each connection, not counted."""
HOLD_S = 3.0
"""Time for one request while another connection waits for room."""


class MemoryUser(Protocol):
    """A connection, as far as it takes room."""

    def hold_up(self) -> None:
        """Read nothing more for now."""

    def let_go_on(self) -> None: ...

    def give_room(self) -> None:
        """Refuse the request that is being read, and end."""


class Taken:
    """The memory of one connection, since it began to take some or was last let on."""

    __slots__ = ("began_s", "half_read", "size_bytes", "waits")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.size_bytes = 0
        self.half_read = False
        self.waits = False


class Room:
    """Connections that take memory, in the order in which they began."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._taken: dict[MemoryUser, Taken] = {}
        self._total_bytes = 0
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    def count(self, client: MemoryUser, size_bytes: int, *, half_read: bool) -> None:
        """Note how many bytes a connection holds. ``half_read``: some are of a request that has not come whole."""
        taken = self._taken.get(client)
        if size_bytes <= FREE_BYTES:
            if taken is not None:
                self.leave(client)
            return
        if taken is None:
            taken = self._taken[client] = Taken(self._loop.time())
        self._total_bytes += size_bytes - taken.size_bytes
        taken.size_bytes, taken.half_read = size_bytes, half_read
        if self._total_bytes > ROOM_BYTES and not taken.waits and client is not next(iter(self._taken)):
            taken.waits = True
            self._waiting += 1
            client.hold_up()
            self._end_late()
        elif self._waiting:
            self._let_on()

    def leave(self, client: MemoryUser) -> None:
        """It holds nothing any more."""
        taken = self._taken.pop(client, None)
        if taken is not None:
            self._total_bytes -= taken.size_bytes
            self._let_go(client, taken)
            if self._waiting:
                self._let_on()

    def _let_go(self, client: MemoryUser, taken: Taken) -> None:
        if taken.waits:
            taken.waits = False
            taken.began_s = self._loop.time()
            self._waiting -= 1
            client.let_go_on()

    def _let_on(self) -> None:
        """Read connections that wait again: the first in any case, the others while there is room."""
        for client, taken in list(self._taken.items()):
            self._let_go(client, taken)
            if self._total_bytes > ROOM_BYTES:
                break

    def _end_late(self) -> None:
        """While a connection waits, end those that have not sent their request in time, the oldest first."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        late_s = self._loop.time() - HOLD_S
        for client, taken in list(self._taken.items()):
            if self._total_bytes > ROOM_BYTES and taken.half_read and not taken.waits and taken.began_s <= late_s:
                client.give_room()
                self.leave(client)
        if self._waiting:
            began_s = [taken.began_s for taken in self._taken.values() if taken.half_read and not taken.waits]
            self._timer = self._loop.call_at(min(began_s, default=self._loop.time()) + HOLD_S, self._end_late)
