"""The store over SQLite.

Theory of operation. Writes are gathered in lists and reach SQLite in one transaction at ``commit``, by ``executemany`` on
peewee's own connection (five times as fast as ``insert_many``); accounts, which change rarely, are written as peewee
queries. A read that has to see gathered rows flushes them into the open transaction first. Mail is committed with
synchronous=FULL, so an acknowledged message survives loss of power; a transaction that only marks mail as handed out is
committed with NORMAL, which survives any crash of the process and costs no sync.
"""

import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import peewee

from broker.core.port import IdConflict, LargeFile, Mail, NewMessage, Sent, StoreError, StoreFull
from broker.core.state import Forward, Mailbox, Session, State
from broker.settings import Settings
from broker.store.large import LargeFiles
from broker.store.schema import ForwardRow, MailboxRow, MessageRow, MetaRow, QueueRow, ReceiptRow, SessionRow, migrate

_INSERT_MESSAGE = "INSERT INTO message VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"
_INSERT_QUEUE = "INSERT INTO queue VALUES (?,?,0)"
_MARK_DELIVERED = "UPDATE queue SET attempts = attempts + 1 WHERE mailbox_id = ? AND message_id = ?"
_INSERT_RECEIPT = "INSERT INTO receipt (mailbox_id, message_id, read_s) VALUES (?,?,?)"
_DELETE_QUEUE = "DELETE FROM queue WHERE mailbox_id = ? AND message_id = ?"
_FETCH = """SELECT m.id, q.attempts, m.sender, m.created_s, m.content, m.data, m.file_path, m.file_size, m.file_sha256
FROM queue q JOIN message m ON m.id = q.message_id WHERE q.mailbox_id = ? AND """
_FETCH_NEW = _FETCH + "q.message_id > ? AND m.expires_s > ? ORDER BY q.message_id"
_FETCH_ONE = _FETCH + "q.message_id = ? AND m.expires_s > ?"
_CHECKPOINT_PAGES = 4000
"""WAL pages between checkpoints: p99 of a commit 0.6 ms against 3 ms with SQLite's 1000 (measured)."""


