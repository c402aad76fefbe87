"""Bounds on what one connection may have on the way: a client that sends and does not read costs bounded memory.

    read from the client --at most 8 MiB, 320 requests--> asked --at most 4 long replies--> written --64 KiB--> client
                                                            |
                                                            '-- at most 16 at once by the lane that all clients share

The door has two connections to the broker, and the broker gives each its turn. A client that asks little uses the quick lane;
one that has more than 16 requests here uses the bulk lane, where it does without a bound and its requests stand before nobody
else's but those of others of its kind. It changes lanes when nothing of it is under way, so its requests keep their order.

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
"""Requests of one client that may be at the broker by the quick lane. Another's request stands behind 16, not behind 320."""
LONG_AT_ONCE = 4
"""Requests with long replies that may be on the way. What comes behind waits until the client has taken one."""
UNREAD_PUSHES_BYTES = 16 * 1024 * 1024
"""Of one connection; beyond, it is dropped."""
LONG = actions.LONG | {"say"}
"""Actions whose reply may be many times as long as the request. ``check`` is not among them: one is asked at a time."""
FOR_ITSELF = LONG | actions.DELIVERING | {"subscribe", "unsubscribe"}
"""Actions whose result is of use to the client alone: they are not run once it has left."""


_NOTHING: dict[str, Any] = {}


class Slot:
    """The place of one request's reply among those of its connection."""

    __slots__ = ("counts", "due_s", "mail", "orders", "reply", "request", "size_bytes", "taken", "unnamed")

    def __init__(self, size_bytes: int, taken: int) -> None:
        self.counts = False
        """It is at the broker and will be answered soon."""
        self.orders = False
        """It is at the broker, and what comes behind it may not overtake it."""
        self.due_s = 0.0
        """When the reply may be written."""
        self.size_bytes = size_bytes
        """Of the request."""
        self.taken = taken
        """Bytes of replies and pushes that the client had taken when its request came."""
        self.unnamed = False
        """A message that got its id from this door."""
        self.request = _NOTHING
        self.reply: dict[str, Any] | None = None
        self.mail: tuple[Handed, ...] = ()


Held = tuple[Slot, bytes, dict[str, Any] | None]


class Window:
    """Requests of one connection that are on the way, and those that wait behind them, in order."""

    __slots__ = ("_asked", "_held", "_running", "_turns", "bulk", "came", "long", "taken_bytes")

    def __init__(self) -> None:
        self.taken_bytes = 0
        self.bulk = False
        """The lane: bulk or quick."""
        self.long: deque[Slot] = deque()
        """Requests with long replies that are not written yet, in order."""
        self.came = 0
        """Requests that the client has just sent together."""
        self._running = self._asked = 0
        self._turns = False
        """The first request that waits needs the other lane."""
        self._held: deque[Held] = deque()

    def goes_on(self, before: int, left: int) -> bool:
        """Whether reading may go on, after replies took the number of requests from ``before`` to ``left``."""
        held_up = self.taken_bytes > TAKEN_BYTES
        if left == 0:
            self.taken_bytes = 0
        return left == 0 if held_up else before >= PIPELINE // 2 > left

    def hold(self, slot: Slot, raw: bytes, request: dict[str, Any] | None) -> None:
        self._held.append((slot, raw, request))

    def begins(self, slot: Slot, raw: bytes, here: int) -> bool:
        """Count a request that is about to be asked, and choose its lane; ``here``: how many of its client's the door has.

        Requests whose result is of use to the client alone, and those that wait for mail, take the quick lane, and have bounds
        of their own. False: it has to wait until what is under way by the bulk lane is answered.
        """
        request = slot.request
        action = request.get("action")
        slot.counts = "wait_s" not in request and isinstance(action, str) and action not in FOR_ITSELF
        if not self._asked:
            self.bulk = slot.counts and max(here, self.came) > SHARE
        elif self.bulk and not slot.counts:
            self._turns = True
            self._held.appendleft((slot, raw, request))
            return False
        self._running += slot.counts
        slot.orders = action != "check" or "wait_s" not in request  # a check that waits may be overtaken
        self._asked += slot.orders
        return True

    def begins_plainly(self, slot: Slot, here: int) -> None:
        """The same for a request that is answered at once."""
        if not self._asked:
            self.bulk = max(here, self.came) > SHARE
        slot.counts = slot.orders = True
        self._running += 1
        self._asked += 1

    @property
    def is_open(self) -> bool:
        """Whether plain requests are sure not to wait."""
        return self.bulk and not self._held

    def answered(self, slot: Slot) -> None:
        self._running -= slot.counts
        self._asked -= slot.orders
        slot.counts = slot.orders = False

    @property
    def holds(self) -> bool:
        """Whether a request has to wait behind what is on the way."""
        return bool(self._held) or self._is_full

    @property
    def _is_full(self) -> bool:
        if self._turns:
            return self._asked > 0
        if self.bulk or len(self.long) >= LONG_AT_ONCE:
            return not self.bulk
        changes = len(self._held) > SHARE and self._asked == self._running > 0
        return changes or self._running >= SHARE

    @property
    def first_long(self) -> Slot | None:
        return self.long[0] if self.long else None

    def next(self) -> Iterator[Held]:
        """Requests that may be asked now. The bound is checked for each, since each may fill it."""
        while self._held and not self._is_full:
            self._turns = False
            yield self._held.popleft()

    def rest(self) -> list[Held]:
        """Take out all that has not been asked."""
        rest = list(self._held)
        self._held.clear()
        return rest
