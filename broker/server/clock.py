"""The clocks of this machine, as the broker reads them."""

import time

from broker.core.state import Moment
from broker.core.terms import ClockReading, Terms
from broker.home.process_table import boot_id

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that counts while the machine sleeps: CLOCK_BOOTTIME on Linux, CLOCK_MONOTONIC elsewhere."""


def reading() -> ClockReading:
    """What the clocks show now, and the id of this boot."""
    return ClockReading(time.time(), time.clock_gettime(_BOOT_CLOCK), boot_id())


class Clock:
    """Call it for the present moment."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def __call__(self) -> Moment:
        wall_s = time.time()
        return Moment(wall_s, time.monotonic(), *self.terms.read(wall_s, time.clock_gettime(_BOOT_CLOCK)))
