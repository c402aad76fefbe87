"""Tasks that belong together end together."""

import asyncio

from bridges.tasks import end_tasks


def test_tasks_end_though_something_in_them_swallows_a_cancellation() -> None:
    """As the client of NATS does while it writes: the task goes on as if nobody had ended it."""

    async def deaf(times: int) -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                times -= 1
                if times < 0:
                    raise

    async def run() -> list[asyncio.Task[None]]:
        tasks = [asyncio.ensure_future(deaf(times)) for times in (0, 1, 2)]
        await asyncio.sleep(0)
        await end_tasks([*tasks])
        return tasks

    assert all(task.cancelled() for task in asyncio.run(run()))
