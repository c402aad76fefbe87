"""What signing and sealing cost a door, a message: processor time."""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from bench.report import Results
from bench.sites import SEALING
from bridges.nats.envelope import ENTRY, Identity, sealed, verify

SIZES = ((256, "256 B"), (4096, "4 KiB"), (65_536, "64 KiB"))
_SUBJECT = "ipc.in.0.rome.paris"


def measure(results: Results, count: int) -> None:
    """One round."""
    us = Identity("7" * 64)
    for size, name in SIZES:
        plain = os.urandom(size)
        payload = sealed(us.public, plain)
        signature = us.signature(ENTRY, _SUBJECT, payload)

        def out(plain: bytes = plain) -> None:
            us.signature(ENTRY, _SUBJECT, sealed(us.public, plain))

        def back(payload: bytes = payload, signature: bytes = signature) -> None:
            verify(us.public, ENTRY, _SUBJECT, payload, signature)
            us.unsealed(payload)

        for key, column, work in (("out", "sealed and signed", out), ("in", "verified and opened", back)):
            results.add(f"sites.sealing.{size}.{key}", SEALING, name, column, "µs", processor_us(work, count))


def processor_us(work: Callable[[], Any], count: int) -> float:
    """Median of so many."""
    found = []
    for _ in range(count):
        began_ns = time.thread_time_ns()
        work()
        found.append((time.thread_time_ns() - began_ns) / 1e3)
    return statistics.median(found)
