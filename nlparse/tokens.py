"""The text as words with their offsets, and phrases of the vocabulary matched against them.

Matching costs at most the length of the longest phrase from each place, whatever the text: nothing here backtracks over
the text itself.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

_WORD = re.compile(r"\S+")
_CLOSING = ".!?"


class Token(NamedTuple):
    """One run of non-blanks. ``word`` is lower case without closing punctuation and a comma or colon after it."""

    start: int
    end: int
    word: str
    tail: str
    """What was taken off the end of ``word``: some of ``.!?,:``."""


def tokenize(text: str, limit: int = 64) -> list[Token]:
    """The first ``limit`` words; commands are short, and content is taken by offset."""
    tokens = []
    for found in _WORD.finditer(text):
        raw = found[0] if len(found[0]) <= 200 else found[0][:200] + "…"
        body = raw.rstrip(".!?,:：")
        tokens.append(Token(found.start(), found.end(), body.lower(), raw[len(body) :]))
        if len(tokens) == limit:
            break
    return tokens


Item = tuple[tuple[tuple[str, ...], ...], bool]
"""(alternatives, each a tuple of words; whether it may be left out)"""


@lru_cache(maxsize=4096)
def compile_phrase(phrase: str) -> tuple[Item, ...]:
    items: list[Item] = []
    for part in phrase.split():
        optional = part.startswith("(") and part.endswith(")")
        body = part[1:-1] if optional else part
        items.append((tuple(tuple(alternative.split("_")) for alternative in body.split("|")), optional))
    return tuple(items)


class Matcher:
    """Phrases against tokens. ``fuzzy`` words may be misspelt, as ``Spelling`` allows."""

    def __init__(self, tokens: list[Token], spelling: "Spelling | None" = None) -> None:
        self.tokens = tokens
        self._spelling = spelling

    def ends(self, phrase: str, start: int) -> Iterator[int]:
        """The token indexes just after each way the phrase matches from ``start``, longest optional parts first."""
        return self._match(compile_phrase(phrase), 0, start, start)

    def first(self, phrases: tuple[str, ...], start: int) -> int | None:
        """The end of the first phrase that matches, or None."""
        for phrase in phrases:
            for end in self.ends(phrase, start):
                return end
        return None

    def _match(self, items: tuple[Item, ...], index: int, at: int, start: int) -> Iterator[int]:
        if index == len(items):
            yield at
            return
        alternatives, optional = items[index]
        for words in alternatives:
            end = self._words(words, at, start)
            if end is not None:
                yield from self._match(items, index + 1, end, start)
        if optional:
            yield from self._match(items, index + 1, at, start)

    def _words(self, words: tuple[str, ...], at: int, start: int) -> int | None:
        for word in words:
            if at >= len(self.tokens):
                return None
            if at > start and self.tokens[at - 1].tail:  # punctuation ends a phrase
                return None
            typed = self.tokens[at].word
            if typed != word and not (self._spelling and self._spelling.is_typo(typed, word)):
                return None
            at += 1
        return at


class Spelling:
    """Which words are typing errors of which (RULES.md §8)."""

    def __init__(self, ordinary: frozenset[str]) -> None:
        self._ordinary = ordinary

    def is_typo(self, typed: str, meant: str) -> bool:
        if typed in self._ordinary or not meant.isalpha() or abs(len(typed) - len(meant)) > 2:
            return False
        if len(meant) <= 3:
            return len(typed) == len(meant) and sorted(typed) == sorted(meant) and distance(typed, meant, 1) == 1
        return distance(typed, meant, 2 if len(meant) >= 7 else 1) is not None


@lru_cache(maxsize=65536)
def distance(a: str, b: str, limit: int) -> int | None:
    """Edit distance with swaps of neighbours as one edit, if it is at most ``limit``; words are at most 200 long."""
    if abs(len(a) - len(b)) > limit:
        return None
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
