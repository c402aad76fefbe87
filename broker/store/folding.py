"""The tail's rows: written into ``queue`` and ``sent_id`` in bulk, and read at a start (``broker.store.tail``)."""

import json
import sqlite3

from broker.store.tail import Entry
from broker.store.transactions import DELETE_QUEUE, Transactions, flat, translate

QUEUED_ID = "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'queued_id')"
IN_TAIL = (
    f"(m.id > {QUEUED_ID} AND m.to_id = :me AND NOT EXISTS "
    "(SELECT 1 FROM receipt r WHERE r.mailbox_id = :me AND r.message_id = m.id))"
)
"""Of a message ``m``: whether mailbox ``:me`` has it unread, though it may have no row in ``queue`` yet."""
_UNREAD = (
    "m.to_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM receipt r WHERE r.mailbox_id = m.to_id AND r.message_id = m.id) "
    "AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.mailbox_id = m.to_id AND q.message_id = m.id)"
)
_TAIL = f"FROM message m WHERE m.id > {QUEUED_ID}"
_READ = f"SELECT m.id, m.to_id, m.sender_id, m.client_id, {_UNREAD} {_TAIL} ORDER BY m.id"
_WAITING = f"(SELECT message_id FROM queue UNION ALL SELECT m.id {_TAIL} AND {_UNREAD})"
_SINCE = 4
"""The version of the tables since which there is a tail."""
FORGET_SENT_ID = "DELETE FROM sent_id WHERE sender_id = ? AND client_id = ? AND message_id = ?"
_INSERT_SENT = "INSERT OR REPLACE INTO sent_id VALUES ", "(?,?,?)", 3
_FOLD_STEP = 1024
"""Messages that are folded between two batches: 2 ms."""
LONGEST = 32_768
"""Messages in the tail beyond which it is folded though others wait. A start reads them all: at most 100 ms."""


class Folding(Transactions):
    """``tail`` in memory, ``queue``, ``sent_id`` and ``handed_out`` on the disk."""

    @property
    def unfolded(self) -> int:
        """Messages of the tail."""
        return self._tail.size

    def fold(self, most: int = _FOLD_STEP) -> None:
        """Write what the tables do not tell of yet, the oldest first, between batches. Raises StoreError."""
        entries = self._tail.oldest(most)
        if not entries:
            return
        with self._apart():
            self._write_tail(*self._tail.rows_of(entries), entries[-1].last_id)
        self._tail.drop(entries)

    def _write_tail(self, queued: list[tuple[int, int, int]], sent: list[tuple[int, str, int]], upto: int) -> None:
        self._write_queue(queued)
        self._insert(*_INSERT_SENT, flat(sent))
        self._sql.execute("DELETE FROM handed_out WHERE last_id <= ?", (upto,))
        self._sql.execute("INSERT OR REPLACE INTO meta VALUES ('queued_id', ?)", (str(upto),))

    def fold_all(self) -> None:
        """Raises StoreError."""
        while self._tail.size:
            self.fold()

    def settle(self, mailbox_id: int) -> None:
        """Move a mailbox's part of the tail into ``queue`` with the batch."""
        waiting, _ = self._tail.leave(mailbox_id, list(self._tail.boxes.get(mailbox_id, ())))
        if waiting:
            self._flush()
            try:
                if not self._open:
                    self._begin("FULL" if self._full else "NORMAL")
                self._write_queue([(mailbox_id, message_id, attempts) for message_id, attempts in waiting.items()])
            except sqlite3.Error as e:
                raise translate(e) from e

    def unqueue(self, mailbox_id: int, ids: list[int]) -> None:
        """These messages of a mailbox wait no more. Their receipts say what became of them."""
        _, queued = self._tail.leave(mailbox_id, ids)
        if queued:
            self._statements.append((DELETE_QUEUE, [(mailbox_id, message_id) for message_id in queued]))

    def is_unread(self, mailbox_id: int, message_id: int) -> bool:
        """Of what is committed."""
        if message_id in self._tail.boxes.get(mailbox_id, ()):
            return True
        found = self._sql.execute("SELECT 1 FROM queue WHERE mailbox_id = ? AND message_id = ?", (mailbox_id, message_id))
        return found.fetchone() is not None

    def read_tail(self) -> dict[int, int]:
        """Read what a former life left in the tail. Returns by mailbox who sent the first of it."""
        waiting, sent, last_id = [], [], 0
        makers: dict[int, int] = {}
        for message_id, to_id, sender_id, client_id, unread in self._sql.execute(_READ):
            last_id = message_id
            if unread:
                waiting.append((to_id, message_id))
                makers.setdefault(to_id, sender_id)
            if client_id is not None:
                sent.append((sender_id, client_id, message_id))
        if last_id:
            to = [(mailbox_id, (message_id,)) for mailbox_id, message_id in waiting]
            entry = Entry(last_id, to, [(sender_id, (client_id,)) for sender_id, client_id, _ in sent])
            self._tail.enter(entry, waiting, sent)
        for mailbox_id, change, ids in self._sql.execute("SELECT mailbox_id, change, ids FROM handed_out ORDER BY number"):
            box = self._tail.boxes.get(mailbox_id, {})
            for message_id in json.loads(ids):
                if message_id in box:
                    box[message_id] = max(0, box[message_id] + change)
        self._handed_out = self._sql.execute("SELECT ifnull(max(number), 0) FROM handed_out").fetchone()[0]
        return makers


def waiting_in(schema: int) -> str:
    """SQL of a table of the unread deliveries' ``message_id``, for a reader of the file that is not its broker."""
    return _WAITING if schema >= _SINCE else "queue"
