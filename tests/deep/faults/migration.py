"""Death in the middle of a migration: a database of version 1 is brought to the present one by a process that is killed at
its Nth statement, for every N; the next start must find all mail."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import peewee

from broker.home.settings import Settings
from broker.store import open_store
from broker.store.migrations import SCHEMA_VERSION, migrate
from tests.deep.faults.points import wrap

_MESSAGES = 50


def old_home(folder: Path) -> Path:
    """A data folder as the first version left it, with unread mail."""
    folder.mkdir(mode=0o700)
    db = peewee.SqliteDatabase(str(folder / "ipc.db"), pragmas={"journal_mode": "wal"})
    db.connect()
    migrate(db, to=1)
    with db.atomic():
        for mailbox_id, name in ((1, "fred"), (2, "claude")):
            db.execute_sql("INSERT INTO mailbox VALUES (?,?,1,1e9,1e9,0)", (mailbox_id, name))
        for i in range(1, _MESSAGES + 1):
            row = (i, 1, "fred", f"m{i}", 1e9, 4e9, f"text {i}", None, None, 1, None, None, None)
            db.execute_sql("INSERT INTO message VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)
            db.execute_sql("INSERT INTO queue VALUES (2,?,0)", (i,))
    db.close()
    return folder


def child(home: str, nth: int) -> None:
    """Open the store and die at the Nth statement of peewee's, which are those of the migration."""
    wrap(peewee.SqliteDatabase, "execute_sql", nth)
    open_store(Settings.load(env={"IPC_HOME": home})).close()


def run() -> dict[str, Any]:
    """Every statement once; counts, times of the next start, and what is wrong."""
    problems: list[str] = []
    opened_s: list[float] = []
    work = Path(tempfile.mkdtemp(prefix="ipc-"))
    nth = 0
    try:
        while True:
            nth += 1
            home = old_home(work / str(nth))
            done = subprocess.run(
                [sys.executable, "-m", "tests.deep.faults.migration", str(home), str(nth)],
                cwd=Path(__file__).resolve().parents[3],
            )
            if done.returncode == 0:
                break  # it has fewer statements
            if done.returncode != -signal.SIGKILL:
                problems.append(f"statement {nth}: exit {done.returncode}")
            began_s = time.monotonic()
            store = open_store(Settings.load(env={"IPC_HOME": str(home)}))
            store.load()
            opened_s.append(time.monotonic() - began_s)
            store.close()
            with closing(sqlite3.connect(home / "ipc.db")) as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                texts = [r[0] for r in db.execute("SELECT content FROM message JOIN queue ON message_id = id ORDER BY id")]
                verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
            if (version, verdict, texts) != (SCHEMA_VERSION, "ok", [f"text {i}" for i in range(1, _MESSAGES + 1)]):
                problems.append(f"statement {nth}: version {version}, {verdict}, {len(texts)} messages")
    finally:
        shutil.rmtree(work)
    return {"tried": nth - 1, "times": opened_s, "problems": problems}


if __name__ == "__main__":
    os.umask(0o077)
    child(sys.argv[1], int(sys.argv[2]))
