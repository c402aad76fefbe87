"""The life of a door's process. ``run_door`` does all that a door's ``__main__`` needs:

    main -> begin -> DoorProcess -> serve(door), which ends when ``door.stopping`` is set

``stopping`` is set by SIGTERM, by SIGINT, by the end of the supervisor (standard input closes), and when the data folder is
gone.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from broker.home.files import write_private
from broker.home.watched_files import Ground
from broker.service.supervised import Begun, begin, heard_parent

T = TypeVar("T")
_RETRY_OPEN_S = 2.0


class DoorProcess:
    """A door's process while it runs."""

    def __init__(self, name: str, begun: Begun, *, supervised: bool) -> None:
        self.name = name
        self.settings, self.log = begun
        self.supervised = supervised
        self.ground = Ground(self.settings)
        self.stopping = asyncio.Event()

    def say(self, **state: Any) -> None:
        """Keep ``run/NAME.json``, which says what became of the door's address: ``{"pid", ...state}``."""
        path = self.settings.home / "run" / f"{self.name}.json"
        text = json.dumps({"pid": os.getpid(), **state})
        self.ground.make(path, lambda: write_private(path, text), self.log)

    async def opened(
        self, open_: Callable[[], T], why: Callable[[Exception], str], tell: Callable[[str], None], *failures: type[Exception]
    ) -> T | None:
        """What ``open_`` returns; None when told to stop before. While it raises one of ``failures`` it is tried each 2 s.

        ``why`` says what a failure means to a person; it is logged and given to ``tell`` whenever it is another.
        """
        told = ""
        while not self.stopping.is_set():
            try:
                return open_()
            except failures as e:
                error = why(e)
            if error != told:
                self.log.error(f"{self.name}_cannot_listen", detail=error)
                tell(error)
                told = error
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopping.wait(), _RETRY_OPEN_S)
        return None

    async def live(self, serve: "Callable[[DoorProcess], Awaitable[None]]") -> None:
        """Run ``serve`` with signals and heartbeat in place."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.stopping.set)
        if self.supervised:
            loop.add_reader(sys.stdin.fileno(), self._hear_parent)
        await serve(self)
        self.log.info(f"{self.name}_stopped")

    def _hear_parent(self) -> None:
        if not heard_parent(sys.stdin.fileno()):
            self.stopping.set()
            return
        self.ground.tend(self.log, self.stopping)


def run_door(name: str, serve: Callable[[DoorProcess], Awaitable[None]], *, supervised: bool) -> int:
    """Run a door until it is told to stop. Exit status: 0 stopped, 1 can't start."""
    begun = begin(name, supervised=supervised)
    if begun is None:
        return 1
    asyncio.run(_live(name, begun, serve, supervised))
    return 0


async def _live(name: str, begun: Begun, serve: Callable[[DoorProcess], Awaitable[None]], supervised: bool) -> None:
    await DoorProcess(name, begun, supervised=supervised).live(serve)
