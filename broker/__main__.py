"""``python -m broker``: the broker process. Usually the supervisor starts it."""

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import asdict

from broker.home import restore_journal
from broker.home.data_folder import prepare_home
from broker.home.files import FolderError, write_private
from broker.home.locks import lock
from broker.home.logs import open_log
from broker.home.settings import Settings, SettingsError
from broker.home.watched_files import Ground, GroundGone
from broker.service.supervised import allow_many_files, answer_parent, collect_seldom, die_with_parent


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start (the reason is on standard error), 3 another broker has this data folder."""
    parser = argparse.ArgumentParser(prog="python -m broker", description="Run the broker in the foreground.")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(argv)
    if options.supervised:
        die_with_parent()
    allow_many_files()
    from broker.core.storage import StoreDamaged, StoreError, StoreGone
    from broker.server.loop import Server
    from broker.store import DATABASE_ERRORS, open_store, recovery
    from broker.store.migrations import SchemaTooNew

    try:
        settings = Settings.load()
        prepare_home(settings)
    except (SettingsError, FolderError) as e:
        print(f"broker: {e}", file=sys.stderr)
        return 1
    log = open_log("broker", settings.home / "logs", settings.log_level)
    with ExitStack() as locks:
        if not locks.enter_context(lock(settings.home / "run" / "broker.lock")):
            print(f"broker: another broker serves {settings.home}", file=sys.stderr)
            return 3
        try:
            if restore_journal.finish(settings.home):
                log.warning("restore_finished")
                settings = Settings.load()
            for name in restore_journal.sweep(settings.home):
                log.info("leftover_removed", folder=name)
            pipe = sys.stdin.fileno() if options.supervised else None
            repair, check_beside = recovery.begin(settings, lambda: None if pipe is None else answer_parent(pipe))
            if not hold_database(settings, locks):
                print(f"broker: another broker has the database {settings.home / 'ipc.db'}", file=sys.stderr)
                return 3
            store = open_store(settings)
            for name in store.sweep_orphans():
                log.info("orphan_removed", file=name)
            server = Server(settings, store, log)
            if repair is not None:
                log.error("database_repaired", **asdict(repair))
                server.engine.tell_all(repair.sentence(), server.clock())
            keep_ground(settings, server.ground, locks)
            server.open()
        except (StoreDamaged, StoreError, SchemaTooNew, OSError, *DATABASE_ERRORS) as e:
            log.error("broker_cannot_start", detail=str(e))
            print(f"broker: {e}", file=sys.stderr)
            if isinstance(e, (StoreDamaged, *DATABASE_ERRORS)):
                recovery.note(settings, str(e))
            return 1

        def damaged(reason: str) -> None:
            log.error("database_damaged", detail=reason)
            print(f"broker: the database is damaged ({reason}); the next start repairs it", file=sys.stderr)
            recovery.note(settings, reason)

        def damaged_beside(reason: str) -> None:
            damaged(reason)
            os.kill(os.getpid(), signal.SIGTERM)

        if check_beside:
            recovery.check_beside(settings, damaged_beside)
        collect_seldom()
        try:
            server.serve(parent_pipe=pipe)
        except StoreDamaged as e:
            damaged(str(e))
            return 1
        except (StoreGone, GroundGone) as e:
            log.error("ground_gone", detail=str(e))
            print(f"broker: {e}", file=sys.stderr)
            return 1
        finally:
            server.close()
        recovery.end(settings)
    return 0


def hold_database(settings: Settings, locks: ExitStack) -> bool:
    """Lock the database file itself, under whatever name or path another broker might open it; False if one has it.

    Elsewhere than on Linux this lock and SQLite's would be in each other's way, and run/broker.lock decides alone.
    """
    return sys.platform != "linux" or locks.enter_context(lock(settings.home / "ipc.db"))


def keep_ground(settings: Settings, ground: Ground, locks: ExitStack) -> None:
    """Have the files in ``run`` that say that we are here made again when they are gone."""
    held, opened = settings.home / "run" / "broker.lock", settings.home / "run" / "open"

    def hold_again() -> None:
        if not locks.enter_context(lock(held)):
            raise GroundGone(f"another broker has taken {held}")

    ground.keep(held, hold_again)
    ground.keep(opened, lambda: write_private(opened, ""))


if __name__ == "__main__":
    sys.exit(main())
