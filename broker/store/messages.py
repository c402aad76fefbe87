"""Messages and deliveries: what the hot path appends, fetches and marks."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from heapq import merge
from itertools import dropwhile, islice
from operator import itemgetter
from typing import Any

from broker.core.storage import ORDINARY, Copy, Delivery, LargeFile, NewMessage, OpenQuestion, Sent, StoredMessage
from broker.store.folding import FORGET_SENT_ID, Folding
from broker.store.schema import QuestionRow
from broker.store.tail import Entry, IdRun, Part
from broker.store.transactions import among

_INSERT_RECEIPT = "INSERT INTO receipt (mailbox_id, message_id, read_s) VALUES (?,?,?)"
_INSERT_READ = "INSERT INTO receipt (mailbox_id, message_id, read_s, evidence) VALUES (?,?,?,?)"
_INSERT_MUTED = "INSERT INTO receipt (mailbox_id, message_id, read_s, muted) VALUES (?,?,?,1)"
_FIND_RECEIPT = "SELECT read_s, muted, ending, why, evidence FROM receipt WHERE mailbox_id = ? AND message_id = ?"
_DELIVERY = ",".join(f"{'q' if column == 'attempts' else 'm'}.{column}" for column in Delivery._fields)
_FETCH = f"SELECT {_DELIVERY} FROM queue q JOIN message m ON m.id = q.message_id WHERE q.mailbox_id = ? AND "
_FETCH_NEW = _FETCH + "q.message_id > ? AND m.expires_s > ? ORDER BY q.message_id"
_FETCH_ONE = _FETCH + "q.message_id = ? AND m.expires_s > ?"
_TAIL_COLUMNS = ",".join("0" if column == "attempts" else column for column in Delivery._fields)
_AT_ONCE = 32
"""Messages of the tail that are read together."""
LETTER = ",".join(f"m.{column}" for column in StoredMessage._fields)
_FIND = "SELECT " + LETTER + " FROM message m WHERE m.id = ?"
_ordinary_of = itemgetter(*(i for i, name in enumerate(NewMessage._fields) if name in ORDINARY))
_others_of = itemgetter(*(i for i, name in enumerate(NewMessage._fields) if name not in ORDINARY))
_USUAL = tuple(default for name, default in NewMessage._field_defaults.items() if name not in ORDINARY)
"""What the columns beside ``ORDINARY`` hold if nothing is said."""
_WIDTH = len(ORDINARY)
_ID, _SENDER, _OWN, _TO = (ORDINARY.index(column) for column in ("id", "sender_id", "client_id", "to_id"))
_NO_FILE = None, None, None, None
"""Data and file of a plain text."""
_LAND = NewMessage._field_defaults["land"]
_COUNTED = 1000
"""Number of waiting messages whose senders are counted."""


class MailRows(Folding):
    """The message, queue, receipt and question tables."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self._highest_ids: dict[int, str] = {}
        """By sender the highest id of its own, of those that have sent since the start."""

    def add_message(self, message: NewMessage, mailbox_ids: Iterable[int]) -> None:
        if _others_of(message) == _USUAL:
            self._ordinary += _ordinary_of(message)
        else:
            self._messages.append(message)
        message_id, client_id = message.id, message.client_id
        to: list[tuple[int, Part[int]]] = []
        if message.to_id is not None:
            to = [(mailbox_id, Part((message_id,))) for mailbox_id in mailbox_ids]
        else:
            self._queue += [(mailbox_id, message_id) for mailbox_id in mailbox_ids]
        self._enter(message.sender_id, to, [message_id], [client_id], ascending=True)

    def add_ordinary(self, rows: list[Any], *, ascending: bool) -> None:
        self._ordinary += rows
        numbers, readers = rows[_ID::_WIDTH], rows[_TO::_WIDTH]
        to: list[tuple[int, Part[int]]] = []
        if readers.count(readers[0]) == len(readers):
            to = [(readers[0], Part(range(numbers[0], numbers[-1] + 1)))]
        else:
            boxes: dict[int, list[int]] = {}
            for reader, number in zip(readers, numbers, strict=True):
                boxes.setdefault(reader, []).append(number)
            to = [(mailbox_id, Part(ids)) for mailbox_id, ids in boxes.items()]
        self._enter(rows[_SENDER], to, numbers, rows[_OWN::_WIDTH], ascending=ascending)

    def _enter(
        self, sender_id: int, to: list[tuple[int, Part[int]]], numbers: list[int], own: list[str | None], *, ascending: bool
    ) -> None:
        """Have the tail tell of new messages of one sender, of their readers, and of the sender's own ids."""
        self._last_id = numbers[-1]
        sent: list[tuple[int, Part[str] | IdRun]] = []
        first, last = own[0], own[-1]
        if ascending and first is not None and last is not None and self._ascends(sender_id, last):
            sent = [(sender_id, IdRun(first, last, numbers[0], numbers[-1]))]
        elif own.count(None) < len(own):
            known = {client_id: number for client_id, number in zip(own, numbers, strict=True) if client_id is not None}
            self._ascends(sender_id, max(known))
            sent = [(sender_id, Part(known))]
        self._tail.add(Entry(self._last_id, to, sent, len(numbers)))  # an empty one, too: a start need not read it after a fold

    def _ascends(self, sender_id: int, client_id: str) -> bool:
        """Whether an id is above all that its sender has used; note it. One that is undone later does no harm."""
        ascends = client_id > self.highest_id(sender_id)
        if ascends:
            self._highest_ids[sender_id] = client_id
        return ascends

    def highest_id(self, sender_id: int) -> str:
        highest = self._highest_ids.get(sender_id)
        if highest is None:
            highest = self._highest_ids[sender_id] = self._highest_of(sender_id)
        return highest

    def known_ids(self, sender_id: int, client_ids: list[str]) -> set[str]:
        self._flush()
        known = self._tail.ids[sender_id]
        found = {client_id for client_id in client_ids if client_id in known}
        for start in range(0, len(client_ids), _AT_ONCE):
            marks, ids = among(client_ids[start : start + _AT_ONCE])
            sql = f"SELECT client_id FROM sent_id WHERE sender_id = ? AND client_id {marks}"
            found.update(row[0] for row in self._sql.execute(sql, (sender_id, *ids)))
        found.update(self._among_runs(sender_id, client_ids))
        return found

    def find_sent(self, sender_id: int, client_id: str) -> Sent | None:
        if client_id > self.highest_id(sender_id):
            return None
        self._flush()
        sql = "SELECT id, created_s, outcome, copies, expires_s FROM message WHERE id = ?"
        row = self._sql.execute(sql, (self._message_of(sender_id, client_id),)).fetchone()
        return Sent(*row) if row else None

    def forget_client_id(self, sender_id: int, client_id: str, message_id: int) -> None:
        """Free a sender's id."""
        self._tail.free_id(sender_id, client_id, message_id)
        self._statements.append(("UPDATE message SET client_id = NULL WHERE id = ?", (message_id,)))
        self._statements.append((FORGET_SENT_ID, (sender_id, client_id, message_id)))

    def fetch(self, mailbox_id: int, ids: list[int], after: int, now_s: float) -> Iterator[Delivery]:
        """The messages ``ids``, then those above ``after``, in order, without expired ones. Rows are read as they are taken."""
        marked = self._marked() if ids else {}
        box = self._tail.boxes[mailbox_id]
        for message_id in ids:
            for mail in self._unread(mailbox_id, message_id, box, now_s):
                change = marked.get((mailbox_id, message_id), 0)
                yield mail._replace(attempts=mail.attempts + change) if change else mail
        late = self._of_tail(dropwhile(lambda message_id: message_id <= after, box), box, now_s)
        if after >= self._queued_upto and not self._queue:
            yield from late
            return
        self._flush()
        with closing(self._sql.execute(_FETCH_NEW, (mailbox_id, after, now_s))) as rows:
            queued = (self._with_file(Delivery._make(row)) for row in rows)
            yield from merge(queued, late) if box else queued  # their ids tell them apart

    def _unread(self, mailbox_id: int, message_id: int, box: dict[int, int], now_s: float) -> Iterator[Delivery]:
        """The message, if the mailbox has it unread."""
        if message_id in box:
            yield from self._of_tail((message_id,), box, now_s)
            return
        self._flush()
        if row := self._sql.execute(_FETCH_ONE, (mailbox_id, message_id, now_s)).fetchone():
            yield self._with_file(Delivery._make(row))

    def _of_tail(self, ids: Iterable[int], box: dict[int, int], now_s: float) -> Iterator[Delivery]:
        """Messages of the tail, ascending. Plain ones of this batch need not go through the database."""
        left = iter(ids)
        while some := list(islice(left, _AT_ONCE)):
            if self._ordinary and some[0] >= self._ordinary[_ID] and not (self._messages or self._statements):
                yield from self._of_batch(some, box, now_s)
                continue
            self._flush()
            marks, padded = among(some)
            sql = f"SELECT {_TAIL_COLUMNS} FROM message WHERE id {marks} AND expires_s > ? ORDER BY id"
            for row in self._sql.execute(sql, (*padded, now_s)).fetchall():
                yield self._with_file(Delivery(row[0], box[row[0]], *row[2:]))

    def _of_batch(self, ids: list[int], box: dict[int, int], now_s: float) -> Iterator[Delivery]:
        """Plain messages that are gathered and not flushed yet."""
        rows = self._ordinary
        starts = range(_ID, len(rows), _WIDTH)
        for message_id in ids:
            place = starts[bisect_left(starts, message_id, key=rows.__getitem__)]
            _, _, sender, _, created_s, expires_s, content, _ = rows[place : place + _WIDTH]
            if expires_s > now_s:
                attempts = box[message_id]
                yield Delivery(message_id, attempts, sender, created_s, content, *_NO_FILE, _LAND, None, None, None, expires_s)

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
        box = self._tail.boxes[mailbox_id]
        found = "SELECT 1 FROM queue WHERE mailbox_id = ? AND message_id = ? AND attempts > 0"
        return [i for i in ids if box.get(i, 0) > 0 or self._sql.execute(found, (mailbox_id, i)).fetchone()]

    def mark_read(self, mailbox_id: int, ids: list[int], now_s: float, evidence: str | None = None) -> None:
        self._statements.append((_INSERT_READ, [(mailbox_id, i, now_s, evidence) for i in ids]))
        self.unqueue(mailbox_id, ids)

    def queued_ids(self, mailbox_id: int) -> list[int]:
        self._flush()
        rows = self._sql.execute("SELECT message_id FROM queue WHERE mailbox_id = ?", (mailbox_id,))
        return sorted([*(row[0] for row in rows), *self._tail.boxes[mailbox_id]])

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
            "SELECT m.sender FROM queue q JOIN message m ON m.id = q.message_id WHERE q.mailbox_id = ? LIMIT ?",
            (mailbox_id, _COUNTED),
        )
        found = Counter(row[0] for row in rows)
        late = list(islice(self._tail.boxes[mailbox_id], _COUNTED - found.total()))
        if late:
            marks, ids = among(late)
            found.update(row[0] for row in self._sql.execute(f"SELECT sender FROM message WHERE id {marks}", ids))
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def newest(self, mailbox_id: int) -> int:
        """The id of the newest queued message, 0 if there is none. Reads one end of the index."""
        self._flush()
        row = self._sql.execute("SELECT max(message_id) FROM queue WHERE mailbox_id = ?", (mailbox_id,)).fetchone()
        return max(row[0] or 0, next(reversed(self._tail.boxes[mailbox_id]), 0))

    def find_letter(self, message_id: int) -> StoredMessage | None:
        self._flush()
        row = self._sql.execute(_FIND, (message_id,)).fetchone()
        return self._with_file(StoredMessage._make(row)) if row else None

    def copy_of(self, mailbox_id: int, message_id: int) -> Copy | None:
        """What became of the mailbox's copy; None if it does not have it."""
        self._flush()
        key = (mailbox_id, message_id)
        attempts = self._tail.boxes[mailbox_id].get(message_id)
        if attempts is None:
            row = self._sql.execute("SELECT attempts FROM queue WHERE mailbox_id = ? AND message_id = ?", key).fetchone()
            attempts = row[0] if row else None
        if attempts is not None:
            return Copy(True, max(0, attempts + self._marked().get(key, 0)))
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
        found = self._large.read(path, sha256) if path is not None else None
        return None if found is None else found.decode("utf-8", "replace")

    def remove_file(self, path: str) -> None:
        self._large.remove(path)
