"""How often one may knock: buckets that fill again, one for each address, token or source, and one for all of a kind.

Behind a tunnel every request comes from the same address. So what proves itself (a token of ours, a right signature) is counted
for itself, and no flood of strangers closes the listener to it.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

_REMEMBERED = 1024
"""Keys of which a bucket is kept; the one used longest ago is forgotten."""


class Rate:
    """``burst`` at once, then ``per_s``, for each key; ``all_burst`` and ``all_per_s`` for all keys together."""

    def __init__(
        self, burst: float, per_s: float, all_burst: float, all_per_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._one, self._all = (burst, per_s), (all_burst, all_per_s)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._left_of_all = (all_burst, clock())

    def wait_s(self, key: str) -> float:
        """Seconds until one more is taken; 0: now. Charges nothing."""
        every = _filled(self._left_of_all, self._all, self._clock())
        return max(self.own_wait_s(key), _wait(every, self._all[1]))

    def own_wait_s(self, key: str) -> float:
        """The same, whatever other keys have used up."""
        now_s = self._clock()
        return _wait(_filled(self._left.get(key, (self._one[0], now_s)), self._one, now_s), self._one[1])

    def take(self, key: str) -> float:
        """Charge one, or say how many seconds are left until one is taken."""
        wait_s = self.wait_s(key)
        if wait_s > 0:
            return wait_s
        now_s = self._clock()
        self._left[key] = _filled(self._left.get(key, (self._one[0], now_s)), self._one, now_s) - 1, now_s
        self._left.move_to_end(key)
        self._left_of_all = _filled(self._left_of_all, self._all, now_s) - 1, now_s
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return 0.0


def _filled(bucket: tuple[float, float], rule: tuple[float, float], now_s: float) -> float:
    left, at_s = bucket
    return min(rule[0], left + max(0.0, now_s - at_s) * rule[1])


def _wait(left: float, per_s: float) -> float:
    return 0.0 if left >= 1 else (1 - left) / per_s
