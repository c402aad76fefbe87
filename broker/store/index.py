"""History and search, over indexes that are written when there is time.

Theory of operation. A send pays for none of this: ``letter`` (who has which message), ``thread`` and ``message_text`` (FTS5
over the message table's own text) follow behind it. ``index`` takes the next messages by id; the sweeper calls it when the
broker is idle, and a query first catches up with as much as costs it a few tens of milliseconds. ``archive_behind`` says how
many messages are still missing. A query that would read too much is interrupted, so that it never holds up the mail.
"""

import sqlite3
from contextlib import closing
from typing import NamedTuple

import msgpack

from broker.core.facts import Mark, Step
from broker.core.storage import Archived, Filter, StoredMessage
from broker.protocol.errors import IpcError
from broker.store.fact_rows import ADD_STEP
from broker.store.folding import IN_TAIL, Folding
from broker.store.messages import LETTER
from broker.store.transactions import translate

_COUNTED = 10_000
_STEP_BYTES = 32 * 1024
"""Text indexed between batches: 2 ms of usual mail, 20 ms where each word is a new one (measured: 1.5 MB/s)."""
_CATCH_UP_BYTES = 128 * 1024
"""Text that a query indexes first."""
_ROW_BYTES = 64
"""Cost of a message's other rows, counted as bytes of text."""
_STEPS = 40
_STEP_INSTRUCTIONS = 50_000
"""Instructions of SQLite's machine in a step. A query may take ``_STEPS`` steps, about 0.1 s."""
PAGE_BYTES = 1024 * 1024
"""Text of one page of history."""
_SNIPPETS_BYTES = 64 * 1024
"""Text of one page of a search: finding a snippet takes as long as indexing the text does."""


class ToIndex(NamedTuple):
    """Columns of a message, what the indexes need of it."""

    id: int
    sender_id: int
    to_id: int | None
    thread_id: int | None
    content: str
    extra: bytes | None
    reply_to: int | None
    created_s: float


_TO_INDEX = ",".join(ToIndex._fields)


class Archive(Folding):
    """The letter, thread and message_text tables, and the step table's answers."""

    _indexed_id = 0
    _indexed_durably = 0

    @property
    def unindexed(self) -> bool:
        """Whether messages may be missing in the indexes."""
        return self._last_id > self._indexed_id

    def archive_behind(self) -> int:
        """Messages that are missing in the indexes, at most ``_COUNTED``. Ids have gaps, so the rows are counted."""
        if not self.unindexed:
            return 0
        sql = "SELECT count(*) FROM (SELECT 1 FROM message WHERE id > ? LIMIT ?)"
        return int(self._sql.execute(sql, (self._indexed_id, _COUNTED)).fetchone()[0])

    def index(self, limit_bytes: int = _STEP_BYTES) -> int:
        """Index the next messages, between batches; how many there were. Raises StoreError."""
        with self._apart():
            upto, done = self._index(limit_bytes)
        self._indexed_durably = self._indexed_id = upto
        return done

    def _index(self, limit_bytes: int) -> tuple[int, int]:
        """In the open transaction; (the id up to which the index is complete, messages indexed).

        Time grows with the words, not with the messages. One message is taken at least, then as many as ``limit_bytes`` allows.
        """
        rows, upto = [], max(self._last_id, self._indexed_id)
        found = self._sql.execute(f"SELECT {_TO_INDEX} FROM message WHERE id > ? ORDER BY id", (self._indexed_id,))
        for row in map(ToIndex._make, found):
            rows.append(row)
            limit_bytes -= len(row.content) + _ROW_BYTES
            if limit_bytes <= 0:
                upto = row.id
                break
        found.close()
        self._sql.executemany("INSERT OR IGNORE INTO letter VALUES (?,?,?)", _letters(rows))
        self._sql.executemany("INSERT OR IGNORE INTO thread VALUES (?,?)", [(r.thread_id, r.id) for r in rows if r.thread_id])
        self._sql.executemany("INSERT INTO message_text(rowid, content) VALUES (?,?)", [(r.id, r.content) for r in rows])
        self._sql.executemany(
            ADD_STEP, [Step(r.reply_to, r.sender_id, Mark.ANSWERED, "", r.created_s) for r in rows if r.reply_to]
        )
        self._sql.execute("INSERT OR REPLACE INTO meta VALUES ('indexed_id', ?)", (str(upto),))
        return upto, len(rows)

    def late_answers(self) -> dict[tuple[int, int], float]:
        """Unix times of answers that are not indexed yet, by (message, who answered); of the next ``_COUNTED`` messages."""
        if not self.unindexed:
            return {}
        self._flush()
        sql = (
            "SELECT reply_to, sender_id, created_s FROM (SELECT * FROM message WHERE id > ? ORDER BY id LIMIT ?) WHERE reply_to"
        )
        rows = self._sql.execute(sql, (self._indexed_id, _COUNTED)).fetchall()
        return {(reply_to, sender_id): created_s for reply_to, sender_id, created_s in reversed(rows)}

    def rewrite(self, message_id: int, old: str, new: str) -> None:
        """Give a message another text; the index of texts has to be told the one that it must forget."""
        known = message_id <= self._indexed_id
        if known:
            forget = "INSERT INTO message_text(message_text, rowid, content) VALUES ('delete', ?, ?)"
            self._statements.append((forget, (message_id, old)))
        self._statements.append(("UPDATE message SET content = ? WHERE id = ?", (new, message_id)))
        if known:
            self._statements.append(("INSERT INTO message_text(rowid, content) VALUES (?, ?)", (message_id, new)))

    def commit(self, *, marks: bool = True) -> None:
        super().commit(marks=marks)
        self._indexed_durably = self._indexed_id

    def rollback(self) -> None:
        super().rollback()
        self._indexed_id = self._indexed_durably

    def _catch_up(self) -> None:
        """Before a query, in the batch's transaction: it may hold mail too, so it is as durable as mail."""
        self._flush()
        if self.unindexed:
            try:
                self._begin_mail()
                self._indexed_id, _done = self._index(_CATCH_UP_BYTES)
            except sqlite3.Error as e:
                raise translate(e) from e

    def archive(self, mailbox_id: int, wanted: Filter, limit: int) -> tuple[list[Archived], bool]:
        """(newest first, whether there are more). Raises ``bad_request`` where the query would have to read too much."""
        self._catch_up()
        return self.page(*_query(mailbox_id, wanted), limit, wanted.query)

    def page(self, sql: str, parameters: dict[str, object], limit: int, query: str | None) -> tuple[list[Archived], bool]:
        """(the first rows of ``StoredMessage``, state and snippet, whether there are more).

        SQLite makes a row, and the snippet of its text, when it is asked for the next: a page ends where its texts have
        reached their bound, too.
        """
        left, left_bytes = _STEPS, PAGE_BYTES if query is None else _SNIPPETS_BYTES
        found: list[Archived] = []

        def count_down() -> bool:
            nonlocal left
            left -= 1
            return left <= 0

        self._sql.set_progress_handler(count_down, _STEP_INSTRUCTIONS)
        try:
            with closing(self._sql.execute(sql, parameters)) as rows:
                for row in rows:
                    if len(found) == limit or left_bytes <= 0:
                        return found, True
                    letter = self._with_file(StoredMessage._make(row[:-2]))
                    found.append(Archived(letter, row[-2], row[-1]))
                    left_bytes -= len(letter.content) + len(letter.data or b"")
        except sqlite3.OperationalError as e:
            if left <= 0:
                raise IpcError("bad_request", detail="That would find too much: name a peer, a thread or rarer words") from None
            raise translate(e) from e
        finally:
            self._sql.set_progress_handler(None, 0)
        return found, False


