"""What must have become of each letter between sites, whatever went wrong.

- It is delivered once, after those that the same site sent to the same site before, or it ends and its sender is told.
- A site that was set back to an older copy has forgotten what it accepted since: that may be delivered or not, out of order,
  but not twice. What it had received since must come again, as long as its sender's outbox or the carrier's log has it.
- Nothing arrives that nobody sent, and nobody reads a letter twice.
- A letter that was read is read for its sender, too.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.deep.faults.link_carriers import LogCarrier
from tests.deep.faults.model import Wrong

Copies = Callable[["Letter"], bool]


@dataclass(slots=True, eq=False)
class Letter:
    text: str
    source: str
    to: str
    number: int
    """Grows with each letter of the world."""
    writer: str
    brief: bool = False
    """It has a time of its own, after which it ends."""
    maybe: bool = False
    """It ended, and then its receiver's site was set back: what that one refused once, it may take now."""
    forgotten: bool = False
    """Its sender's site was set back to before."""
    shuffled: bool = False
    """It was forgotten, or lost, at some time: it may come late."""
    told: bool | None = False
    """Its sender's site has heard that it was read. None: one of the two was set back since, so that what it says is open."""
    was_read: bool = False
    """An agent has read it, though its site may have forgotten that."""
    ended: bool = False
    """Its sender was told that it will not be read."""


class Snapshot(NamedTuple):
    """What a site knew when a copy of it was made."""

    accepted: list[Letter]
    arrived: list[Letter]
    ended: list[Letter]


