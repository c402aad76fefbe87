"""Death at a chosen point. Production code knows nothing of it: this module imports the broker, wraps one method so that
its Nth call ends the process with SIGKILL, and runs the real ``main``.

``python -m tests.deep.faults.points supervisor`` runs the real supervisor, except that a broker whose point stands in
``run/fault.json`` (``{"point", "nth"}``, used once) is started through this module, and that a child which was killed is
started again at once each time: a thousand kills in a row are the test here, not a crash loop to be slowed down.
"""

import faulthandler
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_THIS = "tests.deep.faults.points"
FILE = "fault.json"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner: Any, name: str, nth: int, *, after: bool = False, counts: Callable[..., bool] = lambda *_: True) -> None:
    """Have the Nth call of ``owner.name`` kill the process, before it does its work or after."""
    original = getattr(owner, name)
    calls = 0

    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        calls += bool(counts(*args))
        if calls == nth and not after:
            die()
        result = original(*args, **options)
        if calls == nth and after:
            die()
        return result

    setattr(owner, name, wrapped)


def _writes(store: Any) -> bool:
    return bool(store._messages or store._ordinary or store._statements or store._marks)


def fold_always() -> None:
    """Have the tail folded after each batch, as if it were too long."""
    upkeep = importlib.import_module("broker.server.upkeep")
    upkeep.LONGEST = 0


def arm(point: str, nth: int) -> None:
    """Wrap the method of a point."""
    from broker.server.loop import Server
    from broker.store import checkpoints
    from broker.store.checkpoints import Checkpoints
    from broker.store.large_files import LargeFiles
    from broker.store.load import SqliteStore

    def before_commit() -> None:
        wrap(SqliteStore, "commit", nth, counts=_writes)

    def inside_commit() -> None:  # the rows are in SQLite's transaction, COMMIT has not been said
        wrap(SqliteStore, "_flush", nth, after=True, counts=_writes)

    def after_commit() -> None:
        wrap(SqliteStore, "commit", nth, after=True, counts=_writes)

    def before_reply() -> None:
        wrap(Server, "_send_frame", nth)

    def after_reply() -> None:
        wrap(Server, "_send_frame", nth, after=True)

    def before_link() -> None:  # the large file is written and synced, and has no name yet
        wrap(LargeFiles, "_link", 1 + nth % 3)

    def after_link() -> None:  # it has its name, the message that names it is not committed
        wrap(LargeFiles, "_link", 1 + nth % 3, after=True)

    def before_sweep() -> None:
        wrap(SqliteStore, "_sweep", 1 + nth % 3)

    def after_sweep() -> None:
        wrap(SqliteStore, "_sweep", 1 + nth % 3, after=True)

    def before_moving() -> None:  # a checkpoint's pages are about to be moved, in its thread
        wrap(Checkpoints, "_move", 1)

    def before_sync() -> None:  # they are in the database, as far as a killed process is concerned
        wrap(Checkpoints, "_sync", 1)

    def before_finish() -> None:  # what came meanwhile is still to be moved
        wrap(Checkpoints, "_finish", 1)

    def after_finish() -> None:  # the next commit overwrites the WAL
        wrap(Checkpoints, "_finish", 1, after=True)

    def orphan_sweep() -> None:
        wrap(LargeFiles, "remove", 1)

    def before_fold() -> None:
        fold_always()
        wrap(SqliteStore, "_write_tail", nth)

    def inside_fold() -> None:  # the rows are in SQLite's transaction, COMMIT has not been said
        fold_always()
        wrap(SqliteStore, "_write_tail", nth, after=True)

    def after_fold() -> None:
        fold_always()
        wrap(SqliteStore, "fold", nth, after=True)

    def at_load() -> None:
        wrap(SqliteStore, "load", 1)

    checkpoints._PAGES = 10 * nth  # checkpoints are so frequent that a short life meets them
    locals()[point]()


POINTS = (
    "before_commit",
    "inside_commit",
    "after_commit",
    "before_reply",
    "after_reply",
    "before_link",
    "after_link",
    "before_sweep",
    "after_sweep",
    "before_moving",
    "before_sync",
    "before_finish",
    "after_finish",
    "orphan_sweep",
    "before_fold",
    "inside_fold",
    "after_fold",
    "at_load",
)


def child(module: str, point: str | None = None, nth: str = "1") -> int:
    """The real broker or door, perhaps with an armed point. SIGUSR1 writes its stacks to standard error."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    if point is not None:
        arm(point, int(nth))
    main = importlib.import_module(f"{module}.__main__").main
    return int(main(["--supervised"]))


def supervisor() -> int:
    """The real supervisor, whose children may be armed."""
    import broker.service.supervisor as real

    real._LAST_BACKOFF_S = real._FIRST_BACKOFF_S
    start = subprocess.Popen

    def popen(command: list[str], **options: Any) -> Any:
        file = Path(os.environ["IPC_HOME"]) / "run" / FILE
        if command[-1:] == ["--supervised"]:
            fault: list[str] = []
            if command[-2] == "broker" and file.exists():
                armed = json.loads(file.read_text())
                file.unlink()
                fault = [armed["point"], str(armed["nth"])]
            command = [sys.executable, "-m", _THIS, command[-2], *fault]
            options["env"] = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
        return start(command, **options)

    real.subprocess.Popen = popen  # type: ignore[assignment,misc]
    return real.main()


if __name__ == "__main__":
    sys.exit(supervisor() if sys.argv[1] == "supervisor" else child(*sys.argv[1:]))
