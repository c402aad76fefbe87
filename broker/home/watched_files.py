"""What a process has put into the data folder, and whether it is still there.

A data folder is deleted, moved or replaced, and a cleaner takes sockets out of a temporary folder, while the service runs. So
each process of the service looks at every beat of its supervisor (a third of ``heartbeat_s``, 5 s by default):

    a file of ours is gone, or another    it is made again: a socket is bound, a lock taken, a state file written
    the data folder is gone, or another   the process ends: what it holds open is no longer what clients will find

The broker's database is looked at for each batch, too, before its replies go out (broker.store.transactions).
"""

from __future__ import annotations

from broker.home.data_folder import prepare_home
from broker.home.files import Identity, identity
from broker.home.logs import Log
from broker.home.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from broker.home.files import AnyPath


_NEVER_MADE: Identity = (0, 0)
"""The identity of no file."""


class GroundGone(Exception):
    """The data folder is another one now, or gone. The text says so to a person."""


def note(log: Log, healed: dict[str, str]) -> None:
    """Log what ``Ground.look`` found."""
    for path, problem in healed.items():
        if problem:
            log.error("file_not_made_again", path=path, detail=problem)
        else:
            log.warning("file_made_again", path=path)


class Ground:
    """The data folder of a process, and its files there."""

    def __init__(self, settings: Settings, home: Identity | None = None) -> None:
        """``home`` identifies the data folder as who started this process saw it; as it is now, unless given."""
        self._settings = settings
        self._home = home or identity(settings.home)
        self._kept: dict[str, tuple[Identity | None, Callable[[], None]]] = {}

    def keep(self, path: AnyPath, make_again: Callable[[], None]) -> None:
        """Watch a file as it is now; ``make_again`` is called when it is gone or another, and may raise OSError."""
        self._kept[str(path)] = identity(path), make_again

    def make(self, path: AnyPath, make: Callable[[], None], log: Log) -> None:
        """Make a file and watch it. Where the disk refuses, each beat tries again, and the process serves on."""
        try:
            make()
        except OSError as e:
            log.warning("file_not_made", path=str(path), detail=str(e))
            self._kept[str(path)] = _NEVER_MADE, make
        else:
            self.keep(path, make)

    def tend(self, log: Log, stopping: asyncio.Event) -> None:
        """Called at each beat of a door: make again what is gone, log it, and set ``stopping`` if the data folder is gone."""
        try:
            note(log, self.look())
        except GroundGone as e:
            log.error("ground_gone", detail=str(e))
            stopping.set()

    def check_home(self) -> None:
        """Raise GroundGone if the data folder is gone, or another."""
        if identity(self._settings.home) != self._home:
            raise GroundGone(f"{self._settings.home} was deleted, moved or replaced while the service ran")

    def look(self) -> dict[str, str]:
        """Make again what is gone; by path "" or why it can't be made now. Raises GroundGone."""
        self.check_home()
        healed: dict[str, str] = {}
        for path, (was, make_again) in list(self._kept.items()):
            if identity(path) == was:
                continue
            try:
                prepare_home(self._settings)
                make_again()
            except OSError as e:
                healed[path] = str(e)
            else:
                healed[path] = ""
                self.keep(path, make_again)
        return healed
