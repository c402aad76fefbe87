"""Phrases of the vocabulary matched against words.

A phrase is written ``send (a) message|msg to``: words in order, ``(x)`` optional, ``a|b`` a choice, ``a_b`` two words that
stand for one choice. Matching costs at most what the longest phrase can branch into, whatever the text.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from nlparse.tokens import Token, fold


class Item(NamedTuple):
    choices: tuple[tuple[str, ...], ...]
    optional: bool


Phrase = tuple[Item, ...]


@lru_cache(maxsize=4096)
def compile_phrase(phrase: str) -> Phrase:
    items = []
    for part in phrase.split():
        optional = part.startswith("(") and part.endswith(")")
        body = part[1:-1] if optional else part
        items.append(Item(tuple(tuple(fold(w) for w in choice.split("_")) for choice in body.split("|") if choice), optional))
    return tuple(items)


class Part:
    """The phrases that play one part, found by their first word."""

    def __init__(self, phrases: Iterable[str]) -> None:
        self._by_first: dict[str, list[Phrase]] = {}
        self.words: set[str] = set()
        for written in phrases:
            phrase = compile_phrase(written)
            self.words.update(word for item in phrase for choice in item.choices for word in choice)
            for word in _first_words(phrase):
                self._by_first.setdefault(word, []).append(phrase)

    @property
    def first_words(self) -> Iterable[str]:
        return self._by_first.keys()

    def starting(self, word: str) -> list[Phrase]:
        return self._by_first.get(word, _NONE)


_NONE: list[Phrase] = []


def _first_words(phrase: Phrase) -> set[str]:
    words: set[str] = set()
    for item in phrase:
        words.update(choice[0] for choice in item.choices)
        if not item.optional:
            break
    return words


Meant = Callable[[str], frozenset[str]]
"""The command words that a typed word may be misspelt for."""


class Matcher:
    """Parts against the words of one text, misspelt ones too if ``meant`` is given."""

    def __init__(self, tokens: list[Token], meant: Meant | None = None) -> None:
        self._tokens = tokens
        self._meant = meant

    def ends(self, part: Part, start: int) -> Iterator[int]:
        """The token indexes just after each way a phrase of the part matches from ``start``, longest choices first."""
        if start >= len(self._tokens):
            return
        for phrase in part.starting(self._tokens[start].word):
            yield from self._match(phrase, 0, start, start)
        if self._meant:
            for word in sorted(self._meant(self._tokens[start].word)):
                for phrase in part.starting(word):
                    yield from self._match(phrase, 0, start, start)

    def _match(self, phrase: Phrase, index: int, at: int, start: int) -> Iterator[int]:
        if index == len(phrase):
            yield at
            return
        item = phrase[index]
        for words in item.choices:
            end = self._words(words, at, start)
            if end is not None:
                yield from self._match(phrase, index + 1, end, start)
        if item.optional:
            yield from self._match(phrase, index + 1, at, start)

    def _words(self, words: tuple[str, ...], at: int, start: int) -> int | None:
        for word in words:
            if at >= len(self._tokens):
                return None
            if at > start and self._tokens[at - 1].tail:  # punctuation ends a phrase
                return None
            typed = self._tokens[at].word
            if typed != word and not (self._meant and word in self._meant(typed)):
                return None
            at += 1
        return at
