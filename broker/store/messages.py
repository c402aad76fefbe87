"""Messages and deliveries: what the hot path appends, fetches and marks."""

import sqlite3
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from broker.core.storage import ORDINARY, Copy, Delivery, LargeFile, NewMessage, OpenQuestion, Sent, StoredMessage
from broker.home.message_files import original
from broker.store.schema import QuestionRow
from broker.store.transactions import Transactions, translate

_INSERT_RECEIPT = "INSERT INTO receipt (mailbox_id, message_id, read_s) VALUES (?,?,?)"
_INSERT_READ = "INSERT INTO receipt (mailbox_id, message_id, read_s, evidence) VALUES (?,?,?,?)"
_INSERT_MUTED = "INSERT INTO receipt (mailbox_id, message_id, read_s, muted) VALUES (?,?,?,1)"
_FIND_RECEIPT = "SELECT read_s, muted, ending, why, evidence FROM receipt WHERE mailbox_id = ? AND message_id = ?"
_DELETE_QUEUE = "DELETE FROM queue WHERE mailbox_id = ? AND message_id = ?"
_DELIVERY = ",".join(f"{'q' if column == 'attempts' else 'm'}.{column}" for column in Delivery._fields)
_FETCH = f"SELECT {_DELIVERY} FROM queue q JOIN message m ON m.id = q.message_id WHERE q.mailbox_id = ? AND "
_FETCH_NEW = _FETCH + "q.message_id > ? AND m.expires_s > ? ORDER BY q.message_id"
_FETCH_ONE = _FETCH + "q.message_id = ? AND m.expires_s > ?"
LETTER = ",".join(f"m.{column}" for column in StoredMessage._fields)
_FIND = "SELECT " + LETTER + " FROM message m WHERE m.id = ?"
_ordinary_of = itemgetter(*(i for i, name in enumerate(NewMessage._fields) if name in ORDINARY))
_others_of = itemgetter(*(i for i, name in enumerate(NewMessage._fields) if name not in ORDINARY))
_USUAL = tuple(default for name, default in NewMessage._field_defaults.items() if name not in ORDINARY)
"""What the columns beside ``ORDINARY`` hold if nothing is said."""
_COUNTED = 1000
"""Number of waiting messages whose senders are counted."""


