"""What ``ipc doctor`` reads in the database, and what ``ipc doctor --repair`` does while no broker has it."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple

from broker.core.storage import StoreError
from broker.home import restore_journal
from broker.home.data_folder import prepare_home
from broker.home.locks import no_service
from broker.home.settings import Settings
from broker.store.folding import waiting_in

SQLITE_VERSION = sqlite3.sqlite_version
_READ_S = 5.0
"""How long a reader waits for a writer."""
_UNREAD_FILES = "SELECT m.file_path FROM message m WHERE m.file_path IS NOT NULL AND m.id IN (SELECT message_id FROM {})"
_NEWEST = "SELECT coalesce(max(created_s), 0) FROM (SELECT created_s FROM message ORDER BY id DESC LIMIT 100)"


class Examination(NamedTuple):
    """What a reader finds in the database. ``verdict`` is SQLite's, ``ok`` for a sound one."""

    verdict: str
    schema: int
    unread_files: list[str]
    """Paths of the files of unread large messages."""


def examine(settings: Settings) -> Examination:
    """Read the whole database, whether its broker runs or not. Raises OSError where it can't be read."""
    verdict, schema = (_rows(settings, f"PRAGMA {pragma}")[0][0] for pragma in ("quick_check(1)", "user_version"))
    files = [str(row[0]) for row in _rows(settings, _UNREAD_FILES.format(waiting_in(schema)))] if verdict == "ok" else []
    return Examination(str(verdict), int(schema), files)


def newest_message_s(settings: Settings) -> float:
    """When the newest message was stored, Unix time; 0 without messages. Raises OSError."""
    return float(_rows(settings, _NEWEST)[0][0])


def _rows(settings: Settings, sql: str) -> list[Any]:
    path = settings.home / "ipc.db"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_READ_S)) as db:
            return db.execute(sql).fetchall()
    except sqlite3.Error as e:
        raise OSError(f"{path}: {e}") from None


class InUse(Exception):
    """The service runs in this data folder."""


def repair_now(settings: Settings, tell: Callable[[str, int, int], None]) -> str:
    """Examine the database thoroughly and repair it if need be; what was found, as a sentence. Raises InUse, OSError.

    ``tell`` hears again and again what is done now, how many bytes of it, and of how many; of 0 where that is not known.
    """
    from broker.store import recovery

    prepare_home(settings)
    with no_service(settings.home) as stopped:
        if not stopped:
            raise InUse
        path = settings.home / "ipc.db"
        restore_journal.finish(settings.home)
        finished = recovery.finish(settings)
        if finished is not None:
            return finished.sentence()
        if not path.exists():
            return "There is no database yet."
        reason = recovery.examine(path, thorough=True, beat=lambda: tell("checking", 0, 0))
        if reason is None:
            recovery.renew_text_index(path)
            return "The database is sound; the text index will be made anew."
        try:
            whole_bytes = path.stat().st_size
            saving = recovery.repair(settings, reason, lambda: tell("saving", recovery.saved_bytes(settings), whole_bytes))
            return saving.sentence()
        except StoreError as e:
            raise OSError(str(e)) from e
