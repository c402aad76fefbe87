"""Requests that wait for the engine, by connection; who is next, and with how many.

Alone, a connection fills a whole transaction. Beside others each gets its share into one.

A flood is a connection that has had more than that waiting within the last second; the others ask little. While both are about,
the shortest queues come first (as in multilevel feedback queues): every other transaction takes a quarter of a share of all
floods together, which its sync costs anyway, and the one between takes a share. So whoever asks little waits for one short
transaction and its own, beside any number of floods. Where requests are expensive a count does not bound time, so a
``ConnectionBudget`` does; what it leaves is put back.

Reads of the archive take up to a tenth of a second. They wait in the ``SlowLane``, and one of
them runs after each transaction; what comes meanwhile waits for that one read.

A connection's requests beyond ``LIMIT`` or ``LIMIT_BYTES`` are refused, and a session's reads beyond ``SLOW_LIMIT``.
"""

import time
from collections import deque
from collections.abc import Callable

from broker.core.batch import Frame, Incoming
from broker.core.state import Route, Session

SHARE = 128
"""Requests of all floods together in a transaction that they share with who asks little; of each flood where floods share one
among themselves. 128 rows share a sync well enough: with 64 a flood keeps 60 % of its rate, where a sync takes 0.3 ms."""
SHARE_S = 0.001
"""Seconds that a connection's requests may take there; its first one may take longer. About the time of a sync."""
ALONE_S = 0.02
"""Seconds that they may take while no other connection asks. Another may begin to ask meanwhile."""
LIMIT = 8192
"""Requests of one connection that may wait."""
LIMIT_BYTES = 128 * 1024 * 1024
SLOW_LIMIT = 128
"""Reads of the archive of one session that may wait."""
_LATELY_S = 1.0
"""A connection that was active within the last second will probably ask again, and a flood go on."""


class Waiting:
    """The requests of one connection that wait."""

    __slots__ = ("frames", "requests", "size_bytes")

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.requests = 0
        self.size_bytes = 0

    def move(self, most: int, taken: list[Frame]) -> int:
        """Move up to ``most`` requests to ``taken``, and cut the frame that would exceed it. Returns how many moved."""
        if self.requests <= most:
            taken += self.frames
            self.frames.clear()
            return self.requests
        left = most
        while left > 0:
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
        self._shared_until_s = self._mixed_until_s = 0.0
        """Until when several connections ask, and until when some of them ask little beside floods."""
        self._floods: dict[Route, float] = {}
        """Until when each counts as one."""
        self._few_first = False
        self._mixed = False
        self._each_bytes: dict[Route, float] = {}
        """Mean size of the requests that were taken last, by connection."""
        self.taken = 0
        """Requests that have left the queues."""
        self.pace_s = ALONE_S
        """How long a connection may hold the transaction that was taken last."""

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __contains__(self, route: Route) -> bool:
        return route in self._queues

    def has_work(self, held: Callable[[Route], bool]) -> bool:
        """True if something waits of a connection that is not ``held``."""
        return bool(self._queues) and any(not held(route) for route in self._queues)

    def is_behind(self, route: Route) -> bool:
        """True from a quarter of the limits on: a door that can leave the rest unread should.

        Sooner where somebody asks little, who would wait while a flood is decoded.
        """
        waiting = self._queues.get(route)
        if waiting is None:
            return False
        most = 2 * SHARE if self._mixed else LIMIT // 4
        return waiting.requests > most or waiting.size_bytes > LIMIT_BYTES // 4

    @property
    def read_at_once(self) -> int:
        """Requests to decode before the next transaction."""
        return 2 * SHARE if self._mixed else LIMIT // 4

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

    def take(self, limit: int, now_s: float, held: Callable[[Route], bool] = lambda _route: False) -> list[Frame]:
        """The next transaction's requests, at most ``limit``, none of those connections that are ``held``."""
        if len(self._queues) > 1:
            self._shared_until_s = now_s + _LATELY_S
        shared = now_s < self._shared_until_s
        self.pace_s = SHARE_S if shared else ALONE_S
        taken: list[Frame] = []
        self._each_bytes.clear()
        few, many = self._in_turn(now_s)
        if not shared:
            few, many, self._mixed = few + many, [], False
        left = self._move(few, limit, limit, held, taken)
        if self._mixed:
            left = min(left, SHARE // 4 if self._few_first else SHARE)
        self._move(many, left, SHARE, held, taken)
        return taken

    def _move(self, routes: list[Route], limit: int, share: int, held: Callable[[Route], bool], taken: list[Frame]) -> int:
        """Take up to ``limit`` requests, ``share`` of each connection. Returns how many more there might be."""
        for route in routes:
            if limit <= 0:
                break
            if held(route):
                continue
            waiting = self._queues.pop(route)
            self._each_bytes[route] = waiting.size_bytes / waiting.requests
            moved = waiting.move(min(share, limit), taken)
            self.taken += moved
            limit -= moved
            if waiting.frames:
                self._queues[route] = waiting  # behind the others
        return limit

    def _in_turn(self, now_s: float) -> tuple[list[Route], list[Route]]:
        """Whose turn it is: (those that ask little, floods)."""
        floods = self._floods = {route: until_s for route, until_s in self._floods.items() if now_s < until_s}
        few: list[Route] = []
        many: list[Route] = []
        for route, waiting in self._queues.items():
            if waiting.requests > SHARE:
                floods[route] = now_s + _LATELY_S
            (many if route in floods else few).append(route)
        if few and floods:
            self._mixed_until_s = now_s + _LATELY_S
        self._mixed = now_s < self._mixed_until_s
        self._few_first = bool(few and many) and not self._few_first
        return few, many

    def put_back(self, frames: list[Frame]) -> None:
        """Queue what was taken and not run, before what the same connections have sent since."""
        for frame in reversed(frames):
            waiting = self._queues.setdefault(frame.route, Waiting())
            waiting.frames.appendleft(frame)
            waiting.requests += len(frame.bodies)
            waiting.size_bytes += round(len(frame.bodies) * self._each_bytes.get(frame.route, 0.0))


class ConnectionBudget:
    """How long each connection may hold one transaction (``TimeBudget`` of ``broker.core``)."""

    __slots__ = ("_clock", "_end_s", "_limit_s", "_route")

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._route: Route | None = None
        self._end_s = 0.0

    def enter(self, route: Route) -> bool:
        if route != self._route:
            self._route, self._end_s = route, self._clock() + self._limit_s
            return True
        return not self.over()

    def over(self) -> bool:
        return self._clock() >= self._end_s


class SlowLane:
    """Reads of the archive that wait, by session; the owner's count as one. The sessions take turns."""

    def __init__(self) -> None:
        self._queues: dict[bytes, deque[Incoming]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __contains__(self, route: Route) -> bool:
        return any(request.route == route for queue in self._queues.values() for request in queue)

    def add(self, session: Session | None, request: Incoming) -> bool:
        """False if too many of the session wait already."""
        queue = self._queues.setdefault(b"" if session is None else session.token_hash, deque())
        if len(queue) >= SLOW_LIMIT:
            return False
        queue.append(request)
        return True

    def take(self) -> Incoming:
        """The next one. Raises StopIteration if there is none."""
        token_hash = next(iter(self._queues))
        queue = self._queues.pop(token_hash)
        request = queue.popleft()
        if queue:
            self._queues[token_hash] = queue  # behind the others
        return request
