"""What the owner of the data folder reads: mail of everybody, who writes to whom, dead letters, open questions; and pauses."""

from contextlib import closing
from math import ceil

import msgpack

from broker.core.storage import Archived, DeadLetter, OpenQuestion, OwnerFilter, StoredMessage, Traffic
from broker.store.ended_mail import DEAD, ROW
from broker.store.index import PAGE_BYTES, Archive
from broker.store.messages import LETTER
from broker.store.schema import PauseRow
from broker.store.transactions import among

_OPEN = (
    f"SELECT q.*, {LETTER} FROM question q JOIN message m ON m.id = q.message_id "
    "WHERE q.answer_id IS NULL AND q.deadline_s > ? ORDER BY q.message_id DESC LIMIT ?"
)
_OLDEST = (
    "SELECT b.id, m.created_s FROM mailbox b "
    "JOIN message m ON m.id = (SELECT min(q.message_id) FROM queue q WHERE q.mailbox_id = b.id)"
)
_OWNERS = f"{ROW} WHERE {DEAD} AND NOT coalesce(dropped, 0) & 4"
_AFTER = f"SELECT {LETTER} FROM message m WHERE m.id > ? ORDER BY m.id"
_HOUR_S = 3600.0
_HOURS = 168
"""Hours of which messages are counted apart."""
_QUESTION = len(OpenQuestion._fields)


class OwnerReads(Archive):
    """Reads of all mail. Each reads a bounded part of the tables."""

    def open_questions(self, after_s: float, limit: int) -> list[tuple[OpenQuestion, StoredMessage]]:
        """Questions that nobody has answered, and whose deadline is later than then; the newest first."""
        self._flush()
        rows = self._sql.execute(_OPEN, (after_s, limit))
        return [(OpenQuestion._make(row[:_QUESTION]), StoredMessage._make(row[_QUESTION:])) for row in rows]

    def oldest_unread(self, mailbox_ids: list[int]) -> dict[int, float]:
        """By mailbox when its oldest unread message was written (Unix time). The tail is newer than the table."""
        self._flush()
        found = dict(self._sql.execute(_OLDEST).fetchall())
        late = {
            i: first for i in mailbox_ids if i not in found and (first := next(iter(self._tail.boxes[i]), None)) is not None
        }
        marks, ids = among(sorted(set(late.values())))
        written = dict(self._sql.execute(f"SELECT id, created_s FROM message WHERE id {marks}", ids).fetchall())
        return {**found, **{i: written[first] for i, first in late.items() if first in written}}

    def count_dead(self, most: int) -> int:
        """Dead letters on the owner's list, at most so many."""
        self._flush()
        sql = f"SELECT count(*) FROM (SELECT 1 FROM receipt WHERE {DEAD} AND NOT coalesce(dropped, 0) & 4 LIMIT ?)"
        return int(self._sql.execute(sql, (most,)).fetchone()[0])

    def all_dead(self, before: int, limit: int) -> list[DeadLetter]:
        """The owner's list, by receipt, the last that ended first."""
        self._flush()
        rows = self._sql.execute(f"{_OWNERS} AND id < ? ORDER BY id DESC LIMIT ?", (before, limit))
        return [DeadLetter._make(row) for row in rows]

    def letters(self, wanted: OwnerFilter, limit: int) -> tuple[list[Archived], bool]:
        """All mail that passes the filter. Raises ``bad_request`` where the query would have to read too much."""
        self._catch_up()
        return self.page(*_query(wanted, self._first_since(wanted.since_s) if wanted.since_s else 0), limit, wanted.query)

    def letters_after(self, after: int, limit: int) -> tuple[list[StoredMessage], bool]:
        """All mail with a higher number, the oldest first, up to so many bytes of text; and whether there is more."""
        self._flush()
        found: list[StoredMessage] = []
        left_bytes = PAGE_BYTES
        with closing(self._sql.execute(_AFTER, (after,))) as rows:
            for row in map(StoredMessage._make, rows):
                if len(found) == limit or left_bytes <= 0:
                    return found, True
                found.append(self._with_file(row))
                left_bytes -= len(row.content) + len(row.data or b"")
        return found, False

    def _first_since(self, since_s: float) -> int:
        """The first message that was written then or later. Times ascend with the ids, but for imported mail."""
        low, high = 0, self._last_id + 1
        while low < high:
            middle = (low + high) // 2
            row = self._sql.execute("SELECT id, created_s FROM message WHERE id >= ? ORDER BY id LIMIT 1", (middle,)).fetchone()
            if row is None or row[1] >= since_s:
                high = middle
            else:
                low = row[0] + 1
        return low

    def traffic(self, since_s: float, now_s: float, most: int, pairs: int) -> Traffic:
        """Of the newest ``most`` messages those that were written since then; the busiest pairs."""
        self._flush()
        first = max(self._first_since(since_s), self._last_id - most + 1)
        row = self._sql.execute("SELECT created_s FROM message WHERE id >= ? ORDER BY id LIMIT 1", (first,)).fetchone()
        from_s = max(since_s, row[0]) if row else since_s
        busiest = self._sql.execute(
            "SELECT sender_id, max(sender), to_id, count(*) AS n, max(created_s) FROM message WHERE id >= ? "
            "GROUP BY sender_id, to_id ORDER BY n DESC, sender_id, to_id LIMIT ?",
            (first, pairs),
        ).fetchall()
        count = min(_HOURS, max(1, ceil((now_s - from_s) / _HOUR_S)))
        hours = [0] * count
        by_age = "SELECT CAST((? - created_s) / 3600 AS INTEGER) AS age, count(*) FROM message WHERE id >= ? GROUP BY age"
        ages = self._sql.execute(by_age, (now_s, first))
        for age, n in ages:
            if 0 <= age < count:
                hours[count - 1 - age] = n
        return Traffic(busiest, from_s, hours)

    def save_pause(self, key: tuple[int, int], since_s: float | None) -> None:
        """None ends it. ``key`` as in ``State.pauses``; the table has the agent first."""
        mailbox_id, other_id = key if key[0] else (key[1], 0)
        if since_s is None:
            self._add(PauseRow.delete().where(PauseRow.mailbox_id == mailbox_id, PauseRow.other_id == other_id))
        else:
            self._add(PauseRow.replace(mailbox_id=mailbox_id, other_id=other_id, since_s=since_s))

    def pauses(self) -> dict[tuple[int, int], float]:
        """As ``State.pauses`` has them."""
        rows = PauseRow.select().tuples()
        return {(mailbox_id, other_id) if other_id else (0, mailbox_id): since_s for mailbox_id, other_id, since_s in rows}


