"""What the mail must look like, kept beside the engine and compared with every reply of it.

The model knows mailboxes as lists of entries in the order of storing, and letters with who wrote and got them. It is
brought up to date by ``tests.deep.faults.judge``, which knows what each request does; names, groups, claims and the like are in
``tests.deep.faults.company``.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from broker.core.values import iso

DIGEST, TURN, TOOL, INTERRUPT = range(4)
LANDS = ("digest", "turn", "tool", "interrupt")
_ENVELOPE_BYTES = 100
"""Of a message as JSON, beside its text, at least."""
_LETTERS = 20_000
"""Letters kept; of older ones that nobody has unread the model can't tell any more."""


class Wrong(AssertionError):
    """The engine said something that can't be."""


@dataclass(slots=True, eq=False)
class Question:
    """What one asked another, and the number of the answer once there is one."""

    asker: "Box"
    asked: "Box"
    deadline_s: float
    answer: int | None = None


@dataclass(slots=True, eq=False)
class Letter:
    """One message, whoever has it."""

    number: int
    """The broker's id: both count what is stored, and a batch that is rolled back leaves no gap."""
    sender: "Box | None"
    """None of ``system``'s."""
    name: str
    """The sender's when it was written."""
    content: str
    created_s: float
    expires_s: float
    client_id: str | None = None
    whole: str | None = None
    """The text of a large one, whose ``content`` is its summary."""
    land: int = TOOL
    thread: int | None = None
    reply_to: int | None = None
    group: str | None = None
    supersedes: int | None = None
    hops: int = 0
    brief: bool = False
    lines: list[str] = field(default_factory=list)
    """Of a notice of renames: what it tells."""
    question: Question | None = None
    forwarded: dict[str, str] | None = None
    to: "list[Box]" = field(default_factory=list)
    read: "dict[Box, str]" = field(default_factory=dict)
    """Who has it no longer in the mailbox: ``read``, ``expired``, or ``muted`` where it never was."""
    copies: int = 1
    """Queue entries and receipts that keep it stored."""

    @property
    def root(self) -> int:
        return self.thread or self.number


@dataclass(slots=True, eq=False)
class Entry:
    """One letter in one mailbox."""

    letter: Letter
    shown: bool | None = False
    """Handed out before; None where the mark may not have reached the disk."""
    held_until_s: float | None = None
    holder: bytes | None = None
    """The connection that got it last, with whose end it comes back; None after a ``touch``."""
    lapsed: bool = False
    """It had expired when someone asked; a clock that was set back may show it again or not."""


@dataclass(slots=True, eq=False)
class Wait:
    """A ``check`` or ``ask`` without its reply yet, a subscription, or a watcher."""

    key: tuple[bytes, Any]
    deadline_s: float = 0.0
    limit: int = 0
    max_bytes: int = 1024 * 1024
    land: int = DIGEST
    letter: Letter | None = None
    """The question, of an ``ask``."""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False, repr=False)
class Box:
    """One mailbox: unread entries, oldest first, and what its agent said of itself."""

    uid: int
    name: str
    claimed: bool = False
    seen_s: float = 0.0
    renamed_s: float = 0.0
    unread: list[Entry] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    asks: list[Wait] = field(default_factory=list)
    watchers: list[Wait] = field(default_factory=list)
    subscription: Wait | None = None
    notice: Letter | None = None
    """The last one of renames in this life."""
    ended: list[str] = field(default_factory=list)
    """Tokens that were replaced, the newest at the end."""
    blocked: "dict[Box, str]" = field(default_factory=dict)
    presence: str = ""
    note: str = ""
    reach: list[str] = field(default_factory=list)
    minutes: int = 0

    def __repr__(self) -> str:
        return f"<{self.name}: {[(e.letter.number, e.shown, e.held_until_s) for e in self.unread]}>"

    def held(self) -> int:
        return sum(e.held_until_s is not None for e in self.unread)

    def free(self, land: int = DIGEST) -> int:
        """How many that nobody holds land at ``land`` or sooner."""
        return sum(e.held_until_s is None and e.letter.land >= land for e in self.unread)

    def entry(self, number: int) -> Entry | None:
        return next((e for e in self.unread if e.letter.number == number), None)

    @property
    def awaited(self) -> bool:
        return bool(self.waits or self.asks or self.watchers or self.subscription)

    def drop_route(self, route: bytes) -> None:
        """A connection is gone: nothing waits for it any more."""
        for queue in (self.waits, self.asks, self.watchers):
            queue[:] = [w for w in queue if w.key[0] != route]
        if self.subscription is not None and self.subscription.key[0] == route:
            self.subscription = None


