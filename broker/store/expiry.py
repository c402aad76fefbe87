"""What time ends or removes: unread mail past its expiry, read and ended mail past its keeping, files that no message names."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgpack

from broker.protocol.spans import span
from broker.store.ended_mail import END, OWE_ONCE
from broker.store.folding import FORGET_RUNS, FORGET_SENT_ID
from broker.store.index import Archive, readers
from broker.store.last_ids import RAISE_MARK
from broker.store.schema import ReceiptRow, RetentionRow
from broker.store.transactions import DELETE_QUEUE, among, translate


class ToSweep(NamedTuple):
    """Columns of a message, what its sweep needs of it."""

    id: int
    copies: int
    file_path: str | None
    content: str
    sender_id: int
    client_id: str | None
    to_id: int | None
    extra: bytes | None
    thread_id: int | None


_TO_SWEEP = ",".join(ToSweep._fields)
_FAR_EXPIRED = (
    "SELECT id, sender_id, created_s, here FROM (SELECT m.id, m.sender_id, m.created_s, m.expires_s, "
    "EXISTS (SELECT 1 FROM outbox o WHERE o.message_id = m.id AND o.site = ? AND o.tries = 0) AS here "
    "FROM queue q JOIN message m ON m.id = q.message_id WHERE q.mailbox_id = ? AND m.expires_s <= ?) "
    "WHERE here OR expires_s <= ? ORDER BY id LIMIT ?"
)
Keeps = Mapping[tuple[str, str], float]
"""(``group``, its name) or (``thread``, its number) to the seconds for which its read mail is kept."""
NO_RULES: Keeps = {}
Statements = tuple[tuple[str, list[Any]], ...]


class Expired(NamedTuple):
    """A delivery whose time is over."""

    mailbox_id: int
    message_id: int
    sender_id: int


class Expiry(Archive):
    """Each step is a small transaction of its own. The tail is folded before: what it tells of by its absence must be true."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._looked_at: dict[float, int] = {}
        """By time of keeping the receipt up to which all that is so old was looked at, in this life and since the last rule."""

    def sweep_orphans(self) -> list[str]:
        def file_of(message_id: int) -> str | None:
            row = self._sql.execute("SELECT file_path FROM message WHERE id = ?", (message_id,)).fetchone()
            return row[0] if row else None

        return self._large.sweep_orphans(file_of)

    def sweep_unread(self, mailbox_id: int, now_s: float, limit: int, why: str) -> list[Expired]:
        """End up to ``limit`` of a mailbox's oldest messages that have expired."""
        self.fold_all()
        rows = self._sql.execute(
            "SELECT q.message_id, m.sender_id, m.expires_s FROM queue q JOIN message m ON m.id = q.message_id "
            "WHERE q.mailbox_id = ? ORDER BY q.message_id LIMIT ?",
            (mailbox_id, limit),
        ).fetchall()
        gone = [Expired(mailbox_id, i, sender_id) for i, sender_id, expires_s in rows if expires_s <= now_s]
        self._expire(gone, now_s, why)
        return gone

    def sweep_far(self, mailbox_id: int, site: str, now_s: float, wait_s: float, limit: int) -> list[tuple[str, list[Expired]]]:
        """End up to ``limit`` messages to a name at another site that have expired, with why.

        One that may have left, or is there, ends ``wait_s`` later: until then that site says what became of it.
        """
        self.fold_all()
        rows = self._sql.execute(_FAR_EXPIRED, (site, mailbox_id, now_s, now_s - wait_s, limit)).fetchall()
        found: dict[str, list[Expired]] = {}
        for message_id, sender_id, created_s, here in rows:
            waited = span(max(0.0, now_s - created_s))
            why = f"it waited for {waited}, and {site} did not come for it"
            why = why if here else f"no word from {site} that it was read, for {waited}"
            found.setdefault(why, []).append(Expired(mailbox_id, message_id, sender_id))
        for why, gone in found.items():
            self._expire(gone, now_s, why)
        return list(found.items())

    def sweep_read(self, now_s: float, keep_s: float, limit: int, keeps: Keeps = NO_RULES, usual_s: float = 0.0) -> int:
        """Remove receipts of mail that is kept for ``keep_s`` and was read before that, of the oldest ``limit``, and bodies
        nobody has any more; return how many were looked at.

        ``keeps``: rules of groups and threads. For each of their times there is a sweep, as there is for ``usual_s``, and each
        looks at a receipt once: what is kept for longer must not hide what is behind it.
        """
        after = self._looked_at.get(keep_s, 0) if keeps else 0
        rows = ReceiptRow.select(ReceiptRow.id, ReceiptRow.message_id, ReceiptRow.read_s).order_by(ReceiptRow.id)
        seen = list(rows.where(ReceiptRow.id > after).limit(limit).tuples())
        old = [(i, m) for i, m, read_s in seen if read_s < now_s - keep_s]
        if not old:
            return 0
        self.fold_all()
        due = old
        if keeps:
            terms = self._terms_of({m for _, m in old}, keeps, usual_s)
            due = [(i, m) for i, m in old if terms.get(m, usual_s) == keep_s]
        if due:
            self._sweep((("DELETE FROM receipt WHERE id = ?", [(i,) for i, _ in due]),), [m for _, m in due])
        if keeps:
            first_young = next((i for i, _, read_s in seen if read_s >= now_s - keep_s), old[-1][0] + 1)
            self._looked_at[keep_s] = max(after, *(i for i, _ in old if i < first_young), 0)
        return len(old)

    def save_keep(self, kind: str, ref: str, keep_s: float | None) -> None:
        """None takes the rule away."""
        self._looked_at.clear()
        if keep_s is None:
            self._add(RetentionRow.delete().where(RetentionRow.kind == kind, RetentionRow.ref == ref))
        else:
            self._add(RetentionRow.replace(kind=kind, ref=ref, keep_s=keep_s))

    def is_thread_gone(self, thread_id: int) -> bool:
        """Whether no message of a thread is left. Between batches; not while some wait to be indexed."""
        found = "SELECT 1 FROM message WHERE id = ?1 UNION ALL SELECT 1 FROM thread WHERE thread_id = ?1"
        return not self.unindexed and self._sql.execute(found, (thread_id,)).fetchone() is None

    def _terms_of(self, message_ids: set[int], keeps: Keeps, usual_s: float) -> dict[int, float]:
        """For how long each of the messages is kept once it is read."""
        found, ids = among(sorted(message_ids))
        rows = self._sql.execute(f"SELECT id, thread_id, extra FROM message WHERE id {found}", ids)
        return {message_id: term_of(message_id, thread_id, extra, keeps, usual_s) for message_id, thread_id, extra in rows}

    def sweep_brief(self, now_s: float, limit: int, why: str, sites: Mapping[int, str]) -> tuple[list[Expired], float | None]:
        """End up to ``limit`` messages whose own expiry has passed, where unread. ``sites``: of names at other sites.

        What may have left for another site is that one's to end (``sweep_far``).
        Returns (what left a queue, Unix time of the next such expiry or None).
        """
        self.fold_all()
        found = "FROM message WHERE brief IS NOT NULL"
        rows = self._sql.execute(
            f"SELECT id, sender_id, to_id, extra {found} AND expires_s <= ? LIMIT ?", (now_s, limit)
        ).fetchall()
        gone = []
        for message_id, sender_id, to_id, extra in rows:
            for mailbox_id in readers(to_id, extra):
                site = sites.get(mailbox_id)
                if self.is_unread(mailbox_id, message_id) and (site is None or self._never_left(site, message_id)):
                    gone.append(Expired(mailbox_id, message_id, sender_id))
        self._expire(gone, now_s, why, [row[0] for row in rows])
        return gone, self._sql.execute(f"SELECT min(expires_s) {found}").fetchone()[0]

    def _never_left(self, site: str, message_id: int) -> bool:
        found = "SELECT 1 FROM outbox WHERE message_id = ? AND site = ? AND tries = 0"
        return self._sql.execute(found, (message_id, site)).fetchone() is not None

    def sweep_dead(self, limit: int) -> int:
        """Make room: remove up to ``limit`` of the oldest messages that ended unread; return how many."""
        rows = self._sql.execute("SELECT id, message_id FROM receipt WHERE ending IS NOT NULL ORDER BY id LIMIT ?", (limit,))
        dead = rows.fetchall()
        if dead:
            self.fold_all()
            self._sweep((("DELETE FROM receipt WHERE id = ?", [(i,) for i, _ in dead]),), [m for _, m in dead])
        self.crowded = False
        return len(dead)

    def _expire(self, gone: list[Expired], now_s: float, why: str, seen: Iterable[int] = ()) -> None:
        """End these deliveries; those of notices are deleted. Messages in ``seen`` are not looked at again."""
        ended = [(one.mailbox_id, one.message_id) for one in gone if one.sender_id]
        removed = [(one.mailbox_id, one.message_id) for one in gone if not one.sender_id]
        statements: Statements = (
            (END, [(*one, now_s, "expired", why) for one in ended]),
            (OWE_ONCE, ended),
            (DELETE_QUEUE, ended + removed),
            ("UPDATE message SET brief = NULL WHERE id = ?", [(i,) for i in seen]),
        )
        if removed:
            self._sweep(statements, [message_id for _, message_id in removed])
        elif any(rows for _, rows in statements):
            self._write_now(*statements)

    def _sweep(self, statements: Statements, message_ids: list[int]) -> None:
        """Delete deliveries by these statements, and a message with the last of its deliveries."""
        left = Counter(message_ids)
        found, ids = among(sorted(left))
        try:
            rows = [ToSweep._make(row) for row in self._sql.execute(f"SELECT {_TO_SWEEP} FROM message WHERE id {found}", ids)]
        except sqlite3.Error as e:
            raise translate(e) from e
        gone = [row for row in rows if row.copies <= left[row.id]]
        # a file is removed after the deletion is on disk; otherwise a loss of power brings the mail back without its file
        with self._apart("FULL" if any(row.file_path for row in gone) else "NORMAL"):
            for sql, deliveries in statements:
                self._sql.executemany(sql, deliveries)
            kept = [(left[row.id], row.id) for row in rows if row.copies > left[row.id]]
            self._sql.executemany("UPDATE message SET copies = copies - ? WHERE id = ?", kept)
            if gone:
                self._sql.execute(RAISE_MARK, ("last_message_id", str(max(row.id for row in gone))))
            self._drop_from_archive([row for row in gone if row.id <= self._indexed_id])
            found, ids = among([row.id for row in gone])
            self._sql.execute(f"DELETE FROM question WHERE message_id {found}", ids)
            self._sql.execute(f"DELETE FROM step WHERE message_id {found}", ids)
            self._sql.executemany(FORGET_SENT_ID, [(r.sender_id, r.client_id, r.id) for r in gone if r.client_id is not None])
            self._sql.execute(f"DELETE FROM message WHERE id {found}", ids)
            if gone:
                self._sql.execute(FORGET_RUNS)
        for row in gone:
            if row.file_path is not None:
                self._large.remove(row.file_path)

    def _drop_from_archive(self, rows: list[ToSweep]) -> None:
        """Take messages out of the indexes. FTS5 needs the text that it must forget."""
        self._sql.executemany(
            "INSERT INTO message_text(message_text, rowid, content) VALUES ('delete', ?, ?)", [(r.id, r.content) for r in rows]
        )
        letters = [(mailbox_id, row.id) for row in rows for mailbox_id in (row.sender_id, *readers(row.to_id, row.extra))]
        self._sql.executemany("DELETE FROM letter WHERE mailbox_id = ? AND message_id = ?", letters)
        self._sql.executemany(
            "DELETE FROM thread WHERE thread_id = ? AND message_id = ?", [(r.thread_id, r.id) for r in rows if r.thread_id]
        )


def term_of(message_id: int, thread_id: int | None, extra: bytes | None, keeps: Keeps, usual_s: float) -> float:
    """For how long a message is kept once it is read. Of several rules the longest counts."""
    group = msgpack.unpackb(extra).get("group") if extra else None
    found = (keeps.get(("thread", str(thread_id or message_id))), keeps.get(("group", str(group))))
    return max((keep_s for keep_s in found if keep_s is not None), default=usual_s)
