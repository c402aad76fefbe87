"""A damaged database is set aside whole, and the mail in it that can be read goes into a new one.

Theory of operation. A broker leaves the file ``run/open`` from its start to its orderly end. A start that finds it looks at
the database first: with SQLite's quick_check at once where that takes no noticeable time, in a thread beside the work where
the database is large (3 to 5 ms a MiB: 1.2 to 1.9 s measured for a million messages, 369 MiB). Damage that is met at work,
or by the thread, is written to ``run/broken`` and ends the broker; the next start repairs.

A repair reads every table forwards up to the damage and backwards down to it, looks for what is known to be missing one by
one, and builds the new database beside. When that is whole and on disk, a journal says so, the old one with its WAL gets the
name ``ipc.db.broken-TIME``, and the new one takes its place. A repair that is killed before there is a journal has changed
nothing; what the journal tells of is finished by the next start. Nothing of the old one is removed. The new one has another
store id, so large files of messages that could not be read are never taken for orphans.
"""

import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import peewee

from broker.core.storage import StoreError
from broker.home.files import sync_folder, write_private
from broker.home.settings import Settings
from broker.store.folding import QUEUED_ID
from broker.store.last_ids import LIMIT, go_on_beyond
from broker.store.migrations import SCHEMA_VERSION, migrate
from broker.store.repair_words import loss
from broker.store.transactions import is_damage

CHECK_AT_ONCE_BYTES = 64 * 1024 * 1024
"""Up to this size the check runs before the broker serves: at most a third of a second."""
_DERIVED = frozenset({"letter", "thread", "sent_id", "sent_run", "handed_out"})
"""Tables that are made anew: by ``_mend``, or by broker.store.index, like those of the text index."""
_SINGLE_LOOKUPS = 200_000
"""Number of ids that are looked up one by one between the damaged pages, at 5 us each."""


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done, as ``repair.json`` in the data folder keeps it. Times are Unix seconds."""

    at_s: float
    reason: str
    kept_as: str
    saved: int
    """Messages that are in the new database; ``unread`` of them wait."""
    unread: int
    lost: int | None
    """Unread deliveries whose message could not be read; None where that is not known."""

    def sentence(self) -> str:
        return (
            f"The mail database was damaged ({self.reason}). {self.saved} messages were saved, {self.unread} of them unread; "
            f"{loss(self.saved, self.lost)}. The old database is kept as {self.kept_as}."
        )


Beat = Callable[[], None]
"""Called again and again in a long piece of work, so that the process can say that it lives."""


def _no_beat() -> None:
    """Nobody asks."""


_BEAT_INSTRUCTIONS = 10_000
"""Instructions of SQLite's machine between two beats: about 1 ms."""


# the life of a broker


def begin(settings: Settings, beat: Beat = _no_beat) -> tuple[Repair | None, bool]:
    """Before the store is opened, under the broker's lock: (the repair that was made, whether to check beside the work)."""
    path, opened, broken = settings.home / "ipc.db", settings.home / "run" / "open", settings.home / "run" / "broken"
    unclean, later = opened.exists(), False
    made = finish(settings)
    reason = None
    if made is not None:
        pass
    elif path.exists() and broken.exists():
        reason = examine(path, thorough=True, beat=beat)
    elif path.exists() and unclean:
        later = path.stat().st_size > CHECK_AT_ONCE_BYTES
        reason = None if later else examine(path, beat=beat)
    if reason is not None:
        made = repair(settings, reason, beat)
    broken.unlink(missing_ok=True)
    write_private(opened, "")
    sync_folder(opened.parent)
    return made, later


def end(settings: Settings) -> None:
    """Note an orderly stop, so the next start does not examine the database."""
    (settings.home / "run" / "open").unlink(missing_ok=True)


def note(settings: Settings, reason: str) -> None:
    """Have the next start examine the database thoroughly, and repair it."""
    with suppress(OSError):  # then the next start has at least the sign of an unclean stop
        write_private(settings.home / "run" / "broken", reason)


def check_beside(settings: Settings, found: Callable[[str], None]) -> threading.Thread:
    """Examine the database in a thread, over a connection of its own; ``found`` is called with the damage, if any."""

    def work() -> None:
        reason = examine(settings.home / "ipc.db")
        if reason is not None:
            found(reason)

    thread = threading.Thread(target=work, name="check", daemon=True)
    thread.start()
    return thread