def _query(wanted: OwnerFilter, first: int) -> tuple[str, dict[str, object]]:
    """SQL and parameters."""
    parameters: dict[str, object] = {"first": first, "before": wanted.before, "after": wanted.after or 0}
    tables, where, snippet = "message m", ["m.id >= :first", "m.id < :before", "m.id > :after"], "NULL"
    if wanted.only is not None:
        where, parameters["only"] = ["m.id = :only"], wanted.only
    if wanted.thread_id is not None:
        where.append("m.id IN (SELECT :thread UNION ALL SELECT message_id FROM thread WHERE thread_id = :thread)")
        parameters["thread"] = wanted.thread_id
    if wanted.group is not None:
        where.append("m.to_id IS NULL AND instr(m.extra, :group)")
        parameters["group"] = msgpack.packb("group") + msgpack.packb(wanted.group)
    if wanted.query is not None:
        tables = "message_text t CROSS JOIN message m ON m.id = t.rowid"
        where.append("message_text MATCH :query")
        parameters["query"] = wanted.query
        snippet = "snippet(message_text, 0, '', '', '…', 24)"
    order = f"{'t.rowid' if wanted.query is not None else 'm.id'} {'DESC' if wanted.after is None else 'ASC'}"
    return f"SELECT {LETTER}, '', {snippet} FROM {tables} WHERE {' AND '.join(where)} ORDER BY {order}", parameters
