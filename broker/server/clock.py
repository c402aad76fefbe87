"""The clocks of this machine, as the broker reads them."""

import time

from broker.core.state import Moment
from broker.core.terms import ClockReading, Terms
from broker.home.process_table import boot_id

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Counts suspension, on Linux by its name; CLOCK_MONOTONIC does elsewhere."""


def reading() -> ClockReading:
    """The clocks now, and which boot of the machine this is."""
    return ClockReading(time.time(), time.clock_gettime(_BOOT_CLOCK), boot_id())


class Clock:
    """Says what moment it is: call it."""

    def __init__(self, terms: Terms) -> None:
        self.terms = terms

    def __call__(self) -> Moment:
        wall_s = time.time()
        return Moment(wall_s, time.monotonic(), *self.terms.read(wall_s, time.clock_gettime(_BOOT_CLOCK)))
