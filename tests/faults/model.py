"""What the mail must look like, kept beside the engine and compared with every reply of it.

The model knows mailboxes as lists of entries in the order of storing. It learns from the engine's replies what was done,
and objects when a reply can't be true: mail that is not there, not next, held by someone, or shown as new when it is not.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


class Wrong(AssertionError):
    """The engine said something that can't be."""


@dataclass(slots=True, eq=False)
class Entry:
    """One message in one mailbox."""

    number: int
    """The broker's id: both count what is stored, and a batch that is rolled back leaves no gap."""
    sender: str
    content: str
    expires_s: float
    shown: bool | None = False
    """Handed out before; None where the mark may not have reached the disk."""
    held_until_s: float | None = None


@dataclass(slots=True, eq=False)
class Box:
    """One mailbox: unread entries, oldest first."""

    name: str
    claimed: bool = False
    unread: list[Entry] = field(default_factory=list)

    def held(self) -> int:
        return sum(e.held_until_s is not None for e in self.unread)


class Model:
    """Mailboxes by name, forwards, and the ids of sends by sender."""

    def __init__(self, lease_s: float, unread_ttl_s: float, dedupe_s: float) -> None:
        self.lease_s, self.unread_ttl_s, self.dedupe_s = lease_s, unread_ttl_s, dedupe_s
        self.names: dict[str, Box] = {}
        self.boxes: list[Box] = []
        self.sent: dict[tuple[int, str], float] = {}
        """(identity of the sender's box, client id) to the wall second of storing."""
        self.counts: Counter[str] = Counter()
        self._number = 0

    def box(self, name: str) -> Box:
        if name not in self.names:
            self.names[name] = Box(name)
            self.boxes.append(self.names[name])
        return self.names[name]

    def store(self, boxes: Iterable[Box], sender: str, content: str, wall_s: float) -> None:
        self._number += 1
        for box in boxes:
            box.unread.append(Entry(self._number, sender, content, wall_s + self.unread_ttl_s))

    def sends(self, box: Box, client_id: str, reply: dict[str, Any], wall_s: float) -> bool:
        """Note an accepted send; True if it is a new one. Raises Wrong if it is wrongly taken for a repetition, or not."""
        key = (id(box), client_id)
        known = key in self.sent and wall_s - self.sent[key] <= self.dedupe_s
        if bool(reply.get("duplicate")) != known:
            raise Wrong(f"{box.name} sent {client_id}, known: {known}, reply: {reply}")
        if not known:
            self.sent[key] = wall_s
        self.counts["duplicates" if known else "stored"] += 1
        return not known

    def leases_end(self, mono_s: float) -> None:
        for box in self.boxes:
            for entry in box.unread:
                if entry.held_until_s is not None and entry.held_until_s <= mono_s:
                    entry.held_until_s = None

    def hands_out(self, box: Box, limit: int, messages: list[dict[str, Any]], now: tuple[float, float], sure: bool) -> None:
        """The engine gave these; they must be the oldest there are. ``sure``: that they were is on the disk now."""
        wall_s, mono_s = now
        free = [e for e in box.unread if e.held_until_s is None]
        alive = [e for e in free if e.expires_s > wall_s]
        if len(messages) > limit:
            raise Wrong(f"{box.name} asked for {limit} and got {len(messages)}")
        if len(messages) != min(limit, len(alive)):
            raise Wrong(f"{box.name} has {len(alive)} free, asked for {limit} and got {len(messages)}")
        for message, entry in zip(messages, alive, strict=False):
            told = (message["id"], message["message"]["content"], message["from"])
            if told != (str(entry.number), entry.content, entry.sender):
                raise Wrong(f"{box.name} got {message}, and {entry} is next")
            if entry.shown is not None and bool(message.get("redelivered")) != entry.shown:
                raise Wrong(f"{box.name} got {message}, and {entry}")
            entry.shown = True if sure or entry.shown else None
            entry.held_until_s = mono_s + self.lease_s
        self.counts["handed out"] += len(messages)

    def acks(self, box: Box, ids: Iterable[str], count: int) -> None:
        wanted = set(ids)
        gone = {e for e in box.unread if str(e.number) in wanted}
        if len(gone) != count:
            raise Wrong(f"{box.name} acknowledged {len(gone)} unread messages, the engine says {count}: {wanted}, {box}")
        box.unread = [e for e in box.unread if e not in gone]
        self.counts["acknowledged"] += count

    def releases(self, box: Box, ids: Iterable[str] | None) -> None:
        wanted = None if ids is None else set(ids)
        for entry in box.unread:
            if wanted is None or str(entry.number) in wanted:
                entry.held_until_s = None

    def renames(self, box: Box, new: str) -> None:
        other = self.names.get(new)
        if other is not None and other is not box:  # mail that waited for the name goes to its first holder
            own = {e.number for e in box.unread}  # a broadcast may have reached both
            box.unread = sorted([*box.unread, *(e for e in other.unread if e.number not in own)], key=lambda e: e.number)
            self.boxes.remove(other)
        del self.names[box.name]
        box.name = new
        self.names[new] = box

    def sweeps(self, box: Box, queued: int, wall_s: float) -> None:
        """The sweep left so many: the missing ones must be the oldest and expired."""
        gone, box.unread = box.unread[: len(box.unread) - queued], box.unread[len(box.unread) - queued :]
        if any(e.expires_s > wall_s for e in gone):
            raise Wrong(f"{box.name} lost mail in a sweep that had not expired")
        self.counts["expired"] += len(gone)

    def restarts(self) -> None:
        for box in self.boxes:
            for entry in box.unread:
                entry.held_until_s = None
