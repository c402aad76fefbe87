"""How much of one connection may be on the way, so that who sends and does not read costs a bounded amount of memory.

    read from the client --at most 8 MiB, 320 requests--> asked --at most 4 long replies--> written --64 KiB--> client

Beyond a bound nothing more is read: the client's kernel holds it up. Only pushes can't be held up so; a subscriber that
leaves too much of them unread is dropped, and its mail comes back.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

from bridges.upstream import Handed

PIPELINE = 320
TAKEN_BYTES = 8 * 1024 * 1024
"""Bytes read while something waits for its reply, after which nothing more is read until all is answered."""
LONG_AT_ONCE = 4
"""Requests with long replies that may be on the way; what comes behind waits unasked until the client has taken one."""
UNREAD_PUSHES_BYTES = 16 * 1024 * 1024
LONG = frozenset({"history", "search", "list", "groups", "claims", "asks", "receipts", "blocks", "status", "say"})
"""Actions whose reply may be many times as long as the request, beside ``check``, of which one is asked at a time."""


class Slot:
    """The place of one request's reply among those of its connection."""

    __slots__ = ("due_s", "mail", "reply", "request", "size_bytes", "taken")

    def __init__(self, size_bytes: int, taken: int) -> None:
        self.due_s = 0.0
        """When the reply may be written."""
        self.size_bytes = size_bytes
        """Of the request."""
        self.taken = taken
        """So many bytes of replies and pushes the client had taken when its request came."""
        self.request: dict[str, Any] = {}
        self.reply: dict[str, Any] | None = None
        self.mail: list[Handed] = []


Held = tuple[Slot, bytes, dict[str, Any] | None]


class Pace:
    """Long replies on the way, and what waits behind them."""

    __slots__ = ("_held", "long", "taken_bytes")

    def __init__(self) -> None:
        self.taken_bytes = 0
        self.long: deque[Slot] = deque()
        """Requests with long replies that are not written yet, in order."""
        self._held: deque[Held] = deque()

    def goes_on(self, before: int, left: int) -> bool:
        """Whether reading may go on after replies were written: there were so many requests, so many are left."""
        held_up = self.taken_bytes > TAKEN_BYTES
        if left == 0:
            self.taken_bytes = 0
        return left == 0 if held_up else before >= PIPELINE // 2 > left

    def hold(self, slot: Slot, raw: bytes, request: dict[str, Any] | None) -> None:
        self._held.append((slot, raw, request))

    @property
    def first_long(self) -> Slot | None:
        return self.long[0] if self.long else None

    def written(self) -> Iterator[Held]:
        """The first long reply is on its way: what may be asked now, one at a time since it may bring a long reply itself."""
        self.long.popleft()
        while self._held and len(self.long) < LONG_AT_ONCE:
            yield self._held.popleft()