def last_repair(settings: Settings) -> dict[str, Any] | None:
    """What ``repair.json`` says, or None."""
    try:
        told = json.loads((settings.home / "repair.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


# looking


def examine(path: Path, *, thorough: bool = False, beat: Beat = _no_beat) -> str | None:
    """What is wrong with a database, or None. Another trouble than damage, such as a disk that can't be read, is not judged."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as db:
            db.set_progress_handler(beat, _BEAT_INSTRUCTIONS)
            verdict = str(db.execute(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(1)").fetchone()[0])
    except sqlite3.Error as e:
        return str(e) if is_damage(e) else None
    return None if verdict == "ok" else verdict.replace("\n", " ")[:200]


def renew_text_index(path: Path) -> None:
    """Have the index of the archive's texts made anew, which no check of SQLite's looks into."""
    with closing(sqlite3.connect(path, timeout=5)) as db:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'message_text'").fetchone():
            db.execute("INSERT INTO message_text(message_text) VALUES ('delete-all')")
            db.execute("DELETE FROM meta WHERE key = 'indexed_id'")
            db.commit()


# saving


def repair(settings: Settings, reason: str, beat: Beat = _no_beat) -> Repair:
    """Save what can be read, and set the old database aside. Raises StoreError; the next start then goes on with the repair."""
    path, now_s = settings.home / "ipc.db", time.time()
    kept = _free_name(path.with_name(f"ipc.db.broken-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now_s))}"))
    try:
        _remove(_new(settings))
        saved, unread, lost = _save(path, _new(settings), beat)
        with _new(settings).open("rb") as whole:
            os.fsync(whole.fileno())
        made = Repair(now_s, reason, kept.name, saved, unread, lost)
        write_private(_journal(settings), json.dumps(asdict(made)), durable=True)
        finish(settings)
    except (OSError, sqlite3.Error, peewee.PeeweeException) as e:
        raise StoreError(f"{path} is damaged ({reason}) and can't be repaired now: {e}") from e
    return made


def saved_bytes(settings: Settings) -> int:
    """How large the new database is by now, about: all of it is one transaction, most of which is in its WAL."""
    new, size = _new(settings), 0
    for end in ("", "-wal"):
        with suppress(FileNotFoundError):
            size += new.with_name(new.name + end).stat().st_size
    return size


def _new(settings: Settings) -> Path:
    return settings.home / "ipc.db.saving"


def _journal(settings: Settings) -> Path:
    return settings.home / "ipc.db.repaired"


def finish(settings: Settings) -> Repair | None:
    """Put the new database in the place of the damaged one; None if no repair waits for that. Raises OSError.

    Each step finds what the last one left, so this can be begun again after a kill at any instant.
    """
    path, new = settings.home / "ipc.db", _new(settings)
    try:
        made = Repair(**json.loads(_journal(settings).read_text(encoding="utf-8")))
    except FileNotFoundError:
        if not path.exists():
            _take_back(settings)
        return None
    if new.exists():
        _move(path, settings.home / made.kept_as)
        for suffix in ("-wal", "-shm"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)
        sync_folder(path.parent)
        new.rename(path)
        sync_folder(path.parent)
    write_private(settings.home / "repair.json", json.dumps(asdict(made)) + "\n", durable=True)
    _journal(settings).unlink()
    sync_folder(path.parent)
    return made


def _take_back(settings: Settings) -> None:
    """A repair of version 0.3.0 that was killed has left no database: put the one that it set aside back."""
    told = (last_repair(settings) or {}).get("kept_as")
    kept = [p for p in settings.home.glob("ipc.db.broken-*") if not p.name.endswith(("-wal", "-shm"))]
    newest = max(kept, key=lambda p: p.stat().st_mtime, default=None)
    if newest is not None and newest.name != told:
        _move(newest, settings.home / "ipc.db")
        note(settings, "a repair was cut short")


def _free_name(path: Path) -> Path:
    number = 1
    while path.exists():
        number += 1
        path = path.with_name(f"{path.name.partition('.again')[0]}.again{number}")
    return path


def _move(old: Path, new: Path) -> None:
    """The database with its WAL. The WAL goes first: left alone at its place it would be read into the next database."""
    for suffix in ("-wal", ""):
        with suppress(FileNotFoundError):
            old.with_name(old.name + suffix).rename(new.with_name(new.name + suffix))
    old.with_name(old.name + "-shm").unlink(missing_ok=True)


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _save(kept: Path, new: Path, beat: Beat) -> tuple[int, int, int | None]:
    """Build the new database; (messages, unread deliveries, unread deliveries without message)."""
    new.touch(mode=0o600)
    target = peewee.SqliteDatabase(str(new), pragmas={"journal_mode": "wal"})
    target.connect()
    try:
        with closing(sqlite3.connect(f"{kept.as_uri()}?mode=ro", uri=True, timeout=5)) as source:
            source.set_progress_handler(beat, _BEAT_INSTRUCTIONS)
            source.text_factory = lambda raw: raw.decode("utf-8", "replace")
            migrate(target, to=_version(source))
            sql = target.connection()
            sql.set_progress_handler(beat, _BEAT_INSTRUCTIONS)
            with target.atomic("IMMEDIATE"):
                whole = {table: _copy(source, sql, table) for table in _tables(sql)}
                counts = _mend(sql, queue_is_whole=whole.get("queue", False), marks_are_whole=whole.get("meta", False))
            return counts
    finally:
        target.close()


def _version(source: sqlite3.Connection) -> int:
    with suppress(sqlite3.Error):
        found = int(source.execute("PRAGMA user_version").fetchone()[0])
        if 1 <= found <= SCHEMA_VERSION:
            return found
    return SCHEMA_VERSION


def _tables(sql: sqlite3.Connection) -> list[str]:
    names = [row[0] for row in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return [n for n in names if not n.startswith(("sqlite_", "message_text")) and n not in _DERIVED]


def _copy(source: sqlite3.Connection, sql: sqlite3.Connection, table: str) -> bool:
    """Copy the rows of one table that can be read; True if that was all of them."""
    rows = list(sql.execute(f"PRAGMA table_info({table})"))
    columns, keys = [row[1] for row in rows], [row[1] for row in sorted(rows, key=lambda row: row[5]) if row[5]]
    marks = ",".join("?" * len(columns))
    known = "REPLACE" if table == "meta" else "IGNORE"  # a migration writes a row of meta, too
    insert = f"INSERT OR {known} INTO {table} VALUES ({marks})"
    for order in ("ASC", "DESC"):
        by = ", ".join(f"{key} {order}" for key in keys)
        try:
            for row in source.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {by}"):
                sql.execute(insert, row)
        except sqlite3.Error as e:
            if not (is_damage(e) or isinstance(e, sqlite3.OperationalError)):
                raise
        else:
            return True
    if table == "message":
        for row in _singly(source, sql, columns):
            sql.execute(insert, row)
    return False


def _singly(source: sqlite3.Connection, sql: sqlite3.Connection, columns: list[str]) -> Iterator[Any]:
    """Messages between the damage from the front and that from the back, by their ids."""
    known = [row[0] for row in sql.execute("SELECT id FROM message ORDER BY id")]
    gaps = [(a + 1, b) for a, b in zip([0, *known], known, strict=False) if b - a > 1]
    left = _SINGLE_LOOKUPS
    for start, stop in sorted(gaps, key=lambda gap: gap[1] - gap[0]):  # what a page held first, then what was never given
        for message_id in range(start, stop):
            left -= 1
            if left < 0:
                return
            with suppress(sqlite3.Error):
                row = source.execute(f"SELECT {', '.join(columns)} FROM message WHERE id = ?", (message_id,)).fetchone()
                if row is not None:
                    yield row


def _mend(sql: sqlite3.Connection, *, queue_is_whole: bool, marks_are_whole: bool) -> tuple[int, int, int | None]:
    """Make the saved tables agree with each other."""
    for table, column in (("message", "id"), ("queue", "message_id"), ("mailbox", "id"), ("queue", "mailbox_id")):
        # a spoiled page may hold any number, and those that follow must be larger
        sql.execute(f"DELETE FROM {table} WHERE {column} NOT BETWEEN 1 AND {LIMIT // 2}")
    has_tail = sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'sent_id'").fetchone() is not None
    if has_tail:  # of the tail nobody knows what was lost with its message
        queue_is_whole &= sql.execute(f"SELECT {QUEUED_ID} >= max(id) FROM message").fetchone()[0] == 1
    if has_tail or (not queue_is_whole and "to_id" in {row[1] for row in sql.execute("PRAGMA table_info(message)")}):
        # those of the tail, and those that were lost with their page: better mail that comes again than mail that never comes
        sql.execute(
            "INSERT OR IGNORE INTO queue SELECT m.to_id, m.id, 1 FROM message m WHERE m.to_id IS NOT NULL AND NOT EXISTS "
            "(SELECT 1 FROM receipt r WHERE r.message_id = m.id)"
        )
    if has_tail:
        sql.execute("INSERT OR IGNORE INTO sent_id SELECT sender_id, client_id, id FROM message WHERE client_id IS NOT NULL")
        sql.execute("INSERT OR REPLACE INTO meta SELECT 'queued_id', ifnull(max(id), 0) FROM message")
    lost = sql.execute("SELECT count(*) FROM queue WHERE message_id NOT IN (SELECT id FROM message)").fetchone()[0]
    go_on_beyond(sql, known=marks_are_whole)
    sql.execute("DELETE FROM queue WHERE message_id NOT IN (SELECT id FROM message)")
    sql.execute("DELETE FROM receipt WHERE message_id NOT IN (SELECT id FROM message)")
    # a message goes with the last of its deliveries, so they are counted anew
    sql.execute("CREATE TEMP TABLE held (message_id INTEGER PRIMARY KEY, n INTEGER)")
    sql.execute(
        "INSERT INTO held SELECT message_id, count(*) FROM "
        "(SELECT message_id FROM queue UNION ALL SELECT message_id FROM receipt) GROUP BY message_id"
    )
    sql.execute("UPDATE message SET copies = coalesce((SELECT n FROM held WHERE message_id = id), 0)")
    sql.execute("INSERT OR REPLACE INTO meta VALUES ('store_id', ?)", (uuid.uuid4().hex,))
    sql.execute("DELETE FROM meta WHERE key = 'indexed_id'")
    saved = sql.execute("SELECT count(*) FROM message").fetchone()[0]
    unread = sql.execute("SELECT count(*) FROM queue").fetchone()[0]
    return int(saved), int(unread), int(lost) if queue_is_whole else None
