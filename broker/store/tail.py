"""The tail: the newest messages, which the tables of queues and senders' ids do not tell of yet.

Theory of operation. The transaction that acknowledges mail writes one row a message: the row is the log. Who has it unread, and
under which id its sender knows it, follows from the row. For the newest messages that is kept here, in memory:

    commit --> tail --fold: in bulk, when there is time--> queue, sent_id, sent_run
                '--acknowledged or ended before: it never enters the queue

``meta.queued_id`` is the message up to which the tables are whole. A start reads what is above it: a message to one mailbox
that has neither a receipt nor a row in ``queue`` is unread. What goes to several mailboxes enters ``queue`` with its message.
That mail of the tail was handed out is one row of ``handed_out`` for all its messages.

A send pays for next to nothing of this: a run of sends to one mailbox is a range of numbers, and of ids that ascend the first
and the last are kept. A mailbox's map of messages is made when somebody looks at it.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

from broker.core.journal import Journal

Key = TypeVar("Key", int, str)
_FIRST_ID = attrgetter("first_id")


class Part(Generic[Key]):
    """What one run of sends adds to a map: keys with their values, or with 0."""

    __slots__ = ("_entries", "apart")

    def __init__(self, entries: Sequence[Key] | dict[Key, int]) -> None:
        self._entries: Sequence[Key] | dict[Key, int] = entries
        self.apart = True
        """It is not in its owner's map yet."""

    def map(self) -> dict[Key, int]:
        return self._entries if isinstance(self._entries, dict) else dict.fromkeys(self._entries, 0)


class IdRun(NamedTuple):
    """A sender's ids that ascend, above all that it had used before, and the messages between which theirs are."""

    first_id: str
    last_id: str
    first_message: int
    last_message: int


def take_end(queues: dict[int, deque[Any]], owner: int, *, newest: bool) -> None:
    """Take out the owner's newest or oldest. Who has none left has no queue."""
    queue = queues[owner]
    if newest:
        queue.pop()
    else:
        queue.popleft()
    if not queue:
        del queues[owner]


class Maps(Generic[Key]):
    """A map of each owner, made of its parts when it is first asked for."""

    __slots__ = ("_maps", "_parts")

    def __init__(self) -> None:
        self._maps: dict[int, dict[Key, int]] = {}
        self._parts: dict[int, deque[Part[Key]]] = {}
        """Those that are apart, the oldest first."""

    def owners(self) -> set[int]:
        return {*self._maps, *self._parts}

    def __getitem__(self, owner: int) -> dict[Key, int]:
        """The owner's map; an empty one that nobody has if there is none."""
        parts = self._parts.pop(owner, None)
        if parts is None:
            return self._maps.get(owner, {})
        whole = self._maps.setdefault(owner, {})
        for part in parts:
            whole.update(part.map())
            part.apart = False
        return whole

    def put(self, owner: int, whole: dict[Key, int]) -> None:
        """Give the owner another map. One that is empty is nobody's."""
        if whole:
            self._maps[owner] = whole
        else:
            self._maps.pop(owner, None)

    def add(self, owner: int, part: Part[Key]) -> None:
        self._parts.setdefault(owner, deque()).append(part)

    def left_of(self, owner: int, part: Part[Key]) -> dict[Key, int]:
        """What the owner still has of a part."""
        if part.apart:
            return part.map()
        whole = self._maps.get(owner, {})
        return {key: whole[key] for key in part.map() if key in whole}

    def take_out(self, owner: int, part: Part[Key], *, newest: bool) -> None:
        """Take out the owner's newest part, or its oldest."""
        if part.apart:
            take_end(self._parts, owner, newest=newest)
        elif owner in self._maps:
            whole = self._maps[owner]
            for key in part.map():
                whole.pop(key, None)
            self.put(owner, whole)


class Entry(NamedTuple):
    """What was stored at once."""

    last_id: int
    to: list[tuple[int, Part[int]]]
    """(mailbox, its messages and how often each was handed out) each."""
    sent: list[tuple[int, Part[str] | IdRun]]
    """(sender, its ids: those that ascend, or each with its message)."""
    length: int
    """Messages."""


class Tail:
    """Changes go through ``journal``, until the commit."""

    __slots__ = ("_log", "boxes", "ids", "journal", "runs", "size")

    def __init__(self) -> None:
        self.boxes: Maps[int] = Maps()
        """By mailbox its unread messages, ascending, and how often each was handed out."""
        self.ids: Maps[str] = Maps()
        """By sender its ids that came out of order, and the messages that they stand for."""
        self.runs: dict[int, deque[IdRun]] = {}
        """By sender its other ids, ascending."""
        self.size = 0
        """Messages that all this tells of."""
        self.journal = Journal()
        self._log: deque[Entry] = deque()

    def add(self, entry: Entry) -> None:
        for mailbox_id, part in entry.to:
            self.boxes.add(mailbox_id, part)
        for sender_id, ids in entry.sent:
            if isinstance(ids, IdRun):
                self.runs.setdefault(sender_id, deque()).append(ids)
            else:
                self.ids.add(sender_id, ids)
        self._log.append(entry)
        self.size += entry.length
        self.journal.on_rollback(self._take_back)

    def _take_back(self) -> None:
        self._take_out(self._log.pop(), newest=True)

    def drop(self, entries: list[Entry]) -> None:
        """The tables tell of the oldest entries now."""
        for entry in entries:
            self._log.popleft()
            self._take_out(entry, newest=False)

    def _take_out(self, entry: Entry, *, newest: bool) -> None:
        self.size -= entry.length
        for mailbox_id, part in entry.to:
            self.boxes.take_out(mailbox_id, part, newest=newest)
        for sender_id, ids in entry.sent:
            if isinstance(ids, IdRun):
                take_end(self.runs, sender_id, newest=newest)
            else:
                self.ids.take_out(sender_id, ids, newest=newest)

    def last_run_to(self, sender_id: int, client_id: str) -> IdRun | None:
        """The last of the sender's runs that begins at the id or below it: no other has the id."""
        runs = self.runs.get(sender_id)
        if not runs:
            return None
        place = bisect_right(runs, client_id, key=_FIRST_ID)
        return runs[place - 1] if place else None

    def highest_id(self, sender_id: int) -> str:
        runs = self.runs.get(sender_id)
        return max(*self.ids[sender_id], runs[-1].last_id if runs else "", "")

    def leave(self, mailbox_id: int, ids: Iterable[int]) -> tuple[dict[int, int], list[int]]:
        """Take out what waits no more, or waits in ``queue`` from now on: (what was here, the others)."""
        box = self.boxes[mailbox_id]
        gone: dict[int, int] = {}
        others = []
        for message_id in ids:
            if message_id in box:
                gone[message_id] = box.pop(message_id)
            else:
                others.append(message_id)
        if gone:
            self.boxes.put(mailbox_id, box)
            self.journal.on_rollback(self._put_back, mailbox_id, gone)
        return gone, others

    def _put_back(self, mailbox_id: int, gone: dict[int, int]) -> None:
        self.boxes.put(mailbox_id, dict(sorted({**self.boxes[mailbox_id], **gone}.items())))

    def free_id(self, sender_id: int, client_id: str, message_id: int) -> None:
        """The id stands for that message no more."""
        known = self.ids[sender_id]
        if known.get(client_id) == message_id:
            self.journal.drop(known, client_id)

    def oldest(self, most: int) -> list[Entry]:
        """What to fold next, about ``most`` messages."""
        found: list[Entry] = []
        for entry in self._log:
            if most <= 0:
                break
            found.append(entry)
            most -= entry.length
        return found
