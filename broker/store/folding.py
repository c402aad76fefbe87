"""The tail's rows: written into ``queue`` and ``sent_id`` in bulk, and read at a start (``broker.store.tail``)."""

import json
import sqlite3
from collections.abc import Iterator
from itertools import chain

from broker.store.tail import Entry, IdRun, Part
from broker.store.transactions import DELETE_QUEUE, Transactions, flat, translate

QUEUED_ID = "(SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'queued_id')"
_NO_ROW = "NOT EXISTS (SELECT 1 FROM {0} r WHERE r.mailbox_id = {1} AND r.message_id = m.id)"
IN_TAIL = f"(m.id > {QUEUED_ID} AND m.to_id = :me AND {_NO_ROW.format('receipt', ':me')})"
"""Of a message ``m``: whether mailbox ``:me`` has it unread, though it may have no row in ``queue`` yet."""
_UNREAD = f"m.to_id IS NOT NULL AND {_NO_ROW.format('receipt', 'm.to_id')} AND {_NO_ROW.format('queue', 'm.to_id')}"
_TAIL = f"FROM message m WHERE m.id > {QUEUED_ID}"
_READ = f"SELECT m.id, m.to_id, m.sender_id, m.client_id, {_UNREAD} {_TAIL} ORDER BY m.id"
_WAITING = f"(SELECT message_id FROM queue UNION ALL SELECT m.id {_TAIL} AND {_UNREAD})"
_SINCE = 4
"""The version of the tables since which there is a tail."""
_INSERT_RUN = "INSERT INTO sent_run VALUES (?,?,?,?,?)"
FORGET_RUNS = "DELETE FROM sent_run WHERE last_message < (SELECT ifnull(min(id), 9e18) FROM message)"
"""Those whose messages are all gone."""
FORGET_SENT_ID = "DELETE FROM sent_id WHERE sender_id = ? AND client_id = ? AND message_id = ?"
_INSERT_SENT = "INSERT OR REPLACE INTO sent_id VALUES ", "(?,?,?)", 3
_FOLD_STEP = 1024
"""Messages that are folded between two batches: 1 ms."""
LONGEST = 16_384
"""Messages in the tail beyond which it is folded though others wait. A start reads them all: 60 ms."""


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
            self._write_tail(entries)
        self._tail.drop(entries)

    def _write_tail(self, entries: list[Entry]) -> None:
        upto = entries[-1].last_id
        boxes = self._tail.boxes
        queued = [
            (mailbox_id, message_id, attempts)
            for mailbox_id, part in chain.from_iterable(entry.to for entry in entries)
            for message_id, attempts in boxes.left_of(mailbox_id, part).items()
        ]
        queued.sort()
        self._write_queue(queued)
        runs, singles = self._sent_rows(entries)
        self._sql.executemany(_INSERT_RUN, [(sender_id, *run) for sender_id, run in runs])
        self._insert(*_INSERT_SENT, flat(singles))
        self._sql.execute("DELETE FROM handed_out WHERE last_id <= ?", (upto,))
        self._sql.execute("INSERT OR REPLACE INTO meta VALUES ('queued_id', ?)", (str(upto),))

    def _sent_rows(self, entries: list[Entry]) -> tuple[list[tuple[int, IdRun]], list[tuple[int, str, int]]]:
        """The rows of ``sent_run`` and ``sent_id``. Each run begins above the one before, so a sender's make one."""
        whole: dict[int, IdRun] = {}
        singles: list[tuple[int, str, int]] = []
        for sender_id, ids in chain.from_iterable(entry.sent for entry in entries):
            if isinstance(ids, IdRun):
                whole[sender_id] = joined(whole.get(sender_id), ids)
            else:
                singles += [(sender_id, *known) for known in self._tail.ids.left_of(sender_id, ids).items()]
        runs = []
        for sender_id, run in sorted(whole.items()):
            if run.first_id == run.last_id:
                singles.append((sender_id, run.first_id, run.last_message))
            else:
                runs.append((sender_id, run))
        return runs, sorted(singles)

    def _stored_run(self, sender_id: int, upto: str | None = None) -> IdRun | None:
        """The last row of ``sent_run`` that begins at the id or below it: rows do not overlap, so no other has the id."""
        bound, values = ("", ()) if upto is None else (" AND first_id <= ?", (upto,))
        sql = f"SELECT first_id, last_id, first_message, last_message FROM sent_run WHERE sender_id = ?{bound}"
        row = self._sql.execute(f"{sql} ORDER BY first_id DESC LIMIT 1", (sender_id, *values)).fetchone()
        return IdRun._make(row) if row else None

    def _highest_of(self, sender_id: int) -> str:
        """The highest id of a sender, wherever it is told of."""
        single = self._sql.execute("SELECT max(client_id) FROM sent_id WHERE sender_id = ?", (sender_id,)).fetchone()[0]
        run = self._stored_run(sender_id)
        return max(single or "", run.last_id if run else "", self._tail.highest_id(sender_id))

    def _run_of(self, sender_id: int, low: str, high: str) -> IdRun | None:
        """A run of the sender that has ids from ``low`` to ``high``."""
        run = self._tail.last_run_to(sender_id, high)
        if run is None or run.last_id < low:
            run = self._stored_run(sender_id, high)
        return None if run is None or run.last_id < low else run

    def _ids_of(self, sender_id: int, run: IdRun) -> dict[str, int]:
        """The sender's ids among the messages of a run, and their messages: reads about a thousand rows."""
        sql = "SELECT client_id, id FROM message WHERE id BETWEEN ? AND ? AND sender_id = ? AND client_id IS NOT NULL"
        return dict(self._sql.execute(sql, (run.first_message, run.last_message, sender_id)).fetchall())

    def _among_runs(self, sender_id: int, client_ids: list[str]) -> Iterator[str]:
        """Those of the ids that are in runs. Ids that are near each other are looked up together."""
        if self._run_of(sender_id, min(client_ids), max(client_ids)) is None:
            return
        run, held = None, dict[str, int]()
        for client_id in sorted(client_ids):
            if run is None or not run.first_id <= client_id <= run.last_id:
                run = self._run_of(sender_id, client_id, client_id)
                held = {} if run is None else self._ids_of(sender_id, run)
            if client_id in held:
                yield client_id

    def _message_of(self, sender_id: int, client_id: str) -> int | None:
        """The message that the sender knows under this id."""
        message_id = self._tail.ids[sender_id].get(client_id)
        if message_id is None:
            sql = "SELECT message_id FROM sent_id WHERE sender_id = ? AND client_id = ?"
            row = self._sql.execute(sql, (sender_id, client_id)).fetchone()
            message_id = row[0] if row else None
        if message_id is None and (run := self._run_of(sender_id, client_id, client_id)):
            message_id = self._ids_of(sender_id, run).get(client_id)
        return message_id

    def fold_all(self) -> None:
        """Raises StoreError."""
        while self._tail.size:
            self.fold()

    def settle(self, mailbox_id: int) -> None:
        """Move a mailbox's part of the tail into ``queue`` with the batch."""
        waiting, _ = self._tail.leave(mailbox_id, list(self._tail.boxes[mailbox_id]))
        if waiting:
            self._flush()
            try:
                self._begin_mail()
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
        if message_id in self._tail.boxes[mailbox_id]:
            return True
        found = self._sql.execute("SELECT 1 FROM queue WHERE mailbox_id = ? AND message_id = ?", (mailbox_id, message_id))
        return found.fetchone() is not None

    def read_tail(self) -> dict[int, int]:
        """Read what a former life left in the tail. Returns by mailbox who sent the first of it."""
        makers: dict[int, int] = {}
        highest: dict[int, str] = {}
        found = self._sql.execute(_READ)
        while some := found.fetchmany(_FOLD_STEP):
            boxes: dict[int, list[int]] = {}
            runs: dict[int, IdRun] = {}
            singles: dict[int, dict[str, int]] = {}
            for message_id, to_id, sender_id, client_id, unread in some:
                if unread:
                    boxes.setdefault(to_id, []).append(message_id)
                    makers.setdefault(to_id, sender_id)
                if client_id is None:
                    continue
                before = highest.get(sender_id)
                if before is None:
                    before = highest[sender_id] = self._highest_of(sender_id)
                if client_id > before:
                    highest[sender_id] = client_id
                    runs[sender_id] = joined(runs.get(sender_id), IdRun(client_id, client_id, message_id, message_id))
                else:
                    singles.setdefault(sender_id, {})[client_id] = message_id
            to = [(mailbox_id, Part(ids)) for mailbox_id, ids in boxes.items()]
            sent: list[tuple[int, Part[str] | IdRun]] = list(runs.items())
            sent += [(sender_id, Part(known)) for sender_id, known in singles.items()]
            self._tail.add(Entry(some[-1][0], to, sent, len(some)))
        self._tail.journal.commit()
        for mailbox_id, change, ids in self._sql.execute("SELECT mailbox_id, change, ids FROM handed_out ORDER BY number"):
            box = self._tail.boxes[mailbox_id]
            for message_id in json.loads(ids):
                if message_id in box:
                    box[message_id] = max(0, box[message_id] + change)
        self._handed_out = self._sql.execute("SELECT ifnull(max(number), 0) FROM handed_out").fetchone()[0]
        return makers


def joined(run: IdRun | None, following: IdRun) -> IdRun:
    """One run of two."""
    return following if run is None else IdRun(run.first_id, following.last_id, run.first_message, following.last_message)


def waiting_in(schema: int) -> str:
    """SQL of a table of the unread deliveries' ``message_id``, for a reader of the file that is not its broker."""
    return _WAITING if schema >= _SINCE else "queue"
