"""``python -m broker``: the broker process. Usually the supervisor starts it.

begin -> lock the data folder and the database -> finish a restore, repair -> open store and sockets -> serve
"""

import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING

from broker.home import restore_journal
from broker.home.files import Identity, identity, write_private
from broker.home.locks import broker_lock, lock
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.home.watched_files import Ground, GroundGone
from broker.service.supervised import Begun, answer_parent, begin, collect_seldom, heard_parent, import_hashlib, is_supervised

if TYPE_CHECKING:
    from broker.server.loop import Server
    from broker.store.recovery import Repair

STOPPED, CANNOT_START, ANOTHER_SERVES = 0, 1, 3
_OBJECTS = 200_000
"""More than any load leaves for long. The sweeper looks for garbage before, when nobody asks for anything."""
_SWITCH_S = 1.0
"""The thread that moves the WAL's pages takes the interpreter when the loop waits for something. After 5 ms, Python's own
interval, it would demand it, and the loop then waits until the thread has a processor."""


class AnotherServes(Exception):
    """Another broker has this data folder or its database."""


class CannotStart(Exception):
    """What keeps the broker from starting, for a person."""


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start (the reason is on standard error), 3 another broker has this data folder."""
    supervised = is_supervised("broker", "Run the broker in the foreground.", argv)
    begun = begin("broker", supervised=supervised)
    import_hashlib()
    if begun is None:
        return CANNOT_START
    pipe = sys.stdin.fileno() if supervised else None
    with ExitStack() as held:
        try:
            server, check_beside = start(begun, Locks(begun.settings, held), pipe)
        except AnotherServes as e:
            complain(e)
            return ANOTHER_SERVES
        except CannotStart as e:
            begun.log.error("broker_cannot_start", detail=str(e))
            complain(e)
            return CANNOT_START
        return serve(server, pipe, check_beside=check_beside)


def complain(what: object) -> None:
    print(f"broker: {what}", file=sys.stderr)


class Locks:
    """What says that the data folder and the database are this broker's. Each is held until the process ends."""

    def __init__(self, settings: Settings, held: ExitStack) -> None:
        self._home, self._held = settings.home, held
        self._database: Identity | None = None

    def folder(self) -> None:
        """Raises AnotherServes."""
        if not self._held.enter_context(lock(broker_lock(self._home))):
            raise AnotherServes(f"another broker serves {self._home}")

    def database(self, *, make: bool = False) -> None:
        """Lock the database file itself, under whatever name or path another broker might open it; again if it is another now.

        With ``make`` it is made if there is none. Elsewhere than on Linux this lock and SQLite's would be in each other's way,
        and run/broker.lock decides alone. Raises AnotherServes.
        """
        path = self._home / "ipc.db"
        if sys.platform != "linux" or (identity(path) == self._database and not (make and self._database is None)):
            return
        if not self._held.enter_context(lock(path)):
            raise AnotherServes(f"another broker has the database {path}")
        self._database = identity(path)

    def keep(self, ground: Ground) -> None:
        """Have the files in ``run`` that say that this broker is here made again when they are gone."""
        held, opened = broker_lock(self._home), self._home / "run" / "open"

        def hold_again() -> None:
            try:
                self.folder()
            except AnotherServes:
                raise GroundGone(f"another broker has taken {held}") from None

        ground.keep(held, hold_again)
        ground.keep(opened, lambda: write_private(opened, ""))


def start(begun: Begun, locks: Locks, pipe: int | None) -> "tuple[Server, bool]":
    """An open server, and whether its database is to be examined beside the work. Raises AnotherServes, CannotStart."""
    from broker.core.storage import StoreDamaged, StoreError
    from broker.store import DATABASE_ERRORS, recovery
    from broker.store.migrations import SchemaTooNew

    settings, log = begun
    locks.folder()
    try:
        if restore_journal.finish(settings.home):
            log.warning("restore_finished")
            settings = Settings.load()
        for name in restore_journal.sweep(settings.home):
            log.info("leftover_removed", folder=name)
        locks.database()  # before a repair works on it
        repair, check_beside = recovery.begin(settings, lambda: None if pipe is None else answer_parent(pipe))
        locks.database(make=True)  # a repair puts another file in its place
        return open_server(settings, log, locks, repair), check_beside
    except (StoreDamaged, StoreError, SchemaTooNew, OSError, *DATABASE_ERRORS) as e:
        if isinstance(e, (StoreDamaged, *DATABASE_ERRORS)):
            recovery.note(settings, str(e))
        raise CannotStart(str(e)) from e


def open_server(settings: Settings, log: Log, locks: Locks, repair: "Repair | None") -> "Server":
    """The store and the sockets over it. What a repair lost is told to everybody."""
    from broker.server.loop import Server
    from broker.store import open_store

    store = open_store(settings)
    for name in store.sweep_orphans():
        log.info("orphan_removed", file=name)
    server = Server(settings, store, log)
    if repair is not None:
        log.error("database_repaired", **asdict(repair))
        server.engine.tell_all(repair.sentence(), server.clock())
    locks.keep(server.ground)
    server.open()
    return server


def serve(server: "Server", pipe: int | None, *, check_beside: bool) -> int:
    """Run the server to its end. Exit status."""
    from broker.core.storage import StoreDamaged, StoreGone
    from broker.store import recovery

    settings, log = server.settings, server.log

    def damaged(reason: str) -> None:
        log.error("database_damaged", detail=reason)
        complain(f"the database is damaged ({reason}); the next start repairs it")
        recovery.note(settings, reason)

    def damaged_beside(reason: str) -> None:
        damaged(reason)
        os.kill(os.getpid(), signal.SIGTERM)

    if check_beside:
        recovery.check_beside(settings, damaged_beside)
    collect_seldom(_OBJECTS)
    sys.setswitchinterval(_SWITCH_S)
    try:
        server.serve(pipe, heard_parent)
    except StoreDamaged as e:
        damaged(str(e))
        return CANNOT_START
    except (StoreGone, GroundGone) as e:
        log.error("ground_gone", detail=str(e))
        complain(e)
        return CANNOT_START
    finally:
        server.close()
    recovery.end(settings)
    return STOPPED


if __name__ == "__main__":
    sys.exit(main())
