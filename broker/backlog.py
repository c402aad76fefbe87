"""Requests that have been received and not been run yet, by connection, so that each gets its turn.

Alone, a connection fills a whole transaction. As soon as several ask, none gets more than ``SHARE`` requests into one: a
flood then costs the others one short transaction of waiting, not the flood. What a connection sends beyond ``LIMIT`` requests
or ``LIMIT_BYTES`` that wait is refused, so that a flood never costs memory either.
"""

from collections import deque

from broker.core.state import Route
from broker.core.turn import Incoming

SHARE = 64
"""Requests of one connection in a transaction that others have part in: 64 rows share a sync well enough (see the README)."""
LIMIT = 8192
LIMIT_BYTES = 128 * 1024 * 1024
_SHARED_S = 1.0
"""So long after another connection has asked a transaction stays short, since it will probably ask again."""


class Waiting:
    """What one connection waits for."""

    __slots__ = ("requests", "size_bytes")

    def __init__(self) -> None:
        self.requests: deque[Incoming] = deque()
        self.size_bytes = 0


class Backlog:
    """Queues by connection, in the order in which they get their turn."""

    def __init__(self) -> None:
        self._queues: dict[Route, Waiting] = {}
        self._shared_until_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, route: Route, requests: list[Incoming], size_bytes: int) -> bool:
        """Queue a frame's requests; False if too much of this connection waits already. A first frame is always taken."""
        waiting = self._queues.get(route)
        if waiting is None:
            waiting = self._queues[route] = Waiting()
        elif len(waiting.requests) + len(requests) > LIMIT or waiting.size_bytes + size_bytes > LIMIT_BYTES:
            return False
        waiting.requests.extend(requests)
        waiting.size_bytes += size_bytes
        return True

    def take(self, limit: int, now_s: float) -> list[Incoming]:
        """The next transaction's requests, at most ``limit``."""
        if len(self._queues) > 1:
            self._shared_until_s = now_s + _SHARED_S
        share = SHARE if now_s < self._shared_until_s else limit
        taken: list[Incoming] = []
        for route in list(self._queues):
            room = min(share, limit - len(taken))
            if room <= 0:
                break
            waiting = self._queues.pop(route)
            if len(waiting.requests) <= room:
                taken.extend(waiting.requests)
                continue
            taken.extend(waiting.requests.popleft() for _ in range(room))
            waiting.size_bytes -= waiting.size_bytes * room // (room + len(waiting.requests))
            self._queues[route] = waiting  # behind the others
        return taken
