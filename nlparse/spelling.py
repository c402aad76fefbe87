"""Typing errors: which command words a typed word may stand for (RULES.md §8).

An index of the command words with letters left out finds the few that are near, so that a word costs the same however
many the vocabulary has. The distance counts a swap of neighbours as one edit and stops at a limit of two; a library of
string distances would not save a line here, and starting it takes longer than a parse.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

LONGEST_TYPO = 16
"""Letters; no command word is longer, less two."""


class Spelling:
    """``meant(typed)`` gives the command words that ``typed`` may be a misspelling of."""

    def __init__(self, words: Iterable[str], ordinary: frozenset[str]) -> None:
        self._ordinary = ordinary
        self._index: dict[str, set[str]] = {}
        for word in words:
            for key in _shortened(word, allowed_edits(word)):
                self._index.setdefault(key, set()).add(word)
        self.meant = lru_cache(maxsize=4096)(self._meant)

    def _meant(self, typed: str) -> frozenset[str]:
        if len(typed) > LONGEST_TYPO or typed in self._ordinary or not typed.replace("-", "").isalpha():
            return frozenset()
        near = {word for key in _shortened(typed, 2) for word in self._index.get(key, ())}
        return frozenset(word for word in near if is_typo(typed, word))


def allowed_edits(word: str) -> int:
    return 2 if len(word) >= 7 else 1


def is_typo(typed: str, meant: str) -> bool:
    """True if a word is at most as many edits from another, and at least one, as a typing error may be."""
    if len(meant) <= 3 and sorted(typed) != sorted(meant):  # so short a word only by a swap
        return False
    return bool(distance(typed, meant, allowed_edits(meant)))


def _shortened(word: str, letters: int) -> Iterator[str]:
    """The word with up to ``letters`` (at most 2) of its letters left out."""
    yield word
    for i in range(len(word)):
        once = word[:i] + word[i + 1 :]
        yield once
        if letters > 1:
            for j in range(i, len(once)):
                yield once[:j] + once[j + 1 :]


def distance(a: str, b: str, limit: int) -> int | None:
    """Edit distance with a swap of neighbours as one edit, if it is at most ``limit``."""
    if abs(len(a) - len(b)) > limit or len(set(a) ^ set(b)) > 2 * limit:  # one edit changes at most two letters of the sets
        return None
    if a == b:
        return 0
    start, most = 0, min(len(a), len(b))
    while start < most and a[start] == b[start]:
        start += 1
    end = 0
    while end < most - start and a[-1 - end] == b[-1 - end]:
        end += 1
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    if limit == 1 and max(len(a), len(b)) > 2:
        return None  # one edit leaves one letter of difference, a swap two
    return _table(a, b, limit)


def _table(a: str, b: str, limit: int) -> int | None:
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return None
        before, last = last, row
    return last[-1] if last[-1] <= limit else None
