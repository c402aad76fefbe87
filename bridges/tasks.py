"""Tasks of a door that belong together, and end together."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

_AGAIN_S = 0.5


async def run_together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run these until one ends, then end the others. Raises what that one raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end_tasks(tasks)


async def end_tasks(tasks: Sequence[asyncio.Future[Any]]) -> None:
    """Cancel these, until all have ended. Once is not enough: nats-py swallows a cancellation that comes while it writes."""
    while under_way := [task for task in tasks if not task.done()]:
        for task in under_way:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # whoever ends us waits for the same
            await asyncio.wait(under_way, timeout=_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