def _letters(rows: list[ToIndex]) -> list[tuple[int, int, int]]:
    letters = []
    for row in rows:
        letters.append((row.sender_id, row.id, row.to_id or 0))
        letters += [(reader, row.id, row.sender_id) for reader in readers(row.to_id, row.extra)]
    return letters


def readers(to_id: int | None, extra: bytes | None) -> list[int]:
    """The mailboxes that a message went to."""
    return [to_id] if to_id is not None else _several(extra)


def _several(extra: bytes | None) -> list[int]:
    """The recipients of a message that has more or less than one; none of mail from before they were kept."""
    ids: list[int] = msgpack.unpackb(extra).get("to", []) if extra else []
    return ids


_WAITS = f"(EXISTS (SELECT 1 FROM queue q WHERE q.mailbox_id = :me AND q.message_id = m.id) OR {IN_TAIL})"
_STATE = f"""CASE WHEN m.sender_id = :me AND coalesce(m.to_id, 0) <> :me THEN 'out'
WHEN {_WAITS} THEN 'queued'
ELSE coalesce((SELECT coalesce(r.ending, CASE WHEN r.muted THEN 'muted' ELSE 'read' END) FROM receipt r
WHERE r.mailbox_id = :me AND r.message_id = m.id), 'read') END"""


def _query(mailbox_id: int, wanted: Filter) -> tuple[str, dict[str, object]]:
    """SQL and parameters. Only messages that the mailbox has a letter of; withdrawn ones only for their sender."""
    parameters: dict[str, object] = {"me": mailbox_id, "before": wanted.before or 2**62}
    parameters |= {"since": wanted.since_s, "peer": wanted.peer_id, "thread": wanted.thread_id, "query": wanted.query}
    tables, where, snippet = "letter l JOIN message m ON m.id = l.message_id", ["l.mailbox_id = :me"], "NULL"
    where += ["l.message_id < :before", "m.created_s >= :since"]
    if wanted.only is not None:
        where.append("l.message_id = :only")
        parameters["only"] = wanted.only
    if wanted.peer_id is not None:
        where.append("l.peer_id = :peer")
    if wanted.thread_id is not None:
        where.append("(m.id = :thread OR m.id IN (SELECT message_id FROM thread WHERE thread_id = :thread))")
    if wanted.query is not None:
        # the text index goes first: CROSS JOIN keeps SQLite from walking the mailbox instead
        tables = (
            "message_text t CROSS JOIN letter l ON l.mailbox_id = :me AND l.message_id = t.rowid "
            "CROSS JOIN message m ON m.id = t.rowid"
        )
        where = ["message_text MATCH :query", "t.rowid < :before"]
        snippet = "snippet(message_text, 0, '', '', '…', 24)"
    had = f"({_STATE})"
    where.append(
        f"(m.sender_id = :me OR {_WAITS} OR EXISTS (SELECT 1 FROM receipt r WHERE r.mailbox_id = :me AND r.message_id = m.id "
        "AND r.ending IS NOT 'withdrawn'))"
    )
    order = "t.rowid" if wanted.query is not None else "l.message_id"
    condition = " AND ".join(where)
    return f"SELECT {LETTER}, {had}, {snippet} FROM {tables} WHERE {condition} ORDER BY {order} DESC", parameters
