"""What the metrics page draws: an ``overview`` each 15 s, kept in memory for twelve hours and no longer than this process."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from bridges.view.charts import SAMPLE_S, Sample, sample_of
from broker.protocol.errors import IpcError

KEPT_S = 12 * 3600.0


async def keep_sampling(kept: deque[Sample], ask: Callable[[str], Awaitable[dict[str, Any]]]) -> None:
    """Add a sample each 15 s until cancelled. While the broker is away there is none."""
    while True:
        with contextlib.suppress(IpcError):  # the line has a gap there
            kept.append(sample_of(await ask("overview")))
        await asyncio.sleep(SAMPLE_S)


def empty() -> deque[Sample]:
    return deque(maxlen=int(KEPT_S / SAMPLE_S))
