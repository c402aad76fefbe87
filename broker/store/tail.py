"""The tail: the newest messages, which the tables ``queue`` and ``sent_id`` do not tell of yet.

Theory of operation. The transaction that acknowledges mail writes one row a message: the row is the log. Who has it unread, and
under which id its sender knows it, follows from the row. For the newest messages that is kept here, in memory:

    commit --> tail --fold: in bulk, when there is time--> queue, sent_id
                '--acknowledged or ended before: it never enters the queue

``meta.queued_id`` is the message up to which the tables are whole. A start reads what is above it: a message to one mailbox
that has neither a receipt nor a row in ``queue`` is unread. What goes to several mailboxes enters ``queue`` with its message.
That mail of the tail was handed out is one row of ``handed_out`` for all its messages.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

from broker.core.journal import Journal

Key = TypeVar("Key", int, str)


class Entry(NamedTuple):
    """What was stored together."""

    last_id: int
    to: Sequence[tuple[int, Sequence[int]]]
    """(mailbox, messages to it alone) each."""
    sent: Sequence[tuple[int, Sequence[str]]]
    """(sender, its ids) each."""


class Tail:
    """Changes go through ``journal``, until the commit."""

    __slots__ = ("_log", "boxes", "ids", "journal", "size")

    def __init__(self) -> None:
        self.boxes: dict[int, dict[int, int]] = {}
        """By mailbox its unread messages, ascending, and how often each was handed out."""
        self.ids: dict[int, dict[str, int]] = {}
        """By sender its ids and the messages that they stand for."""
        self.size = 0
        """Messages that ``boxes`` or ``ids`` may tell of."""
        self.journal = Journal()
        self._log: deque[Entry] = deque()

    def add(self, entry: Entry, client_ids: dict[str, int]) -> None:
        """Add the messages of one sender."""
        for mailbox_id, ids in entry.to:
            if ids:
                self.boxes.setdefault(mailbox_id, {}).update(dict.fromkeys(ids, 0))
        for sender_id, _ in entry.sent:
            self.ids.setdefault(sender_id, {}).update(client_ids)
        self._log.append(entry)
        self.size += weight(entry)
        self.journal.on_rollback(self._take_back)

    def _take_back(self) -> None:
        entry = self._log.pop()
        self.size -= weight(entry)
        self._forget(entry)

    def enter(self, entry: Entry, waiting: Iterable[tuple[int, int]], client_ids: Iterable[tuple[int, str, int]]) -> None:
        """Add what a start has read: (mailbox, message) of what is unread, (sender, its id, message)."""
        for mailbox_id, message_id in waiting:
            self.boxes.setdefault(mailbox_id, {})[message_id] = 0
        for sender_id, client_id, message_id in client_ids:
            self.ids.setdefault(sender_id, {})[client_id] = message_id
        self._log.append(entry)
        self.size += weight(entry)

    def leave(self, mailbox_id: int, ids: Iterable[int]) -> tuple[dict[int, int], list[int]]:
        """Take out what waits no more, or waits in ``queue`` from now on: (what was here, the others)."""
        box = self.boxes.get(mailbox_id)
        if box is None:
            return {}, list(ids)
        gone: dict[int, int] = {}
        others = []
        for message_id in ids:
            if message_id in box:
                gone[message_id] = box.pop(message_id)
            else:
                others.append(message_id)
        if not box:
            del self.boxes[mailbox_id]
        if gone:
            self.journal.on_rollback(self._put_back, mailbox_id, gone)
        return gone, others

    def _put_back(self, mailbox_id: int, gone: dict[int, int]) -> None:
        self.boxes[mailbox_id] = dict(sorted({**self.boxes.get(mailbox_id, {}), **gone}.items()))

    def free_id(self, sender_id: int, client_id: str, message_id: int) -> None:
        """The id stands for that message no more."""
        known = self.ids.get(sender_id, {})
        if known.get(client_id) == message_id:
            self.journal.drop(known, client_id)

    def oldest(self, most: int) -> list[Entry]:
        """What to fold next, about ``most`` messages."""
        found: list[Entry] = []
        for entry in self._log:
            if most <= 0:
                break
            found.append(entry)
            most -= weight(entry)
        return found

    def rows_of(self, entries: list[Entry]) -> tuple[list[tuple[int, int, int]], list[tuple[int, str, int]]]:
        """The rows of ``queue`` and ``sent_id`` that these entries make, sorted as the tables are."""
        queued = [
            (mailbox_id, message_id, box[message_id])
            for mailbox_id, ids in chain.from_iterable(entry.to for entry in entries)
            if (box := self.boxes.get(mailbox_id))
            for message_id in ids
            if message_id in box
        ]
        sent = [
            (sender_id, client_id, known[client_id])
            for sender_id, ids in chain.from_iterable(entry.sent for entry in entries)
            if (known := self.ids.get(sender_id))
            for client_id in ids
            if client_id in known
        ]
        queued.sort()
        sent.sort()
        return queued, sent

    def drop(self, entries: list[Entry]) -> None:
        """The tables tell of them now."""
        for entry in entries:
            self._log.popleft()
            self.size -= weight(entry)
            self._forget(entry)

    def _forget(self, entry: Entry) -> None:
        for mailbox_id, ids in entry.to:
            _take_out(self.boxes, mailbox_id, ids)
        for sender_id, client_ids in entry.sent:
            _take_out(self.ids, sender_id, client_ids)


def weight(entry: Entry) -> int:
    """Messages of an entry, as far as the tail tells of them."""
    return max(sum(len(ids) for _, ids in entry.to), sum(len(ids) for _, ids in entry.sent))


def _take_out(tables: dict[int, dict[Key, int]], table_id: int, keys: Iterable[Key]) -> None:
    table = tables.get(table_id)
    if table is not None:
        for key in keys:
            table.pop(key, None)
        if not table:
            del tables[table_id]