class Mail:
    """Mailboxes by name, letters by number, and the ids of sends by sender."""

    def __init__(self, lease_s: float, unread_ttl_s: float, dedupe_s: float) -> None:
        self.lease_s, self.unread_ttl_s, self.dedupe_s = lease_s, unread_ttl_s, dedupe_s
        self.names: dict[str, Box] = {}
        self.boxes: list[Box] = []
        self.letters: dict[int, Letter] = {}
        self.sent: dict[tuple[Box, str], tuple[Letter, str]] = {}
        """(the sender's box, client id) to what was stored and the sentence that was answered."""
        self.counts: Counter[str] = Counter()
        self.number = 0
        self._uid = 0

    def box(self, name: str, wall_s: float) -> Box:
        if name not in self.names:
            self._uid += 1
            self.names[name] = Box(self._uid, name, seen_s=wall_s)
            self.boxes.append(self.names[name])
        return self.names[name]

    def store(self, letter: Letter, to: Iterable[Box], *, muting: bool = True) -> None:
        """Put a new letter into mailboxes; who has muted its sender has it filed away."""
        self.number += 1
        assert letter.number == self.number
        letter.to = list(to)
        letter.copies = max(1, len(letter.to))
        self.letters[letter.number] = letter
        if letter.client_id is not None and letter.sender is not None:
            self.sent[letter.sender, letter.client_id] = letter, ""
        for box in letter.to:
            if muting and letter.sender is not None and letter.sender in box.blocked:
                letter.read[box] = "muted"
            else:
                box.unread.append(Entry(letter))
        self.counts["stored"] += 1
        if len(self.letters) > _LETTERS:
            self._forget()

    def notice(self, to: Iterable[Box], text: str, wall_s: float, limit: int) -> Letter | None:
        """Mail of ``system`` to those with room for it; none where there is nobody to tell."""
        boxes = [box for box in to if len(box.unread) < limit]
        if not boxes:
            return None
        letter = Letter(self.number + 1, None, "system", text, wall_s, wall_s + self.unread_ttl_s)
        self.store(letter, boxes)
        return letter

    def known(self, sender: Box, client_id: str | None, wall_s: float, *, forever: bool = False) -> tuple[Letter, str] | None:
        """What was stored under this id before, within the time that ids are remembered."""
        found = self.sent.get((sender, client_id)) if client_id is not None else None
        if found is not None and not forever and wall_s - found[0].created_s > self.dedupe_s:
            return None
        return found

    def party(self, box: Box, number: int) -> Letter | None:
        """The letter, if the box wrote or got it."""
        letter = self.letters.get(number)
        if letter is None or (letter.sender is not box and box not in letter.read and box.entry(number) is None):
            return None
        return letter

    def named(self, box: Box, text: str, *, own: bool = False) -> Letter | None:
        """The letter that an id of either kind stands for, if the box may speak of it."""
        sent = self.sent.get((box, text))
        letter = sent[0] if sent else self.party(box, int(text)) if text.isdigit() else None
        return None if letter is None or (own and letter.sender is not box) else letter

    def leases_end(self, mono_s: float) -> None:
        for box in self.boxes:
            for entry in box.unread:
                if entry.held_until_s is not None and entry.held_until_s <= mono_s:
                    entry.held_until_s = None

    def free(self, box: Box, land: int, wall_s: float, shown: Iterable[str] = ()) -> list[Entry]:
        """What a ``check`` may get, in its order. ``shown``: ids that were given, which decide about what had lapsed."""
        found = []
        for entry in box.unread:
            if entry.letter.expires_s <= wall_s:
                entry.lapsed = True
            elif entry.held_until_s is not None or entry.letter.land < land:
                continue
            elif not entry.lapsed or str(entry.letter.number) in shown:
                found.append(entry)
        return found

    def hands_out(self, box: Box, wait: Wait, messages: list[dict[str, Any]], now: tuple[float, float], *, sure: bool) -> None:
        """The engine gave these; they must be the oldest there are. ``sure``: that they were is on the disk now."""
        wanted: list[Entry] = []
        size = 0
        for entry in self.free(box, wait.land, now[0], {m["id"] for m in messages})[: wait.limit]:
            size += len(entry.letter.content) + _ENVELOPE_BYTES
            if wanted and size > wait.max_bytes:
                break
            wanted.append(entry)
        self.gives(box, wait, wanted, messages, now, sure=sure)

    def gives(
        self,
        box: Box,
        wait: Wait,
        wanted: list[Entry],
        messages: list[dict[str, Any]],
        now: tuple[float, float],
        *,
        sure: bool,
    ) -> None:
        """The engine gave these messages to the connection of ``wait``; they must be exactly those."""
        if len(messages) != len(wanted):
            numbers = [e.letter.number for e in wanted]
            raise Wrong(f"{box.name} must get {numbers} and got {[m['id'] for m in messages]}")
        for message, entry in zip(messages, wanted, strict=True):
            told = {k: message.get(k) for k in _TOLD}
            if told != self.shown(box, entry.letter):
                raise Wrong(f"{box.name} got {message}, and {self.shown(box, entry.letter)} is next")
            if entry.shown is not None and bool(message.get("redelivered")) != entry.shown:
                raise Wrong(f"{box.name} got {message}, which was shown before: {entry.shown}")
            entry.shown = True if sure or entry.shown else None
            entry.held_until_s, entry.holder = now[1] + self.lease_s, wait.key[0]
        self.counts["handed out"] += len(messages)

    def shown(self, box: Box, letter: Letter) -> dict[str, Any]:
        """A message as its reader must see it."""
        question = letter.question
        told = None
        if question is not None:
            waiting = any(w.letter is letter for w in question.asker.asks)
            told = {"deadline": iso(question.deadline_s), "waiting": waiting and question.asker in self.boxes}
        return {
            "id": str(letter.number),
            "from": letter.name,
            "to": box.name,
            "message": {"content": letter.content},
            "land": LANDS[letter.land],
            "thread": None if letter.thread is None else str(letter.thread),
            "reply_to": None if letter.reply_to is None else str(letter.reply_to),
            "group": letter.group,
            "hops": letter.hops or None,
            "supersedes": None if letter.supersedes is None else str(letter.supersedes),
            "forwarded": letter.forwarded,
            "question": told,
        }

    def acks(self, box: Box, ids: Iterable[str], count: int, waits: Callable[[Box, int], bool]) -> None:
        """What was handed out is read now; where the mark of that may be lost, ``waits`` tells."""
        wanted = set(ids)
        shown = {
            e for e in box.unread if str(e.letter.number) in wanted and (e.shown is not False or e.held_until_s is not None)
        }
        gone = {e for e in shown if e.shown or e.held_until_s is not None or not waits(box, e.letter.number)}
        if len(gone) != count:
            raise Wrong(f"{box.name} acknowledged {len(gone)} unread messages, the engine says {count}: {wanted}, {box.name}")
        for entry in gone:
            entry.letter.read[box] = "read"
        box.unread = [e for e in box.unread if e not in gone]
        self.counts["acknowledged"] += count

    def releases(self, box: Box, ids: Iterable[str] | None) -> int:
        wanted = None if ids is None else set(ids)
        count = 0
        for entry in box.unread:
            if entry.held_until_s is not None and (wanted is None or str(entry.letter.number) in wanted):
                entry.held_until_s = None
                count += 1
        return count

    def unshown(self, box: Box, numbers: set[int]) -> None:
        """Nobody got what was handed out now for the first time. That the mark is taken back may not reach the disk."""
        for entry in box.unread:
            if entry.letter.number in numbers:
                entry.shown = None

    def touches(self, box: Box, ids: Iterable[str], mono_s: float, lease_s: float | None) -> int:
        held = [e for e in box.unread if e.held_until_s is not None and str(e.letter.number) in set(ids)]
        for entry in held:
            entry.held_until_s, entry.holder = mono_s + (lease_s or self.lease_s), None
        return len(held)

    def connection_ends(self, route: bytes) -> None:
        """What it held comes back, and nothing waits for it any more."""
        for box in self.boxes:
            held = [e for e in box.unread if e.held_until_s is not None and e.holder == route]
            for entry in held:
                entry.held_until_s = None
            self.counts["given back by the end of a connection"] += len(held)
            box.drop_route(route)

    def takes_back(self, letter: Letter, count: int, waits: Callable[[Box, int], bool]) -> None:
        """So many copies were withdrawn: all that nobody has been given. ``waits`` says whether a mailbox still has one,
        for those of which the model does not know."""
        gone = 0
        for box in letter.to:
            entry = box.entry(letter.number)
            if entry is None or entry.held_until_s is not None or entry.shown:
                continue
            if entry.shown is None and waits(box, letter.number):
                continue
            box.unread.remove(entry)
            gone += 1
        if gone != count:
            raise Wrong(f"{count} copies of {letter.number} were withdrawn, {gone} were still unseen")
        self.counts["withdrawn"] += count

    def takes_over(self, free: Box, box: Box) -> None:
        """Mail that waited for a name goes to its first holder."""
        own = {e.letter.number for e in box.unread}  # a broadcast may have reached both
        came = [e for e in free.unread if e.letter.number not in own]
        for entry in came:
            entry.letter.to = [box if b is free else b for b in entry.letter.to]
        for letter in self.letters.values():
            if letter.read.get(free) == "expired":
                letter.read[box] = letter.read.pop(free)
                letter.to = [box if b is free else b for b in letter.to]
        box.unread = sorted([*box.unread, *came], key=lambda e: e.letter.number)
        for letter in self.letters.values():
            if letter.question is not None and letter.question.asked is free:
                letter.question.asked = box
        self.boxes.remove(free)

    def sweeps(self, box: Box, left: set[int], wall_s: float) -> None:
        """The sweep left these numbers: the missing ones must have expired."""
        gone = [e for e in box.unread if e.letter.number not in left]
        if any(e.letter.expires_s > wall_s for e in gone):
            raise Wrong(f"{box.name} lost mail in a sweep that had not expired: {gone}")
        box.unread = [e for e in box.unread if e.letter.number in left]
        if len(box.unread) != len(left):
            raise Wrong(f"{box.name} has mail that nobody wrote: {left}")
        for entry in gone:
            if entry.letter.sender is not None:
                entry.letter.read[box] = "expired"
                continue
            entry.letter.copies -= 1  # a notice is no dead letter
            if entry.letter.copies <= 0:
                self._forget_letter(entry.letter)
        self.counts["expired"] += len(gone)

    def _forget_letter(self, letter: Letter) -> None:
        self.letters.pop(letter.number, None)
        if letter.sender is not None and letter.client_id is not None:
            self.sent.pop((letter.sender, letter.client_id), None)

    def _forget(self) -> None:
        """Drop the older half of the letters that nobody has unread."""
        kept = {e.letter.number for box in self.boxes for e in box.unread}
        for number in [n for n in self.letters if n not in kept and n < self.number - _LETTERS // 2]:
            self._forget_letter(self.letters[number])

    def restarts(self) -> None:
        for box in self.boxes:
            for entry in box.unread:
                entry.held_until_s = None
            box.waits, box.asks, box.watchers, box.subscription, box.reach, box.notice = [], [], [], None, [], None


_TOLD = (
    *("id", "from", "to", "message", "land", "thread", "reply_to", "group", "hops", "supersedes", "forwarded", "question"),
)
