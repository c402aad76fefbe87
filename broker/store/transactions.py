"""Rows gathered, then written in one transaction.

Theory of operation. Writes are gathered in lists and reach SQLite in one transaction at ``commit``, by ``executemany`` on
peewee's own connection (five times as fast as ``insert_many``); accounts, which change rarely, are written as peewee
queries. A read that has to see gathered rows flushes them into the open transaction first. What is derived from a message is
written later (``broker.store.tail``). Mail is committed with
synchronous=FULL, so an acknowledged message survives loss of power; a transaction that only marks mail as handed out is
committed with NORMAL, which survives any crash of the process and costs no sync.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, TypeVar

import peewee

from broker.core.storage import (
    ORDINARY,
    Delivery,
    NewMessage,
    StoreDamaged,
    StoredMessage,
    StoreError,
    StoreFull,
    StoreGone,
    StoreLocked,
)
from broker.home.files import identity
from broker.home.settings import Settings
from broker.store.checkpoints import Checkpoints
from broker.store.large_files import LargeFiles
from broker.store.tail import Tail

Row = TypeVar("Row", Delivery, StoredMessage)
Value = TypeVar("Value", int, str)
_INSERT_MESSAGE = f"INSERT INTO message ({','.join(NewMessage._fields)}) VALUES ({','.join('?' * len(NewMessage._fields))})"
_INSERT_ORDINARY = (
    f"INSERT OR FAIL INTO message ({','.join(ORDINARY)}, copies) VALUES ",
    f"({'?,' * len(ORDINARY)}{NewMessage._field_defaults['copies']})",
)
"""The table itself has the other defaults (a test compares them with the record's)."""
_INSERT_QUEUE = "INSERT OR IGNORE INTO queue VALUES ", "(?,?,?)", 3
_ROWS_AT_ONCE = (32, 8, 1)
"""Rows of one INSERT. With 32, a row costs half of what it costs alone. ``OR FAIL`` spares SQLite the statement journal; a
failed batch is rolled back whole anyway."""
DELETE_QUEUE = "DELETE FROM queue WHERE mailbox_id = ? AND message_id = ?"
_HAND_OUT = "INSERT INTO handed_out VALUES (?,?,?,?,?)"
_MARK_DELIVERED = "UPDATE queue SET attempts = max(0, attempts + ?) WHERE mailbox_id = ? AND message_id = ?"
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PATIENCE_MS = 250
"""Milliseconds that a write waits for another program that holds the database, such as a person's sqlite3."""
_MEASURE_BATCHES = 32
_MEASURE_ROWS = 8
_NEAR_BYTES = 64 * 1024 * 1024
"""With less room than this, each batch looks at the size. With more, every 32nd batch does, or one in 256 messages: their
data is under 8 MiB."""


class Transactions:
    """One database, one connection, one thread."""

    def __init__(self, db: peewee.SqliteDatabase, settings: Settings, large: LargeFiles) -> None:
        self._db = db
        self._settings = settings
        self._large = large
        self._sql: sqlite3.Connection = db.connection()
        self._full = settings.durability == "full"
        self._synchronous = ""
        self._sync_failed = False
        self._patience_ms = -1
        self._wait_for_others(_PATIENCE_MS)
        self._open = False
        self._messages: list[NewMessage] = []
        self._ordinary: list[Any] = []
        """Values of plain messages, end to end. A flat list makes no garbage, and the INSERT takes it as it is."""
        self._queue: list[tuple[int, int]] = []
        """(mailbox, message): deliveries of messages to several mailboxes."""
        self._queued_upto = 0
        """No message above this one has a row in ``queue``."""
        self._tail = Tail()
        self._statements: list[tuple[str, Any]] = []
        self._marks: list[tuple[int, int, int]] = []
        """(1 or -1, mailbox, message): handed out, or given back unseen."""
        self._light: list[tuple[str, Any]] = []
        """Statements that are not worth a sync, and that a full disk may drop."""
        self._flushed = 0
        """Number of rows that this transaction has passed to SQLite."""
        self._handed_out = 0
        """Rows of ``handed_out`` that were written, ever."""
        self._last_id = 0
        """The highest message id given so far."""
        self._unmeasured = 0
        """Batches, large ones counted as several, since the size of the database was looked at."""
        self._unmeasured_most = 0
        self.crowded = False
        """A batch was refused for its size since the sweeper last made room."""
        path = settings.home / "ipc.db"
        self.checkpoints = Checkpoints(str(path), self._sql)
        self._names = {str(name): identity(name) for name in (path, path.with_name("ipc.db-wal"))}
        self._page_bytes = int(self._sql.execute("PRAGMA page_size").fetchone()[0])

    def savepoint(self) -> tuple[int, ...]:
        return (
            self._flushed,
            len(self._messages),
            len(self._ordinary),
            len(self._queue),
            len(self._statements),
            len(self._marks),
            len(self._light),
            self._tail.journal.mark(),
        )

    def restore(self, savepoint: tuple[int, ...]) -> None:
        """Forget what was gathered since. Raises StoreError if it has reached SQLite: the batch must be run again."""
        flushed, messages, ordinary, queue, statements, marks, light, tail = savepoint
        if flushed != self._flushed:
            if self._flushed != flushed + messages + ordinary + statements:
                raise StoreError("a refused request had already written")
            messages = ordinary = queue = statements = 0  # only earlier rows were flushed: all that is gathered now is later
        del self._messages[messages:], self._ordinary[ordinary:], self._queue[queue:]
        del self._statements[statements:], self._marks[marks:], self._light[light:]
        self._tail.journal.rollback(tail)

    def commit(self, *, marks: bool = True) -> None:
        """Make everything gathered durable, or raise StoreFull or StoreError with nothing written."""
        if self._messages or self._ordinary:
            self._check_size()
        self._flush()
        self._large.sync()
        try:
            if marks and (self._marks or self._light):
                if not self._open:
                    self._begin("NORMAL")
                self._write_marks()
                self._run(self._light)
            if self._open:
                self._sql.execute("COMMIT")
        except sqlite3.Error as e:
            self._note_failed_sync(e)
            raise translate(e) from e
        self.check_names()
        self._tail.journal.commit()
        self._forget()

    def checkpoint(self, *, quiet: bool) -> None:
        """Between batches (see ``broker.store.checkpoints``). Raises StoreError, StoreGone."""
        try:
            self.checkpoints.step(quiet=quiet)
        except sqlite3.Error as e:
            self._note_failed_sync(e)
            raise translate(e) from e

    def _note_failed_sync(self, error: sqlite3.Error) -> None:
        self._sync_failed |= getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC

    def _write_marks(self) -> None:
        """Mark mail as handed out, or given back: each row of ``queue``, and one row for all that is in the tail."""
        queued: list[tuple[int, int, int]] = []
        late: dict[tuple[int, int], list[int]] = {}
        for change, mailbox_id, message_id in self._marks:
            box = self._tail.boxes[mailbox_id]
            if message_id in box:
                late.setdefault((mailbox_id, change), []).append(message_id)
                self._tail.journal.put(box, message_id, max(0, box[message_id] + change))
            else:
                queued.append((change, mailbox_id, message_id))
        if queued:
            self._sql.executemany(_MARK_DELIVERED, queued)
        for (mailbox_id, change), ids in late.items():
            self._handed_out += 1
            self._sql.execute(_HAND_OUT, (max(ids), self._handed_out, mailbox_id, change, json.dumps(ids)))

    def check_names(self) -> None:
        """Raise StoreGone if the database or its WAL was removed, moved or replaced. Two stats of 2 us.

        The check comes after the commit and before the replies, so what is acknowledged was in the file of that name.
        """
        for path, was in self._names.items():
            now = identity(path)
            if now != was:
                raise StoreGone(f"{path} was removed, moved or replaced while the broker ran")

    def rollback(self) -> None:
        if self._sql.in_transaction:
            self._sql.execute("ROLLBACK")
        self._tail.journal.rollback()
        self._forget()

    def _forget(self) -> None:
        self._open = False
        self._flushed = 0
        self._messages.clear()
        self._ordinary.clear()
        self._queue.clear()
        self._statements.clear()
        self._marks.clear()
        self._light.clear()

    def _with_file(self, row: Row) -> Row:
        """The row with the path where its large file is now."""
        return row if row.file_path is None else row._replace(file_path=self._large.locate(row.file_path))

    def _add(self, query: Any) -> None:
        sql, parameters = query.sql()
        self._statements.append((sql, tuple(parameters)))

    def _begin_mail(self) -> None:
        """Begin the batch's transaction, if it has not begun, as durable as mail is to be."""
        if not self._open:
            self._begin("FULL" if self._full else "NORMAL")

    def _begin(self, synchronous: str) -> None:
        if self._sync_failed:
            self._start_wal_anew()
        if synchronous != self._synchronous:  # SQLite refuses the change inside a transaction
            self._sql.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        try:
            self._sql.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as e:
            if is_locked(e):
                self._wait_for_others(0)  # what waits behind this request must not wait as long again, each for itself
            raise
        self._wait_for_others(_PATIENCE_MS)
        self._open = True

    def _wait_for_others(self, milliseconds: int) -> None:
        """Set how long a write waits for another program that holds the database."""
        if self._patience_ms != milliseconds:
            self._sql.execute(f"PRAGMA busy_timeout = {milliseconds}")
            self._patience_ms = milliseconds

    def _start_wal_anew(self) -> None:
        """Move the whole WAL into the database and sync it there. Raises sqlite3.Error.

        After a failed sync the kernel may count lost pages of the WAL as written. A later sync would then succeed without them.
        """
        self.checkpoints.settle()
        if self._sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise sqlite3.OperationalError("a reader keeps the WAL that could not be synced")
        self._sync_failed = False

    def _flush(self) -> None:
        if not (self._messages or self._ordinary or self._statements):
            return
        try:
            self._begin_mail()
            if self._messages:
                self._sql.executemany(_INSERT_MESSAGE, self._messages)
            self._insert(*_INSERT_ORDINARY, len(ORDINARY), self._ordinary)
            self._write_queue([(*delivery, 0) for delivery in self._queue])
            self._run(self._statements)
        except sqlite3.Error as e:
            raise translate(e) from e
        self._flushed += len(self._messages) + len(self._ordinary) + len(self._statements)
        self._messages.clear()
        self._ordinary.clear()
        self._queue.clear()
        self._statements.clear()

    def _write_queue(self, rows: list[tuple[int, int, int]]) -> None:
        """(mailbox, message, how often it was handed out) each."""
        if rows:
            self._queued_upto = max(self._queued_upto, max(message_id for _, message_id, _ in rows))
            self._insert(*_INSERT_QUEUE, flat(rows))

    def _run(self, statements: list[tuple[str, Any]]) -> None:
        for sql, parameters in statements:
            if isinstance(parameters, list):
                self._sql.executemany(sql, parameters)
            else:
                self._sql.execute(sql, parameters)

    def _insert(self, into: str, row: str, width: int, values: list[Any]) -> None:
        """Rows of ``width`` values each, as many as possible with one statement."""
        position, end = 0, len(values)
        if end == width:
            self._sql.execute(into + row, values)
            return
        for rows in _ROWS_AT_ONCE:
            step = rows * width
            upto = end - (end - position) % step
            if position < upto:
                sql = into + ",".join([row] * rows)
                self._sql.executemany(sql, [values[i : i + step] for i in range(position, upto, step)])
                position = upto

    def _write_now(self, *statements: tuple[str, list[Any]]) -> None:
        """A small transaction of its own, between batches, without a sync."""
        with self._apart():
            for sql, rows in statements:
                self._sql.executemany(sql, rows)

    @contextmanager
    def _apart(self, synchronous: str = "NORMAL") -> Iterator[None]:
        """A transaction of its own, between batches. What is gathered for the next batch stays. Raises StoreError."""
        try:
            self._begin(synchronous)
            yield
            self._sql.execute("COMMIT")
        except sqlite3.Error as e:
            raise translate(e) from e
        finally:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            self._open = False

    def _check_size(self) -> None:
        """Refuse to grow beyond the limit. Far below it a few batches go by between two looks, which cost 15 us each."""
        limit_mib = self._settings.storage_limit_mib
        if not limit_mib:
            return
        self._unmeasured += 1 + (len(self._messages) + len(self._ordinary) // len(ORDINARY)) // _MEASURE_ROWS
        if self._unmeasured <= self._unmeasured_most and not self._large.grown:
            return
        self._large.grown = False
        room = limit_mib * 1024 * 1024 - self.size_bytes() - self._large.size_bytes
        self._unmeasured, self._unmeasured_most = 0, _MEASURE_BATCHES if room > _NEAR_BYTES else 0
        if room < 0:
            self.crowded = True
            raise StoreFull(f"the mail has reached its limit of {limit_mib} MiB, large files included (storage_limit_mib)")

    def size_bytes(self) -> int:
        """Bytes of the pages in use; free pages do not count."""
        pages = self._sql.execute("PRAGMA page_count").fetchone()[0]
        free = self._sql.execute("PRAGMA freelist_count").fetchone()[0]
        return int(pages - free) * self._page_bytes

    def close(self) -> None:
        """Fold the WAL into the database and let go of it."""
        self.checkpoints.close(self._db.close)


def flat(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    """The values of all rows, end to end."""
    return list(chain.from_iterable(rows))


def among(values: list[Value]) -> tuple[str, list[Value | int]]:
    """An IN clause and its parameters, filled up to a power of two: SQLite keeps statements, and lengths are many."""
    known: list[Value | int] = list(values)
    if not known:
        known.append(-1)
    width = 1 << (len(known) - 1).bit_length()
    return f"IN ({','.join('?' * width)})", known + known[-1:] * (width - len(known))


def is_damage(error: BaseException | None) -> bool:
    """True where SQLite says that the file is malformed or no database. A malformed text index does not count."""
    code = getattr(error, "sqlite_errorcode", 0) if isinstance(error, sqlite3.Error) else 0
    return code & 0xFF in _DAMAGE and code != sqlite3.SQLITE_CORRUPT_VTAB


def is_locked(error: sqlite3.Error) -> bool:
    """True where another program holds the database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def translate(error: sqlite3.Error) -> Exception:
    if is_damage(error):
        return StoreDamaged(str(error))
    if is_locked(error):
        return StoreLocked(str(error))
    return StoreFull(str(error))
