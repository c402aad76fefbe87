"""The start and the life of a supervised process: broker and doors alike.

``begin`` reads the settings, makes the data folder and opens the log. ``run_door`` does all that a door's ``__main__`` needs:

    main -> begin -> DoorProcess -> serve(door), which ends when ``door.stopping`` is set

``stopping`` is set by SIGTERM, by SIGINT, by the end of the supervisor (standard input closes), and when the data folder is
gone.

A supervised process never outlives its supervisor, and answers its questions whether it lives (broker.service.heartbeat).
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from broker.home.data_folder import prepare_home
from broker.home.files import FolderError, write_private
from broker.home.logs import Log, open_log
from broker.home.settings import Settings, SettingsError
from broker.home.watched_files import Ground

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1
_RETRY_OPEN_S = 2.0


class Begun(NamedTuple):
    """What a process of the service has from its start."""

    settings: Settings
    log: Log


def begin(name: str, *, supervised: bool) -> Begun | None:
    """Tie the process to its supervisor, read the settings, make the data folder, open ``logs/NAME.log``.

    None where that can't be done; standard error then says why.
    """
    if supervised:
        die_with_parent()
    allow_many_files()
    try:
        settings = Settings.load()
        prepare_home(settings)
    except (SettingsError, FolderError) as e:
        print(f"{name}: {e}", file=sys.stderr)
        return None
    return Begun(settings, open_log(name, settings.home / "logs", settings.log_level))


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


def parser_of(module: str, description: str) -> argparse.ArgumentParser:
    """The command line that the supervisor uses."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--supervised", action="store_true", help="stop when standard input closes")
    return parser


def heard_parent(pipe: int) -> bool:
    """Read what the supervisor wrote to this end of its pipe; False if it is gone.

    A byte asks whether the process lives. The main loop answers it on standard output, since the question is about that loop.
    """
    if not os.read(pipe, 64):
        return False
    with contextlib.suppress(OSError):
        os.write(1, b".")
    return True


def answer_parent(pipe: int) -> None:
    """Answer the supervisor if it has asked, from within a long piece of work."""
    if select.select([pipe], [], [], 0)[0]:
        heard_parent(pipe)


def die_with_parent() -> None:
    """On Linux, have the kernel kill this process when its parent dies. Elsewhere the end of standard input tells."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(0)


def allow_many_files() -> None:
    """Use as many descriptors as this user may have: many systems begin with 1024, and each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def collect_seldom() -> None:
    """Look for garbage in cycles less often than Python does by itself, which would stop a loaded process for 10 to 25 ms.

    What lives by now is not looked at again. Nearly everything else is freed by its reference count at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)
