"""Requests that have been received and not been run yet, by connection, so that each gets its turn.

Alone, a connection fills a whole transaction. As soon as several ask, none gets more than ``SHARE`` requests into one: a
flood then costs the others one short transaction of waiting, not the flood. What a connection sends beyond ``LIMIT`` requests
or ``LIMIT_BYTES`` that wait is refused, so that a flood never costs memory either.
"""

from collections import deque

from broker.core.state import Route
from broker.core.turn import Frame

SHARE = 128
"""Requests of one connection in a transaction that others have part in: 128 rows share a sync well enough."""
LIMIT = 8192
LIMIT_BYTES = 128 * 1024 * 1024
_SHARED_S = 1.0
"""So long after another connection has asked a transaction stays short, since it will probably ask again."""


class Waiting:
    """What one connection waits for."""

    __slots__ = ("frames", "requests", "size_bytes")

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.requests = 0
        self.size_bytes = 0

    def move(self, most: int, taken: list[Frame]) -> int:
        """Move up to ``most`` requests to ``taken``, a frame that is longer in part; how many those were."""
        left = most
        while self.frames and left > 0:
            frame = self.frames.popleft()
            if len(frame.bodies) > left:
                frame, rest = frame.cut(left)
                self.frames.appendleft(rest)
            taken.append(frame)
            left -= len(frame.bodies)
        moved = most - left
        self.size_bytes -= self.size_bytes * moved // self.requests
        self.requests -= moved
        return moved


class Backlog:
    """Queues by connection, in the order in which they get their turn."""

    def __init__(self) -> None:
        self._queues: dict[Route, Waiting] = {}
        self._shared_until_s = 0.0

    def __bool__(self) -> bool:
        return bool(self._queues)

    def is_behind(self, route: Route) -> bool:
        """True if so much of a connection waits that a door which can leave the rest unread should."""
        waiting = self._queues.get(route)
        return waiting is not None and (waiting.requests > LIMIT // 4 or waiting.size_bytes > LIMIT_BYTES // 4)

    def add(self, frame: Frame, size_bytes: int) -> bool:
        """Queue a frame's requests; False if too much of its connection waits already. A first frame is always taken."""
        waiting = self._queues.get(frame.route)
        if waiting is None:
            waiting = self._queues[frame.route] = Waiting()
        elif waiting.requests + len(frame.bodies) > LIMIT or waiting.size_bytes + size_bytes > LIMIT_BYTES:
            return False
        waiting.frames.append(frame)
        waiting.requests += len(frame.bodies)
        waiting.size_bytes += size_bytes
        return True

    def take(self, limit: int, now_s: float) -> list[Frame]:
        """The next transaction's requests, at most ``limit``."""
        if len(self._queues) > 1:
            self._shared_until_s = now_s + _SHARED_S
        share = SHARE if now_s < self._shared_until_s else limit
        taken: list[Frame] = []
        for route in list(self._queues):
            if limit <= 0:
                break
            waiting = self._queues.pop(route)
            limit -= waiting.move(min(share, limit), taken)
            if waiting.frames:
                self._queues[route] = waiting  # behind the others
        return taken