class SqliteStore:
    """One database, one connection, one thread."""

    def __init__(self, db: peewee.SqliteDatabase, settings: Settings, large: LargeFiles) -> None:
        self._db = db
        self._settings = settings
        self._large = large
        self._sql: sqlite3.Connection = db.connection()
        self._full = settings.durability == "full"
        self._synchronous = ""
        self._open = False
        self._messages: list[NewMessage] = []
        self._queue: list[tuple[int, int]] = []
        self._statements: list[tuple[str, Any]] = []
        self._marks: list[tuple[int, int]] = []
        self._flushed = 0
        """Rows that this transaction has already passed to SQLite."""
        self._page_bytes = int(self._sql.execute("PRAGMA page_size").fetchone()[0])

    # mail

    def add_message(self, message: NewMessage, mailbox_ids: Iterable[int]) -> None:
        self._messages.append(message)
        message_id = message.id
        for mailbox_id in mailbox_ids:
            self._queue.append((mailbox_id, message_id))

    def find_sent(self, sender_id: int, client_id: str) -> Sent | None:
        self._flush()
        row = self._sql.execute(
            "SELECT id, created_s, outcome, copies FROM message WHERE sender_id = ? AND client_id = ?", (sender_id, client_id)
        ).fetchone()
        return Sent(*row) if row else None

    def forget_client_id(self, message_id: int) -> None:
        """Free a sender's id. Written at once: the insert that takes the id anew must come after."""
        try:
            if not self._open:
                self._begin("FULL" if self._full else "NORMAL")
            self._sql.execute("UPDATE message SET client_id = NULL WHERE id = ?", (message_id,))
        except sqlite3.Error as e:
            raise _translate(e) from e

    def fetch(self, mailbox_id: int, ids: list[int], after: int, now_s: float) -> Iterator[Mail]:
        """The messages ``ids``, then those above ``after``, in order, as far as the caller reads; none that has expired."""
        self._flush()
        for message_id in ids:
            row = self._sql.execute(_FETCH_ONE, (mailbox_id, message_id, now_s)).fetchone()
            if row:
                yield Mail._make(row)
        rows = self._sql.execute(_FETCH_NEW, (mailbox_id, after, now_s))
        try:
            for row in rows:
                yield Mail._make(row)
        finally:
            rows.close()

    def mark_delivered(self, mailbox_id: int, ids: list[int]) -> None:
        self._marks.extend((mailbox_id, i) for i in ids)

    def waiting(self, mailbox_id: int, ids: list[int]) -> list[int]:
        """Those of ``ids`` that are unread mail of the mailbox."""
        self._flush()
        found = "SELECT 1 FROM queue WHERE mailbox_id = ? AND message_id = ?"
        return [i for i in ids if self._sql.execute(found, (mailbox_id, i)).fetchone()]

    def mark_read(self, mailbox_id: int, ids: list[int], now_s: float) -> None:
        self._statements.append((_INSERT_RECEIPT, [(mailbox_id, i, now_s) for i in ids]))
        self._statements.append((_DELETE_QUEUE, [(mailbox_id, i) for i in ids]))

    def queued_ids(self, mailbox_id: int) -> list[int]:
        self._flush()
        rows = self._sql.execute("SELECT message_id FROM queue WHERE mailbox_id = ? ORDER BY message_id", (mailbox_id,))
        return [row[0] for row in rows]

    def move_mail(self, from_mailbox_id: int, to_mailbox_id: int) -> None:
        self._add(QueueRow.update(mailbox_id=to_mailbox_id).where(QueueRow.mailbox_id == from_mailbox_id))

    # accounts

    def save_mailbox(self, m: Mailbox) -> None:
        self._add(
            MailboxRow.replace(
                id=m.id, name=m.name, claimed=m.claimed, created_s=m.created_s, last_seen_s=m.last_seen_s, renamed_s=m.renamed_s
            )
        )

    def drop_mailbox(self, mailbox_id: int) -> None:
        self._add(MailboxRow.delete().where(MailboxRow.id == mailbox_id))

    def save_session(self, s: Session) -> None:
        self._add(
            SessionRow.replace(
                token_hash=s.token_hash,
                mailbox_id=s.mailbox.id,
                uid=s.uid,
                created_s=s.created_s,
                last_seen_s=s.last_seen_s,
                replaced=s.replaced,
            )
        )

    def drop_session(self, token_hash: bytes) -> None:
        self._add(SessionRow.delete().where(SessionRow.token_hash == token_hash))

    def save_forward(self, name: str, forward: Forward) -> None:
        self._add(ForwardRow.replace(name=name, mailbox_id=forward.mailbox.id, until_s=forward.until_s))

    def drop_forward(self, name: str) -> None:
        self._add(ForwardRow.delete().where(ForwardRow.name == name))

    def touch(self, mailboxes: Iterable[Mailbox], sessions: Iterable[Session]) -> None:
        """Note when mailboxes and sessions were last active; not worth a sync."""
        rows = [(m.last_seen_s, m.id) for m in mailboxes]
        keys = [(s.last_seen_s, s.token_hash) for s in sessions]
        self._write_now(
            ("UPDATE mailbox SET last_seen_s = ? WHERE id = ?", rows),
            ("UPDATE session SET last_seen_s = ? WHERE token_hash = ?", keys),
        )

    # large bodies

    def write_large(self, sender: str, recipient: str, created_s: float, message_id: int, content: str) -> LargeFile:
        return self._large.write(sender, recipient, created_s, message_id, content)

    def remove_file(self, path: str) -> None:
        self._large.remove(path)

    # transactions

    def savepoint(self) -> tuple[int, int, int, int, int]:
        return (self._flushed, len(self._messages), len(self._queue), len(self._statements), len(self._marks))

    def restore(self, savepoint: tuple[int, int, int, int, int]) -> None:
        """Forget what was gathered since. Raises StoreError if it has reached SQLite: the batch must be run again."""
        flushed, messages, queue, statements, marks = savepoint
        if flushed != self._flushed:
            if self._flushed != flushed + messages + statements:
                raise StoreError("a refused request had already written")
            messages = queue = statements = 0  # only earlier rows were flushed: all that is gathered now is later
        del self._messages[messages:], self._queue[queue:], self._statements[statements:], self._marks[marks:]

    def commit(self, *, marks: bool = True) -> None:
        """Make everything gathered durable, or raise StoreFull, IdConflict or StoreError with nothing written."""
        if self._messages or self._statements:
            self._check_size(growing=bool(self._messages))
        self._flush()
        try:
            if marks and self._marks:
                if not self._open:
                    self._begin("NORMAL")
                self._sql.executemany(_MARK_DELIVERED, self._marks)
            if self._open:
                self._sql.execute("COMMIT")
        except sqlite3.Error as e:
            raise _translate(e) from e
        self._forget()

    def rollback(self) -> None:
        if self._sql.in_transaction:
            self._sql.execute("ROLLBACK")
        self._forget()

    def _forget(self) -> None:
        self._open = False
        self._flushed = 0
        self._messages.clear()
        self._queue.clear()
        self._statements.clear()
        self._marks.clear()

    def _add(self, query: Any) -> None:
        sql, parameters = query.sql()
        self._statements.append((sql, tuple(parameters)))

    def _begin(self, synchronous: str) -> None:
        if synchronous != self._synchronous:  # SQLite refuses the change inside a transaction
            self._sql.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous
        self._sql.execute("BEGIN IMMEDIATE")
        self._open = True

    def _flush(self) -> None:
        if not self._messages and not self._statements:
            return
        try:
            if not self._open:
                self._begin("FULL" if self._full else "NORMAL")
            if self._messages:
                self._sql.executemany(_INSERT_MESSAGE, self._messages)
                self._sql.executemany(_INSERT_QUEUE, self._queue)
            for sql, parameters in self._statements:
                if isinstance(parameters, list):
                    self._sql.executemany(sql, parameters)
                else:
                    self._sql.execute(sql, parameters)
        except sqlite3.Error as e:
            raise _translate(e) from e
        self._flushed += len(self._messages) + len(self._statements)
        self._messages.clear()
        self._queue.clear()
        self._statements.clear()

    def _write_now(self, *statements: tuple[str, list[Any]]) -> None:
        """A small transaction of its own, between batches, without a sync."""
        try:
            self._begin("NORMAL")
            for sql, rows in statements:
                self._sql.executemany(sql, rows)
            self._sql.execute("COMMIT")
        except sqlite3.Error as e:
            raise _translate(e) from e
        finally:
            self.rollback()

    def _check_size(self, *, growing: bool) -> None:
        limit_mib = self._settings.storage_limit_mib
        if growing and limit_mib and self.size_bytes() > limit_mib * 1024 * 1024:
            raise StoreFull(f"the database has reached its limit of {limit_mib} MiB (storage_limit_mib)")

    def size_bytes(self) -> int:
        """Pages in use, free ones not counted."""
        pages = self._sql.execute("PRAGMA page_count").fetchone()[0]
        free = self._sql.execute("PRAGMA freelist_count").fetchone()[0]
        return int(pages - free) * self._page_bytes

    # start, sweep, stop

    def load(self) -> State:
        """The state in memory as the disk has it. Leases are not kept: what was out is back."""
        state = State()
        queued = dict(self._sql.execute("SELECT mailbox_id, count(*) FROM queue GROUP BY mailbox_id"))
        for row in MailboxRow.select().tuples():
            mailbox = Mailbox(row[0], row[1], bool(row[2]), row[3], row[4], row[5], queued.get(row[0], 0))
            state.mailboxes[mailbox.name] = state.by_id[mailbox.id] = mailbox
        for name, mailbox_id, until_s in ForwardRow.select().tuples():
            if mailbox_id in state.by_id:
                state.forwards[name] = Forward(state.by_id[mailbox_id], until_s)
        for token_hash, mailbox_id, uid, created_s, seen_s, replaced in SessionRow.select().tuples():
            if mailbox_id in state.by_id:
                session = Session(bytes(token_hash), state.by_id[mailbox_id], uid, created_s, seen_s, 0.0, 0.0, bool(replaced))
                state.sessions[session.token_hash] = session
        state.last_mailbox_id = max(int(self._meta("last_mailbox_id") or 0), max(state.by_id, default=0))
        last_message_id = self._sql.execute("SELECT max(id) FROM message").fetchone()[0] or 0
        state.last_message_id = max(int(self._meta("last_message_id") or 0), last_message_id)
        return state

    def _meta(self, key: str) -> str | None:
        row = MetaRow.get_or_none(MetaRow.key == key)
        return row.value if row else None

    def sweep_orphans(self) -> list[str]:
        def is_known(path: str) -> bool:
            return self._sql.execute("SELECT 1 FROM message WHERE file_path = ?", (path,)).fetchone() is not None

        return self._large.sweep_orphans(is_known)

    def sweep_unread(self, mailbox_id: int, now_s: float, limit: int) -> list[int]:
        """Remove up to ``limit`` of a mailbox's oldest messages that have expired; return their ids."""
        rows = self._sql.execute(
            "SELECT q.message_id, m.expires_s FROM queue q JOIN message m ON m.id = q.message_id "
            "WHERE q.mailbox_id = ? ORDER BY q.message_id LIMIT ?",
            (mailbox_id, limit),
        ).fetchall()
        ids = [i for i, expires_s in rows if expires_s <= now_s]
        if ids:
            self._sweep((_DELETE_QUEUE, [(mailbox_id, i) for i in ids]), ids)
        return ids

    def sweep_read(self, before_s: float, limit: int) -> int:
        """Remove up to ``limit`` receipts of mail read before then, and bodies nobody has any more; return how many."""
        rows = ReceiptRow.select(ReceiptRow.id, ReceiptRow.message_id, ReceiptRow.read_s).order_by(ReceiptRow.id)
        old = [(i, m) for i, m, read_s in rows.limit(limit).tuples() if read_s < before_s]
        if old:
            self._sweep(("DELETE FROM receipt WHERE id = ?", [(i,) for i, _ in old]), [m for _, m in old])
        return len(old)

    def _sweep(self, deletion: tuple[str, list[Any]], message_ids: list[int]) -> None:
        keys = [(i,) for i in message_ids]
        marks = ",".join("?" * len(message_ids))
        dead = f"FROM message WHERE copies <= 0 AND id IN ({marks})"
        try:
            self._begin("NORMAL")
            self._sql.executemany(*deletion)
            self._sql.executemany("UPDATE message SET copies = copies - 1 WHERE id = ?", keys)
            paths = self._sql.execute(f"SELECT file_path {dead} AND file_path IS NOT NULL", message_ids).fetchall()
            self._sql.execute(
                "INSERT OR REPLACE INTO meta SELECT 'last_message_id', max(id) FROM message"
            )  # ids are never used again, not even after the newest row is gone
            self._sql.execute(f"DELETE {dead}", message_ids)
            self._sql.execute("COMMIT")
        except sqlite3.Error as e:
            raise _translate(e) from e
        finally:
            self.rollback()
        for (path,) in paths:
            self._large.remove(path)

    def stats(self) -> dict[str, Any]:
        found = self._sql.execute("PRAGMA user_version").fetchone()[0]
        return {"schema": int(found), "database_bytes": self.size_bytes(), "durability": self._settings.durability}

    def close(self) -> None:
        """Fold the WAL into the database and let go of it."""
        self._db.close()


