"""Bounds on what one connection may have on the way: a client that sends and does not read costs bounded memory.

    read from the client --at most 8 MiB, 320 requests--> asked --at most 4 long replies--> written --64 KiB--> client
                                                            |
                                                            '--at most 16 at once while another client asks, too

Beyond a bound nothing more is read, which the client's kernel notices. Pushes can't be held up so: a subscriber that leaves
16 MiB of them unread is dropped, and its mail comes back.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from bridges.upstream import Handed
from broker.protocol import actions

PIPELINE = 320
"""Requests of one connection that may wait for their replies."""
TAKEN_BYTES = 8 * 1024 * 1024
"""Bytes of requests after which nothing more is read until all are answered."""
SHARE = 16
"""Requests of one client that may be at the broker while others ask. Another's request stands behind 16, not behind 320.

Measured beside a flood in one run, with 16, 24, 32 and 320: a quiet client's p99 is 2.3, 2.9, 3.6 and 10 times that alone, and
the flood gets 55, 55, 61 and 100 %."""
SHARED_S = 1.0
"""Clients share for 1 s after a second one was active; it will probably ask again."""
LONG_AT_ONCE = 4
"""Requests with long replies that may be on the way. What comes behind waits until the client has taken one."""
UNREAD_PUSHES_BYTES = 16 * 1024 * 1024
"""Of one connection; beyond, it is dropped."""
LONG = actions.LONG | {"say"}
"""Actions whose reply may be many times as long as the request. ``check`` is not among them: one is asked at a time."""
FOR_ITSELF = LONG | actions.DELIVERING | {"subscribe", "unsubscribe"}
"""Actions whose result is of use to the client alone: they are not run once it has left."""


class FairTurns:
    """Tells whether clients have to share: two of them have asked within the last second."""

    __slots__ = ("_last", "_last_s", "_until_s")

    def __init__(self) -> None:
        self._last = 0
        self._last_s = self._until_s = -SHARED_S

    def heard(self, client: int, now_s: float) -> bool:
        """Note that a client asks, by its number. True if it has to share."""
        if client != self._last:
            if now_s - self._last_s < SHARED_S:
                self._until_s = now_s + SHARED_S
            self._last = client
        self._last_s = now_s
        return now_s < self._until_s


class Slot:
    """The place of one request's reply among those of its connection."""

    __slots__ = ("counts", "due_s", "mail", "reply", "request", "size_bytes", "taken")

    def __init__(self, size_bytes: int, taken: int) -> None:
        self.counts = False
        """It is at the broker and will be answered soon."""
        self.due_s = 0.0
        """When the reply may be written."""
        self.size_bytes = size_bytes
        """Of the request."""
        self.taken = taken
        """Bytes of replies and pushes that the client had taken when its request came."""
        self.request: dict[str, Any] = {}
        self.reply: dict[str, Any] | None = None
        self.mail: list[Handed] = []


Held = tuple[Slot, bytes, dict[str, Any] | None]


class Window:
    """Requests of one connection that are on the way, and those that wait behind them, in order."""

    __slots__ = ("_held", "_running", "long", "shares", "taken_bytes")

    def __init__(self) -> None:
        self.taken_bytes = 0
        self.shares = False
        """Others ask, too."""
        self.long: deque[Slot] = deque()
        """Requests with long replies that are not written yet, in order."""
        self._running = 0
        self._held: deque[Held] = deque()

    def goes_on(self, before: int, left: int) -> bool:
        """Whether reading may go on, after replies took the number of requests from ``before`` to ``left``."""
        held_up = self.taken_bytes > TAKEN_BYTES
        if left == 0:
            self.taken_bytes = 0
        return left == 0 if held_up else before >= PIPELINE // 2 > left

    def hold(self, slot: Slot, raw: bytes, request: dict[str, Any] | None) -> None:
        self._held.append((slot, raw, request))

    def begins(self, slot: Slot) -> None:
        """Count a request that the broker answers at once. Those for its client itself have bounds of their own."""
        action = slot.request.get("action")
        if "wait_s" not in slot.request and isinstance(action, str) and action not in FOR_ITSELF:
            slot.counts = True
            self._running += 1

    def answered(self, slot: Slot) -> None:
        if slot.counts:
            slot.counts = False
            self._running -= 1

    @property
    def holds(self) -> bool:
        """Whether a request has to wait behind what is on the way."""
        return bool(self._held) or self._is_full

    @property
    def _is_full(self) -> bool:
        return len(self.long) >= LONG_AT_ONCE or (self.shares and self._running >= SHARE)

    @property
    def first_long(self) -> Slot | None:
        return self.long[0] if self.long else None

    def next(self) -> Iterator[Held]:
        """Requests that may be asked now. The bound is checked for each, since each may fill it."""
        while self._held and not self._is_full:
            yield self._held.popleft()

    def rest(self) -> list[Held]:
        """Take out all that has not been asked."""
        rest = list(self._held)
        self._held.clear()
        return rest