class Judge:
    def __init__(self, sites: list[str]) -> None:
        self.letters: dict[str, Letter] = {}
        self.accepted: dict[str, list[Letter]] = {site: [] for site in sites}
        """What each site knows that it has sent."""
        self.arrived: dict[str, list[Letter]] = {site: [] for site in sites}
        """What each site knows that it has got, in order."""
        self.ended: dict[str, list[Letter]] = {site: [] for site in sites}
        """Of what each site knows that it ended."""
        self._there: dict[str, set[Letter]] = {site: set() for site in sites}
        self._latest: Counter[tuple[str, str]] = Counter()
        """By (source, destination) the highest number that arrived of letters that come in order."""
        self._read: dict[str, set[Letter]] = {site: set() for site in sites}
        """What agents of each site have read, as far as it knows."""
        self._heard: dict[str, set[str]] = {site: set() for site in sites}
        """Texts of which senders at each site were told that they ended."""
        self._renewed: dict[tuple[str, str], int] = {}
        """By (source, destination) the highest number when an epoch of its mail ended."""
        self.open: set[Letter] = set()
        """Not known to be where they belong."""
        self.counts: Counter[str] = Counter()

    def accept(self, text: str, source: str, to: str, writer: str, *, brief: bool) -> None:
        letter = Letter(text, source, to, len(self.letters) + 1, writer, brief)
        self.letters[text] = letter
        self.accepted[source].append(letter)
        self.open.add(letter)
        self.counts["accepted"] += 1

    def arrive(self, site: str, source: str, text: str) -> None:
        letter = self.letters.get(text)
        if letter is None or (letter.source, letter.to) != (source, site):
            raise Wrong(f"{text!r} of {source} arrived at {site}: nobody sent it there")
        if letter in self._there[site]:
            raise Wrong(f"{letter} arrived twice")
        if letter.ended and not letter.maybe:
            raise Wrong(f"{letter} arrived though its sender was told that it ended")
        if not letter.shuffled:
            if letter.number < self._latest[source, site]:
                raise Wrong(f"{letter} arrived after {self._latest[source, site]}")
            self._latest[source, site] = letter.number
        self._there[site].add(letter)
        self.arrived[site].append(letter)
        self.open.discard(letter)
        self.counts["arrived"] += 1

    def read(self, site: str, text: str) -> None:
        letter = self.letters[text]
        if letter in self._read[site]:
            raise Wrong(f"{letter} was read twice")
        self._read[site].add(letter)
        letter.was_read = True
        self.counts["read"] += 1

    def hear(self, site: str, notice: str) -> None:
        """A sender is told how letters of its ended."""
        for text in re.findall(r"^#\d+ to \S+, (?:expired|refused|dead): .* It begins: (.+)$", notice, re.MULTILINE):
            if text in self._heard[site]:
                raise Wrong(f"{text} ended twice, as its sender was told")
            self._heard[site].add(text)
            self.counts["ends told"] += 1

    def known_read(self) -> list[Letter]:
        """Letters of which the sender's site must have heard by now that they were read."""
        found = [letter for some in self._read.values() for letter in some if letter.told is False]
        return sorted(found, key=lambda letter: letter.number)

    def forgive(self, letter: Letter) -> None:
        """Its sender's site knows that it was read, and its receiver's has forgotten: it is not sent again."""
        if not letter.was_read:
            raise Wrong(f"{letter} has not been read, and its sender's receipt says that it has")
        letter.shuffled = True
        self.open.discard(letter)
        self.counts["read, then forgotten by its receiver's site"] += 1

    def end(self, letter: Letter) -> None:
        if letter in self._there[letter.to]:
            raise Wrong(f"{letter} has arrived, and its sender was told that it ended")
        letter.ended = True
        self.ended[letter.source].append(letter)
        self.open.discard(letter)
        self.counts["ended"] += 1

    # copies

    def snapshot(self, site: str) -> Snapshot:
        return Snapshot(*([*known[site]] for known in (self.accepted, self.arrived, self.ended)))

    def set_back(self, site: str, to: Snapshot) -> None:
        """The site is as it was then."""
        now, then = set(self.accepted[site]), set(to.accepted)
        for letter in now ^ then:
            letter.forgotten, letter.shuffled = letter not in then, True
        self.counts["forgotten by their sender's site"] += len(now - then)
        self.counts["forgotten by their receiver's site"] += len(self._there[site] - set(to.arrived))
        for letter in {*self.ended[site]} ^ {*to.ended}:
            letter.ended, letter.shuffled = letter in to.ended, True
        self.accepted[site], self.arrived[site], self.ended[site] = [*to.accepted], [*to.arrived], [*to.ended]
        affected = now | then | self._there[site] | set(to.arrived)
        self._there[site] = set(to.arrived)
        self._read[site].clear()
        self._heard[site].clear()
        for letter in affected:
            letter.told = None
            letter.shuffled |= letter.brief and letter.source == site  # that its time was over may be forgotten
        for letter in self.letters.values():
            letter.maybe |= letter.to == site and letter.ended
        self.open = {*self.open, *affected} - {letter for letter in affected if self._is_done(letter)}
        for source in self.accepted:
            self._latest[source, site] = 0
        for letter in to.arrived:
            if not letter.shuffled:
                self._latest[letter.source, site] = max(letter.number, self._latest[letter.source, site])

    def _is_done(self, letter: Letter) -> bool:
        return letter.forgotten or letter.ended or letter in self._there[letter.to]

    def excuse(self, in_outbox: Copies, has_copy: Copies) -> None:
        """Something was lost: a site's memory, or a carrier's. Of what no copy is left nobody can deliver anything.

        What is of an epoch that is over, and in no outbox any more, may come late: a later epoch does not say what was
        before it.
        """
        for letter in self.open:
            if letter.number <= self._renewed.get((letter.source, letter.to), 0) and not in_outbox(letter):
                letter.shuffled = True
        for letter in [letter for letter in self.open if not in_outbox(letter) and not has_copy(letter)]:
            letter.shuffled = True
            self.open.discard(letter)
            self.counts["excused: no copy was left"] += 1

    def renew(self, source: str, to: str) -> None:
        """A site begins another epoch of what it sends to another one."""
        self._renewed[source, to] = len(self.letters)
        self.counts["epochs begun anew"] += 1

    def settled(self) -> None:
        """All faults are over, and nothing moves any more."""
        if self.open:
            first = min(self.open, key=lambda letter: letter.number)
            raise Wrong(f"{len(self.open)} letters neither arrived nor ended, such as {first}")


def on_the_way(carrier: LogCarrier, site: str, cursor: int, born: str, known: dict[str, tuple[str, int]]) -> Iterator[str]:
    """Texts in the log that a site will read from its place on and can use. ``known``: by source its epoch and ``high``.

    What lies behind an entry of a later epoch, or with a later ``low``, is of no use: it was published late by an old door.
    """
    stream = carrier.stream_of(site)
    least = {source: (epoch, high + 1) for source, (epoch, high) in known.items()}
    for _at, message in stream.beyond(cursor if stream.born == born else 0):
        row = message.row
        if message.to != site or not message.signed:
            continue
        least[message.source] = max(least.get(message.source, ("", 0)), (row["epoch"], row["low"]))
        if (row["epoch"], row["seq"]) >= least[message.source] and row["body"]["k"] == "mail":
            yield row["body"]["content"]