def open_store(settings: Settings) -> SqliteStore:
    """Open or create the database in the data folder and migrate it. Raises StoreError, SchemaTooNew."""
    path = settings.home / "ipc.db"
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600)) if not path.exists() else os.chmod(path, 0o600)
    pragmas = {
        "journal_mode": "wal",
        "wal_autocheckpoint": _CHECKPOINT_PAGES,
        "journal_size_limit": 64 * 1024 * 1024,
        "cache_size": -8 * 1024,
        "mmap_size": 0,
        "temp_store": "memory",
        "trusted_schema": 0,
    }
    db = peewee.SqliteDatabase(str(path), pragmas=pragmas, timeout=5)
    try:
        db.connect()
        found, _now = migrate(db)
        db.bind([MailboxRow, SessionRow, ForwardRow, MessageRow, QueueRow, ReceiptRow, MetaRow])
        if found == 0:
            MetaRow.insert(key="store_id", value=uuid.uuid4().hex).on_conflict_ignore().execute()
        store_id = MetaRow.get(MetaRow.key == "store_id").value
    except (peewee.DatabaseError, sqlite3.Error) as e:
        raise StoreError(f"{path}: {e}") from e
    return SqliteStore(db, settings, LargeFiles(settings.large_message_path, store_id))


def database_path(home: Path) -> Path:
    return home / "ipc.db"


def _translate(error: sqlite3.Error) -> StoreError:
    if isinstance(error, sqlite3.IntegrityError):
        return IdConflict(str(error))
    return StoreFull(str(error))
