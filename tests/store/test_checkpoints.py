"""Checkpoints: the WAL stays short beside a writer that never pauses, and nothing is lost in any phase of one."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path

import pytest

from broker.core.storage import StoreError, StoreGone
from broker.home.data_folder import prepare_home
from broker.home.settings import Settings
from broker.store import SqliteStore, checkpoints, open_store
from broker.store.checkpoints import _COUNTS, Checkpoints
from tests.deep.faults.points import wrap

PAGES, QUIET_PAGES, MOST_PAGES = 90, 20, 300
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def store(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteStore]:
    """A store whose checkpoints are due after a few pages."""
    for name, pages in (("_PAGES", PAGES), ("_QUIET_PAGES", QUIET_PAGES), ("_MOST_PAGES", MOST_PAGES)):
        monkeypatch.setattr(checkpoints, name, pages)
    store = opened(home)
    store.checkpoint(quiet=True)  # the schema of a new database
    yield store
    store.close()


def opened(home: Path) -> SqliteStore:
    settings = Settings.load(env={"IPC_HOME": str(home)})
    prepare_home(settings)
    return open_store(settings)


def write(store: SqliteStore, number: int) -> None:
    """A transaction of a few pages."""
    store._write_now(("INSERT INTO meta VALUES (?, ?)", [(f"key {number:06}", "x" * 3000)]))


def written(store: SqliteStore) -> int:
    """Pages in the WAL."""
    return int(_COUNTS.unpack(os.pread(store.checkpoints._index, _COUNTS.size, 0))[0])


def kept(home: Path) -> int:
    """The keys in a database, which must be sound; they must be the first ones."""
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        keys = [row[0] for row in db.execute("SELECT key FROM meta WHERE key LIKE 'key %' ORDER BY key")]
    assert keys == [f"key {n:06}" for n in range(len(keys))]
    return len(keys)


def test_a_writer_that_never_pauses_keeps_the_wal_short(store: SqliteStore, home: Path) -> None:
    lengths = []
    for number in range(1500):
        write(store, number)
        store.checkpoint(quiet=False)
        lengths.append(written(store))
    assert max(lengths) < MOST_PAGES + 2 * PAGES
    assert sum(later < earlier for earlier, later in pairwise(lengths)) > 5  # it was begun anew
    assert (home / "ipc.db-wal").stat().st_size < (MOST_PAGES + 2 * PAGES) * 4200


def test_a_quiet_broker_moves_its_pages_without_a_thread(store: SqliteStore) -> None:
    numbers = count()
    while not store.checkpoints.due:
        write(store, next(numbers))
        store.checkpoint(quiet=False)
    store.checkpoint(quiet=True)
    assert not store.checkpoints.due
    write(store, next(numbers))
    assert written(store) < QUIET_PAGES
    assert store.checkpoints._thread is None


def test_a_reader_holds_the_wal_until_it_ends(store: SqliteStore, home: Path) -> None:
    numbers = count()
    with closing(sqlite3.connect(home / "ipc.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM meta").fetchone()
        while written(store) < 2 * MOST_PAGES:
            write(store, next(numbers))
            store.checkpoint(quiet=False)
        reader.execute("COMMIT")
    while written(store) >= 2 * MOST_PAGES:
        write(store, next(numbers))
        store.checkpoint(quiet=False)
    assert kept(home) == next(numbers)


def test_a_checkpoint_that_fails_is_tried_again_when_more_has_come(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Checkpoints, _other: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    numbers, move = count(), Checkpoints._move
    monkeypatch.setattr(Checkpoints, "_move", fail)
    failures = 0
    while failures < 2:
        write(store, next(numbers))
        try:
            store.checkpoint(quiet=False)
        except StoreError:
            failures += 1
    assert written(store) > 2 * PAGES
    monkeypatch.setattr(Checkpoints, "_move", move)
    longest = written(store)
    while written(store) >= longest:
        write(store, next(numbers))
        store.checkpoint(quiet=False)
        longest = max(longest, written(store) - 1)


def test_a_failed_sync_of_moved_pages_ends_the_broker_and_leaves_the_wal(
    store: SqliteStore, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later sync could succeed without the pages, so nothing may begin the WAL anew, not even the end of the process."""

    def fail(_self: Checkpoints) -> None:
        raise OSError(5, "Input/output error")

    shutil.copy(home / "ipc.db", tmp_path)
    monkeypatch.setattr(Checkpoints, "_sync", fail)
    numbers = count()
    before = 0
    with pytest.raises(StoreGone, match="Input/output error"):
        while True:
            write(store, next(numbers))
            if (now := written(store)) < before:  # it was begun anew: SQLite has moved and synced all that was in it
                shutil.copy(home / "ipc.db", tmp_path)
            before = now
            store.checkpoint(quiet=False)
    store.close()
    shutil.copy(home / "ipc.db-wal", tmp_path)  # beside a database that has lost all that was moved
    assert kept(tmp_path) == next(numbers)


PHASES: dict[str, Callable[[int], None]] = {
    "before the thread moves pages": lambda nth: wrap(Checkpoints, "_move", nth),
    "before it syncs them": lambda nth: wrap(Checkpoints, "_sync", nth),
    "after it synced them": lambda nth: wrap(Checkpoints, "_sync", nth, after=True),
    "before the loop moves the rest": lambda nth: wrap(Checkpoints, "_finish", nth),
    "after the loop moved the rest": lambda nth: wrap(Checkpoints, "_finish", nth, after=True),
}


@pytest.mark.parametrize("phase", PHASES)
def test_what_was_committed_outlives_a_kill_in_each_phase(home: Path, phase: str) -> None:
    command = [sys.executable, "-m", "tests.store.test_checkpoints", str(home), phase]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    committed = len(done.stdout)
    assert committed > PAGES // 4  # checkpoints had begun
    assert kept(home) in (committed, committed + 1)  # the last one's dot may be missing


def write_until_killed(home: Path, phase: str) -> None:
    checkpoints._PAGES = PAGES
    PHASES[phase](3)
    store = opened(home)
    for number in count():
        write(store, number)
        os.write(1, b".")
        store.checkpoint(quiet=False)


if __name__ == "__main__":
    write_until_killed(Path(sys.argv[1]), sys.argv[2])
