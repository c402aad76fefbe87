"""Checkpoints that hold nobody up: the WAL's pages go into the database beside the work.

Theory of operation. A commit appends pages to the WAL; a checkpoint moves them into the database, after which the next commit
begins the WAL anew from its start. Overwriting blocks that are there syncs twice as fast as appending, so the WAL is to stay
short, and its file is never cut. SQLite would checkpoint within a commit, which stopped the broker for 5 to 7 ms a thousand
pages. Here it takes two phases:

    thread   moves what there is, by a connection of its own, and syncs the database; the broker goes on committing
    loop     moves the few pages that came meanwhile, 1 ms, between two batches: only it can, since nobody writes then

With a writer that never pauses the first alone never comes to an end, so the WAL would grow and grow.

SQLite counts pages as moved before they are synced, if it could not move all. They stay in the WAL until a later checkpoint
ends with a sync. But once the kernel has failed to sync a page, it may count the page as written, and a later sync succeeds
without it. So after a failed sync of phase one the process ends and leaves the WAL as it is: the next start moves all of it.
"""

import ctypes
import os
import sqlite3
import struct
import threading
from collections.abc import Callable
from queue import SimpleQueue

from broker.core.storage import StoreGone

_PAGES = 1000
"""WAL pages that wait before they are moved: 4 MiB. More make the first phase longer and its end no shorter (measured)."""
_QUIET_PAGES = 250
"""WAL pages that the loop moves by itself while nobody asks for anything; 1.5 ms."""
_FEW_PAGES, _MOST_ROUNDS = 100, 3
"""The thread moves again what came meanwhile while that is more, but not for ever."""
_MOST_PAGES = 8000
"""The loop waits for a thread that is so far behind. The WAL is at most 32 MiB then, if no other program reads."""
_MOVE = "PRAGMA wal_checkpoint(PASSIVE)"
_COUNTS = struct.Struct("=16xI76xI")
"""The first bytes of the -shm file: pages in the WAL, and how many of them were moved (sqlite.org/walformat.html)."""
_sync = getattr(os, "fdatasync", os.fsync)


class Checkpoints:
    """The checkpoints of one database, whose only writer is ``sql``. Nobody else is to write or to close it meanwhile."""

    def __init__(self, path: str, sql: sqlite3.Connection) -> None:
        self._path = path
        self._sql = sql
        # Closing any descriptor of a file drops this process's locks on it, SQLite's included: see ``close``.
        self._index = os.open(path + "-shm", os.O_RDONLY | os.O_CLOEXEC)
        self._database = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._thread: threading.Thread | None = None
        """Begun when it is first needed: a quiet broker does without."""
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._told: SimpleQueue[Exception | None] = SimpleQueue()
        self._moving = False
        self._held = 0
        """Pages in the WAL when a checkpoint could not end, because another program reads or the disk fails."""
        self.due = False
        """There is something to be done once nobody asks for anything."""
        self.unsynced = False
        """The disk failed to take moved pages: the database must not be closed, for that would remove the WAL."""

    def step(self, *, quiet: bool) -> None:
        """Between batches. ``quiet`` says that nobody has asked for anything of late. Raises sqlite3.Error, StoreGone."""
        written, moved = _COUNTS.unpack(os.pread(self._index, _COUNTS.size, 0))
        if written < self._held:  # it was begun anew
            self._held = 0
        waiting = written - max(moved, self._held)
        if self._moving:
            if not self._told.empty() or written - self._held >= _MOST_PAGES:
                self.settle()
                self._finish(written)
        elif waiting >= _PAGES:
            self._begin()
        elif quiet and waiting >= _QUIET_PAGES:
            self._finish(written)
            waiting = 0
        self.due = waiting >= _QUIET_PAGES

    def settle(self) -> None:
        """Wait for the thread. Raises sqlite3.Error, StoreGone."""
        if not self._moving:
            return
        error = self._told.get()
        self._moving = False
        if isinstance(error, OSError):
            self.unsynced = True
            raise StoreGone(f"the disk failed to write {self._path} ({error}); the next start repeats that from the WAL")
        if error is not None:
            self._held, _moved = _COUNTS.unpack(os.pread(self._index, _COUNTS.size, 0))
            raise error

    def close(self, close_database: Callable[[], None]) -> None:
        """End the thread, then close the database, which folds the WAL into it and removes it."""
        if self._thread is not None:
            self._asked.put(False)
            self._thread.join()
            self._thread = None
        if not self._told.empty() and isinstance(self._told.get(), OSError):
            self.unsynced = True
        if self.unsynced:  # not even Python, at its end, may close it
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._sql))
            return
        close_database()
        os.close(self._index)
        os.close(self._database)

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
            self._thread.start()
        self._moving = True
        self._asked.put(True)

    def _finish(self, written: int) -> None:
        """The second phase, or all of it."""
        self._held = written
        _busy, _written, moved = self._sql.execute(_MOVE).fetchone()
        if moved >= written:
            self._held = 0

    # the thread

    def _work(self) -> None:
        other: sqlite3.Connection | None = None
        while self._asked.get():
            try:
                if other is None:
                    other = sqlite3.connect(self._path, isolation_level=None)
                    other.execute("SELECT 1 FROM sqlite_master").fetchone()  # SQLite finds out that there is a WAL
                self._move(other)
                self._told.put(None)
            except (sqlite3.Error, OSError) as e:
                self._told.put(e)
        if other is not None:
            other.close()

    def _move(self, other: sqlite3.Connection) -> None:
        """The first phase."""
        for _ in range(_MOST_ROUNDS):
            other.execute(_MOVE).fetchone()
            self._sync()
            written, moved = _COUNTS.unpack(os.pread(self._index, _COUNTS.size, 0))
            if written - moved < _FEW_PAGES:
                return

    def _sync(self) -> None:
        _sync(self._database)
