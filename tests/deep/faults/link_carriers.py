"""Two carriers of mail between simulated sites, behind the same few methods.

``LogCarrier`` is an engine such as JetStream: streams that number what they store, drop what repeats an id, keep the newest,
and can be made anew, so that their numbers begin again. ``DirectCarrier`` is a call from door to door: it stores nothing, and
both must be up.

    streams(site)                by destination, when the place was made into which mail for it goes, and its last number
    publish(site, to, rows)      of the rows that were taken in, [number, place] each; of the others nothing is known
    read(site, places)           what has come: (stream, born, cursor, entries) each
    say(site, marks), hear(site) marks to sources, and from receivers
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

Row = dict[str, Any]
Mark = dict[str, Any]
Places = dict[str, dict[str, Any]]
ID_WINDOW_S = 120.0
BATCH = 64


class Reading(NamedTuple):
    """What one stream had behind our place."""

    stream: str
    born: str
    cursor: int
    entries: list[Row]


class Carrier(Protocol):
    kind: str

    def streams(self, site: str) -> dict[str, list[Any]]: ...
    def publish(self, site: str, to: str, rows: list[Row]) -> list[list[int]]: ...
    def read(self, site: str, places: Places) -> list[Reading]: ...
    def say(self, site: str, marks: dict[str, Mark]) -> None: ...
    def hear(self, site: str) -> dict[str, Mark]: ...


class Network:
    """Who can reach whom, and what goes wrong on the way. ``calm``: nothing does."""

    def __init__(self, rng: random.Random, sites: list[str]) -> None:
        self.rng = rng
        self.sites = sites
        self.away: set[str] = set()
        self.calm = False
        self.now_s = 0.0
        self.tried: Counter[str] = Counter()

    def mood(self, *moods: tuple[str, float]) -> str:
        """One of these with that probability each, or nothing."""
        if self.calm:
            return ""
        drawn = self.rng.random()
        for name, chance in moods:
            drawn -= chance
            if drawn < 0:
                self.tried[name] += 1
                return name
        return ""


# a log


class Stored(NamedTuple):
    """One message of a stream. What is not ``signed`` was put there by somebody else."""

    to: str
    source: str
    row: Row
    signed: bool = True


@dataclass
class Stream:
    name: str
    born: str
    first: int = 1
    """Place of the first message that is kept."""
    messages: deque[Stored | None] = field(default_factory=deque)
    """None was deleted."""
    ids: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def last(self) -> int:
        return self.first + len(self.messages) - 1

    def store(self, message: Stored) -> int:
        self.messages.append(message)
        return self.last

    def beyond(self, cursor: int) -> Iterator[tuple[int, Stored]]:
        """What is still there behind a place."""
        for at in range(max(cursor + 1, self.first), self.last + 1):
            message = self.messages[at - self.first]
            if message is not None:
                yield at, message


class LogCarrier:
    kind = "log"

    def __init__(self, network: Network, keeps: int = 4000) -> None:
        self.network = network
        self.keeps = keeps
        self.lives = 0
        self.all: dict[str, Stream] = {}
        self.marks: dict[tuple[str, str], Mark] = {}
        """The newest of each (receiver, source)."""
        self.old_marks: list[tuple[tuple[str, str], Mark]] = []
        self.late: list[Stored] = []
        """Sent once, not arrived yet. Their sender has given them up."""
        for name in ("IPC_IN_0", "IPC_IN_1"):
            self.remake(name)

    def stream_of(self, site: str) -> Stream:
        return self.all[f"IPC_IN_{self.network.sites.index(site) % 2}"]

    def streams(self, site: str) -> dict[str, list[Any]]:
        if site in self.network.away:
            return {}
        found = {to: self.stream_of(to) for to in self.network.sites if to != site}
        return {to: [stream.born, stream.last] for to, stream in found.items()}

    def publish(self, site: str, to: str, rows: list[Row]) -> list[list[int]]:
        if site in self.network.away:
            return []
        acked = []
        for row in rows:
            at = self._send(Stored(to, site, row))
            if at is not None:
                acked.append([row["seq"], at])
        return acked

    def _send(self, message: Stored) -> int | None:
        mood = self.network.mood(
            ("lost on the way", 0.02), ("late", 0.01), ("doubled", 0.01), ("ack lost", 0.02), ("acked and lost", 0.005)
        )
        if mood == "lost on the way":
            return None
        if mood == "late":
            self.late.append(message)
            return None
        at = self.put(message, checked=mood != "doubled")
        if mood == "doubled":
            self.put(message, checked=False)
        if mood == "acked and lost":
            self.delete(message.to, at)
        return None if mood == "ack lost" else at

    def put(self, message: Stored, *, checked: bool = True) -> int:
        """Store it, unless its id was seen in the last two minutes: then the answer is the place of that one."""
        stream, row, now_s = self.stream_of(message.to), message.row, self.network.now_s
        key = f"{message.source}-{row['epoch']}-{row['seq']}-{row['try']}"
        known = stream.ids.get(key)
        if checked and known is not None and known[1] > now_s - ID_WINDOW_S:
            return known[0]
        at = stream.store(message)
        stream.ids[key] = at, now_s
        if len(stream.messages) > self.keeps:
            stream.messages.popleft()
            stream.first += 1
        if len(stream.ids) > 2 * self.keeps:
            stream.ids = {k: v for k, v in stream.ids.items() if v[1] > now_s - ID_WINDOW_S}
        return at

    def read(self, site: str, places: Places) -> list[Reading]:
        if site in self.network.away:
            return []
        stream = self.stream_of(site)
        place = places.get(stream.name, {})
        cursor = place.get("cursor", 0) if place.get("born") == stream.born else 0
        if cursor > stream.last:  # what was stored last is lost, and its numbers are given again
            cursor = 0
        if cursor == stream.last and place.get("born") == stream.born:
            return []
        entries: list[Row] = []
        for at, message in stream.beyond(cursor):
            if message.to == site:
                entries.append({"from": message.source, **message.row, "at": at, "signed": message.signed})
                if len(entries) == BATCH:
                    return [Reading(stream.name, stream.born, at, entries)]
        return [Reading(stream.name, stream.born, stream.last, entries)]

    def say(self, site: str, marks: dict[str, Mark]) -> None:
        for source, mark in marks.items() if site not in self.network.away else ():
            if self.network.mood(("mark lost", 0.05)):
                continue
            key = site, source
            if key in self.marks:
                self.old_marks = [*self.old_marks[-40:], (key, self.marks[key])]
            self.marks[key] = mark

    def hear(self, site: str) -> dict[str, Mark]:
        if site in self.network.away:
            return {}
        return {receiver: mark for (receiver, source), mark in self.marks.items() if source == site}

    # what happens to it

    def remake(self, name: str) -> None:
        """The stream is lost, and made anew."""
        self.lives += 1
        self.all[name] = Stream(name, f"2026-11-28T{self.lives:08}Z")

    def delete(self, to: str, at: int) -> None:
        stream = self.stream_of(to)
        if stream.first <= at <= stream.last:
            stream.messages[at - stream.first] = None

    def lose_tail(self, name: str, count: int) -> None:
        """What was stored last is lost, acknowledged or not, and its numbers are given again."""
        stream = self.all[name]
        for _ in range(min(count, len(stream.messages))):
            stream.messages.pop()
        stream.ids = {key: known for key, known in stream.ids.items() if known[0] <= stream.last}

    def purge(self, name: str, upto: int) -> None:
        """Delete all up to a place; the numbers go on."""
        stream = self.all[name]
        while stream.messages and stream.first <= upto:
            stream.messages.popleft()
            stream.first += 1

    def bring_late(self) -> None:
        if self.late:
            self.put(self.late.pop(self.network.rng.randrange(len(self.late))))


# door to door


class DirectCarrier:
    kind = "direct"

    def __init__(self, network: Network) -> None:
        self.network = network
        self.listening: dict[str, Callable[[str, list[Row]], tuple[str, int] | None]] = {}
        """By site, its door: takes entries in, answers (the door's life, its count of arrivals)."""
        self.lives: dict[str, str] = {}
        self.owed: Callable[[str, str], Mark | None] = lambda _receiver, _source: None
        """The mark that a receiver's door has for a source."""
        self.late: list[Stored] = []

    def streams(self, site: str) -> dict[str, list[Any]]:
        return {to: [life, None] for to, life in self.lives.items() if to != site and self._reach(site, to)}

    def _reach(self, one: str, other: str) -> bool:
        return not {one, other} & self.network.away and other in self.listening

    def publish(self, site: str, to: str, rows: list[Row]) -> list[list[int]]:
        if not self._reach(site, to):
            return []
        mood = self.network.mood(("lost on the way", 0.05), ("late", 0.02), ("doubled", 0.03), ("ack lost", 0.05))
        if mood == "lost on the way":
            return []
        if mood == "late":
            self.late += [Stored(to, site, row) for row in rows]
            return []
        taken = self.listening[to](site, rows)
        if mood == "doubled" and to in self.listening:
            self.listening[to](site, rows)
        return [[row["seq"], taken[1]] for row in rows] if taken and mood != "ack lost" else []

    def read(self, site: str, places: Places) -> list[Reading]:
        """Nothing waits on the way."""
        return []

    def say(self, site: str, marks: dict[str, Mark]) -> None:
        """They are asked for."""

    def hear(self, site: str) -> dict[str, Mark]:
        if self.network.mood(("mark lost", 0.2)):
            return {}
        found = {to: self.owed(to, site) for to in self.network.sites if to != site and self._reach(site, to)}
        return {to: mark for to, mark in found.items() if mark is not None}

    def bring_late(self) -> None:
        if self.late:
            message = self.late.pop(self.network.rng.randrange(len(self.late)))
            if self._reach(message.source, message.to):
                self.listening[message.to](message.source, [message.row])