class MailRows(Transactions):
    """The message, queue, receipt and question tables."""

    def add_message(self, message: NewMessage, mailbox_ids: Iterable[int]) -> None:
        if _others_of(message) == _USUAL:
            self._ordinary += _ordinary_of(message)
        else:
            self._messages.append(message)
        message_id = self._last_id = message.id
        for mailbox_id in mailbox_ids:
            self._queue += (mailbox_id, message_id)

    def add_ordinary(self, rows: list[Any], queue: list[int]) -> None:
        self._ordinary += rows
        self._queue += queue
        self._last_id = queue[-1]

    def find_sent(self, sender_id: int, client_id: str) -> Sent | None:
        self._flush()
        row = self._sql.execute(
            "SELECT id, created_s, outcome, copies, expires_s FROM message WHERE sender_id = ? AND client_id = ?",
            (sender_id, client_id),
        ).fetchone()
        return Sent(*row) if row else None

    def forget_client_id(self, message_id: int) -> None:
        """Free a sender's id. The update is written at once, because the insert that takes the id again must come after it."""
        try:
            if not self._open:
                self._begin("FULL" if self._full else "NORMAL")
            self._sql.execute("UPDATE message SET client_id = NULL WHERE id = ?", (message_id,))
        except sqlite3.Error as e:
            raise translate(e) from e

    def fetch(self, mailbox_id: int, ids: list[int], after: int, now_s: float) -> Iterator[Delivery]:
        """The messages ``ids``, then those above ``after``, in order, without expired ones. Rows are read as they are taken."""
        self._flush()
        marked = self._marked() if ids else {}
        for message_id in ids:
            row = self._sql.execute(_FETCH_ONE, (mailbox_id, message_id, now_s)).fetchone()
            if row:
                mail = self._with_file(Delivery._make(row))
                change = marked.get((mailbox_id, message_id), 0)
                yield mail._replace(attempts=mail.attempts + change) if change else mail
        rows = self._sql.execute(_FETCH_NEW, (mailbox_id, after, now_s))
        try:
            for row in rows:
                yield self._with_file(Delivery._make(row))
        finally:
            rows.close()

    def mark_delivered(self, mailbox_id: int, ids: list[int]) -> None:
        self._marks.extend((1, mailbox_id, i) for i in ids)

    def unmark_delivered(self, mailbox_id: int, ids: list[int]) -> None:
        """Undo ``mark_delivered`` for mail that was given back unseen."""
        self._marks.extend((-1, mailbox_id, i) for i in ids)

    def _marked(self) -> dict[tuple[int, int], int]:
        """By mailbox and message how often it was handed out in this batch, less how often it came back unseen."""
        found: dict[tuple[int, int], int] = {}
        for change, *key in self._marks:
            found[key[0], key[1]] = found.get((key[0], key[1]), 0) + change
        return found

    def waiting(self, mailbox_id: int, ids: list[int]) -> list[int]:
        """Those of ``ids`` that are unread mail of the mailbox and were handed out before."""
        self._flush()
        found = "SELECT 1 FROM queue WHERE mailbox_id = ? AND message_id = ? AND attempts > 0"
        return [i for i in ids if self._sql.execute(found, (mailbox_id, i)).fetchone()]

    def mark_read(self, mailbox_id: int, ids: list[int], now_s: float, evidence: str | None = None) -> None:
        self._statements.append((_INSERT_READ, [(mailbox_id, i, now_s, evidence) for i in ids]))
        self._statements.append((_DELETE_QUEUE, [(mailbox_id, i) for i in ids]))

    def queued_ids(self, mailbox_id: int) -> list[int]:
        self._flush()
        rows = self._sql.execute("SELECT message_id FROM queue WHERE mailbox_id = ? ORDER BY message_id", (mailbox_id,))
        return [row[0] for row in rows]

    def file_nobodys(self, message_id: int, now_s: float) -> None:
        """Keep a message that went to nobody, for its sender: a receipt of mailbox 0."""
        self._statements.append((_INSERT_RECEIPT, [(0, message_id, now_s)]))

    def file_muted(self, mailbox_id: int, message_id: int, now_s: float) -> None:
        """Put a message into the archive of a reader who has muted its sender, without a delivery."""
        self._statements.append((_INSERT_MUTED, [(mailbox_id, message_id, now_s)]))

    def senders(self, mailbox_id: int) -> dict[str, int]:
        """Messages waiting by sender, of the oldest thousand."""
        self._flush()
        rows = self._sql.execute(
            "SELECT sender, count(*) FROM (SELECT m.sender FROM queue q JOIN message m ON m.id = q.message_id "
            "WHERE q.mailbox_id = ? LIMIT ?) GROUP BY sender ORDER BY 2 DESC, 1",
            (mailbox_id, _COUNTED),
        )
        return dict(rows.fetchall())

    def newest(self, mailbox_id: int) -> int:
        """The id of the newest queued message, 0 if there is none. Reads one end of the index."""
        self._flush()
        row = self._sql.execute("SELECT max(message_id) FROM queue WHERE mailbox_id = ?", (mailbox_id,)).fetchone()
        return int(row[0] or 0)

    def find_letter(self, message_id: int) -> StoredMessage | None:
        self._flush()
        row = self._sql.execute(_FIND, (message_id,)).fetchone()
        return self._with_file(StoredMessage._make(row)) if row else None

    def copy_of(self, mailbox_id: int, message_id: int) -> Copy | None:
        """What became of the mailbox's copy; None if it does not have it."""
        self._flush()
        key = (mailbox_id, message_id)
        row = self._sql.execute("SELECT attempts FROM queue WHERE mailbox_id = ? AND message_id = ?", key).fetchone()
        if row:
            return Copy(True, max(0, row[0] + self._marked().get(key, 0)))
        row = self._sql.execute(_FIND_RECEIPT, key).fetchone()
        return Copy(False, 0, row[0], bool(row[1]), *row[2:]) if row else None

    # questions

    def save_question(self, question: OpenQuestion) -> None:
        self._add(QuestionRow.replace(**question._asdict()))

    def find_question(self, message_id: int) -> OpenQuestion | None:
        self._flush()
        row = self._sql.execute("SELECT * FROM question WHERE message_id = ?", (message_id,)).fetchone()
        return OpenQuestion._make(row) if row else None

    def questions_of(self, mailbox_id: int) -> list[OpenQuestion]:
        """Those that a mailbox asked or was asked, the newest thousand, newest first."""
        self._flush()
        rows = self._sql.execute(
            "SELECT * FROM question WHERE asker_id = ?1 OR asked_id = ?1 ORDER BY message_id DESC LIMIT 1000", (mailbox_id,)
        )
        return [OpenQuestion._make(row) for row in rows]

    # large bodies

    def write_large(self, sender: str, recipient: str, created_s: float, message_id: int, content: str) -> LargeFile:
        return self._large.write(sender, recipient, created_s, message_id, content)

    def read_large(self, path: str | None, sha256: str) -> str | None:
        found = original(path, sha256) if path is not None else None
        return None if found is None else found.decode("utf-8", "replace")

    def remove_file(self, path: str) -> None:
        self._large.remove(path)
