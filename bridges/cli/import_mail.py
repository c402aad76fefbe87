"""``ipc import-legacy FILE``: imports unread mail of an older system's SQLite file. It is only read. Repeating is harmless."""

import argparse
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridges.fence import one_line
from bridges.plurals import number_of
from bridges.progress import Progress
from bridges.terminal import say, say_json
from broker.client.sync import Connection
from broker.home.files import owner_key
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name
from broker.service.launcher import ensure_running

if TYPE_CHECKING:
    from bridges.progress import Tell

_TABLES = ("messages", "instances", "sessions", "name_history")
_COLUMNS = "id, from_id, to_id, content, timestamp, data, read_flag"
_BATCH = 200
_SINGLE_LOOKUPS = 200_000


@dataclass
class Report:
    """What was imported and what could not be."""

    imported: int = 0
    already_there: int = 0
    read: int = 0
    unreadable: int = 0
    """Row numbers of a damaged table that could not be read. Some of them may never have had a row."""
    refused: list[dict[str, Any]] = field(default_factory=list)
    not_taken: dict[str, int] = field(default_factory=dict)
    """Rows of other tables, which are not imported. Agents register anew, and old forwards have lapsed."""

    def refuse(self, row_id: Any, reason: str) -> None:
        shown = row_id if isinstance(row_id, int) else one_line(str(row_id))[:40]
        self.refused.append({"row": shown, "reason": one_line(reason)})


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Exit status 0 if every unread message was taken, 1 if some could not be read or taken."""
    report = Report()
    requests = list(_read(Path(options.file), report))
    if requests:
        with Progress(Progress.messages) as tell:
            _import(settings, requests, report, tell)
    _show(report, options.json)
    return 1 if report.refused or report.unreadable else 0


def _read(path: Path, report: Report) -> Iterator[tuple[Any, dict[str, Any]]]:
    """(row id, import request) of each unread message that can be imported."""
    if not path.is_file():
        raise IpcError("bad_request", detail=f"{path} is not a file")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.text_factory = lambda raw: raw.decode("utf-8", "replace")
            found = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "messages" not in found:
                detail = f"{path} has no table messages: it holds no mail of the older system"
                raise IpcError("bad_request", detail=detail)
            for table in _TABLES[1:]:
                if table in found:
                    with suppress(sqlite3.DatabaseError):  # damaged; nothing of it is imported anyway
                        report.not_taken[table] = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 (ours)
            rows = _salvage(db, report)
    except (sqlite3.Error, UnicodeDecodeError) as e:  # SQLite may quote bytes of a spoiled file
        raise IpcError("bad_request", detail=f"{path} can't be read as a database with mail: {e}") from None
    for row in rows:
        if row[6]:
            report.read += 1
            continue
        try:
            yield row[0], _request(row)
        except ValueError as e:
            report.refuse(row[0], str(e))


def _salvage(db: sqlite3.Connection, report: Report) -> list[tuple[Any, ...]]:
    """The rows of ``messages`` in their order. Raises sqlite3.Error if none can be read.

    Of a damaged table: the rows before the damage, those behind it, and those between that can be found one by one.
    """
    rows: dict[int, tuple[Any, ...]] = {}
    select = f"SELECT rowid, {_COLUMNS} FROM messages"  # noqa: S608 (a constant)
    damage: sqlite3.DatabaseError | None = None
    for order in ("ASC", "DESC"):
        try:
            for row in db.execute(f"{select} ORDER BY rowid {order}"):
                rows.setdefault(row[0], row[1:])
        except sqlite3.OperationalError:  # not damage: the table has another form, or the file can't be read
            raise
        except sqlite3.DatabaseError as e:
            damage = e
        else:
            return [rows[key] for key in sorted(rows)]
    if not rows and damage is not None:
        raise damage
    known = sorted(rows)
    gaps = [range(a + 1, b) for a, b in pairwise([0, *known]) if b - a > 1]
    left = _SINGLE_LOOKUPS
    for gap in sorted(gaps, key=len):
        for number in gap[:left]:
            with suppress(sqlite3.DatabaseError):
                row = db.execute(f"{select} WHERE rowid = ?", (number,)).fetchone()
                if row is not None:
                    rows[number] = row[1:]
                    continue
            report.unreadable += 1
        left = max(0, left - len(gap))
    return [rows[key] for key in sorted(rows)]


def _request(row: tuple[Any, ...]) -> dict[str, Any]:
    """The import request of one row. Raises ValueError with the reason."""
    row_id, sender, to, content, timestamp, data, _ = row
    for what, name in (("sender", sender), ("recipient", to)):
        if not is_name(name):
            raise ValueError(f"the {what} {one_line(str(name))[:40]!r} is no valid name")
    if not isinstance(content, str):
        raise ValueError("the content is not text")
    try:
        written_s = datetime.fromisoformat(str(timestamp)).timestamp()  # naive: the older system wrote local time
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"the timestamp {one_line(str(timestamp))[:40]!r} is no ISO 8601 time") from None
    message: dict[str, Any] = {"content": content}
    if data:
        try:
            message["data"] = json.loads(data)
        except (ValueError, TypeError, RecursionError):
            raise ValueError("the data is not JSON") from None
    digest = hashlib.sha256(json.dumps([row_id, sender, to, content, timestamp, data], default=bytes.hex).encode()).hexdigest()
    body = {"action": "import", "from_id": sender, "to_id": to, "message": message}
    return {**body, "message_id": f"legacy-{digest[:40]}", "timestamp": written_s}


def _import(settings: Settings, requests: list[tuple[Any, dict[str, Any]]], report: Report, tell: "Tell") -> None:
    ensure_running(settings)
    key = owner_key(settings.home)
    connection = Connection(settings, door="cli")
    try:
        for start in range(0, len(requests), _BATCH):
            tell("importing", start, len(requests))
            part = requests[start : start + _BATCH]
            replies = connection.request_many([{**body, "session_token": key} for _, body in part])
            for (row_id, _), reply in zip(part, replies, strict=True):
                if reply["status"] != "ok":
                    report.refuse(row_id, str(reply["message"]))
                elif reply.get("duplicate"):
                    report.already_there += 1
                else:
                    report.imported += 1
    finally:
        connection.close()


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        say_json(vars(report))
        return
    took = f"{number_of(report.imported, 'message')} imported"
    say(f"{took}, {report.already_there} were there already, {report.read} read ones left out")
    for table, count in report.not_taken.items():
        why = "old forwards have lapsed" if table == "name_history" else "each agent registers anew"
        say(f"{table}: {count} not taken ({why})")
    if report.unreadable:
        say(f"The database is damaged: at most {number_of(report.unreadable, 'row')} could not be read")
    for row in report.refused:
        say(f"row {row['row']}: not taken, {row['reason']}")
