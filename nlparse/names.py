"""Names and addresses in a text: which are registered, which are near-misses, and lists of them (RULES.md §2)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from nlparse.grammar import Grammar
from nlparse.spelling import distance

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}(?![A-Za-z0-9_-])")
_ADDRESS = re.compile(r"(?:\*|[A-Za-z0-9_-]{1,32})@(?:\*|[A-Za-z0-9-]{1,32})(?![A-Za-z0-9_@*-])")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w.-]{1,255}[:：]")
_QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»"}
_PATH_OF_HOST = re.compile(r":\S")
"""``fred@host:path`` is a file on another machine."""
_BLANKS = re.compile(r"\s*")
MOST_NAMES = 64
MOST_CANDIDATES = 3
LONG = 7
"""Letters from which on a word may be two edits off."""


@dataclass(frozen=True, slots=True)
class Name:
    """One name as typed, with where it stands (its quotes and @ included)."""

    text: str
    start: int
    end: int
    quoted: bool


class Directory:
    """Who is registered, and what is a name at all."""

    def __init__(self, known: Iterable[str], grammar: Grammar) -> None:
        self.known = {name.lower(): name for name in known}
        self._never = grammar.parts["never_names"].words
        self._work = grammar.parts["work_words"].words
        self._everyone = [word for word in self._never & grammar.parts["audiences"].words if len(word) >= LONG]
        self._near: dict[str, tuple[bool, str | None]] = {}

    @cached_property
    def _here(self) -> list[str]:
        return [name for name in self.known if "@" not in name]

    @cached_property
    def sites(self) -> dict[str, list[str]]:
        """The names that are registered at each other site. There may be far more of them than names here."""
        return _grouped((site, name) for name, at, site in (known.partition("@") for known in self.known) if at)

    @cached_property
    def _homes(self) -> dict[str, list[str]]:
        """The other sites at which each name is registered."""
        return _grouped((name, site) for name, at, site in (known.partition("@") for known in self.known) if at)

    def exact(self, name: str) -> bool:
        return name.lower() in self.known

    def near(self, name: str) -> tuple[bool, str | None]:
        """(whether it is a near-miss of a registered name, the one closest name or None)."""
        low = name.lower()
        if low not in self._near:
            self._near[low] = self._measure(low)
        return self._near[low]

    def _measure(self, low: str) -> tuple[bool, str | None]:
        found: list[tuple[int, str]] = []
        if low in self._work:
            return False, None  # ``text`` is no misspelt ``test``
        for typed, other, whole in self._comparable(low):
            cost = _edits(typed, other)
            if cost and _letters(typed) != _letters(other):
                found.append((cost, self.known[whole]))
        if not found:
            return False, None
        best = min(found)[0]
        closest = [spelled for cost, spelled in found if cost == best]
        return True, closest[0] if len(closest) == 1 else None

    def _comparable(self, low: str) -> Iterator[tuple[str, str, str]]:
        """(what is compared of a name, of a registered one, and that one): of an address one half, while the other is equal."""
        name, at, site = low.partition("@")
        if not at:
            yield from ((low, other, other) for other in self._here)
        yield from ((name, other, f"{other}@{site}") for other in self.sites.get(site, ()))
        yield from ((site, other, f"{name}@{other}") for other in self._homes.get(name, ()) if at)

    def nearest(self, name: str) -> tuple[str, ...]:
        """Up to MOST_CANDIDATES registered names that share at least half their letters with a name, nearest first, and those
        of the same name at other sites. Nobody is nearly everyone."""
        low = name.lower()
        found = [(1, self.known[f"{low}@{site}"]) for site in self._homes.get(low, ())]
        for typed, other, whole in self._comparable(low):
            cost = distance(typed, other, max(len(typed), len(other)) // 2)
            if cost is not None and whole.startswith("*") == low.startswith("*"):
                found.append((cost, self.known[whole]))
        return tuple(spelled for _, spelled in sorted(found)[:MOST_CANDIDATES])

    def registered(self, name: str) -> bool:
        return self.exact(name) or self.near(name)[0]

    def may_be_name(self, name: str) -> bool:
        """A function word is no name unless registered exactly so; neither is a dash or a misspelt ``everyone``."""
        low = name.lower()
        if self.exact(low):
            return True
        if low in self._never or not low.strip("-_"):
            return False
        return not any(distance(low, word, 2) for word in self._everyone) or self.near(low)[0]

    def suggestion(self, names: Iterable[str]) -> str | None:
        """The known spelling of the first near-miss in a list."""
        for name in names:
            if not self.exact(name) and self.near(name)[0]:
                return self.near(name)[1]
        return None


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found


def _edits(low: str, other: str) -> int | None:
    """Edits between two names, if they are few enough for a near-miss."""
    shorter = min(len(low), len(other))
    return None if shorter < 3 else distance(low, other, 2 if shorter >= LONG else 1)


def _letters(name: str) -> str:
    return "".join(c for c in name if not c.isdigit())


def read_recipient(text: str, at: int, directory: Directory) -> Name | None:
    """The name or the address that begins at ``at``, as ``read_name`` reads names. An address may be anyone's here."""
    return read_name(text, at, directory) or _read(text, at, _ADDRESS)


def read_name(text: str, at: int, directory: Directory) -> Name | None:
    """The name that begins at ``at``: one ``@`` and one pair of quotes around it are dropped. It ends at a blank, a
    separator or the closing punctuation of the text."""
    name = _read(text, at, _NAME)
    return name if name is not None and directory.may_be_name(name.text) else None


def _read(text: str, at: int, pattern: re.Pattern[str]) -> Name | None:
    start = at
    at_sign = text.startswith("@", at)
    at += at_sign
    close = _QUOTES.get(text[at : at + 1])
    at += close is not None
    if close and not at_sign and text.startswith("@", at):
        at += 1
    found = pattern.match(text, at)
    if found is None:
        return None
    end = found.end()
    if close:
        if not text.startswith(close, end):
            return None
        end += 1
    if not _ends(text, end) or (pattern is _ADDRESS and _PATH_OF_HOST.match(text, end)):
        return None
    return Name(found[0], start, end, close is not None)


def _ends(text: str, end: int) -> bool:
    after = text[end : end + 1]
    if not after or after.isspace() or after in ",:：&+–—":
        return True
    rest = text[end:]
    return after in ".!?" and not rest.strip(".!? \t\r\n")


def read_names(text: str, at: int, directory: Directory, joiner: re.Pattern[str]) -> list[Name]:
    """All names and addresses that joiners connect from ``at``, registered or not; none if they are more than MOST_NAMES,
    or if an e-mail address and a colon end them."""
    names: list[Name] = []
    name = read_recipient(text, at, directory)
    while name is not None and len(names) < MOST_NAMES:
        names.append(name)
        joined = joiner.match(text, name.end)
        name = read_recipient(text, joined.end(), directory) if joined else None
        if joined and name is None and _EMAIL.match(text, joined.end()):
            return []
    return names if name is None else []


def blanks(text: str, at: int) -> int:
    """The offset of the next character that is no blank."""
    found = _BLANKS.match(text, at)
    return found.end() if found else at
