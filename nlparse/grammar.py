"""A vocabulary made ready for reading: its parts compiled, its words indexed."""

import re
from dataclasses import fields
from functools import cached_property, lru_cache

from nlparse.phrases import Part
from nlparse.spelling import Spelling, is_typo
from nlparse.vocabulary import AROUND, NO_COMMAND_WORDS, Vocabulary, ordinary_words

SAYING = "saying"


class Grammar:
    """Compiled once for each vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        phrases: dict[str, tuple[str, ...]] = {f.name: getattr(vocabulary, f.name) for f in fields(vocabulary)}
        self.parts = {name: Part(p.replace("NAMES", "") for p in part) for name, part in phrases.items()}
        commands = (part for name, part in self.parts.items() if name not in NO_COMMAND_WORDS)
        self.beginnings = frozenset(word for part in commands for word in part.first_words)
        """The words that a command may begin with."""
        self.around = {name: _around(phrases[name]) for name in AROUND}
        self.introducers = tuple(tuple(phrase.lower().split()) for phrase in vocabulary.introducers)
        self.numbers = {word: int(value) for word, _, value in (n.partition("=") for n in self.parts["numbers"].words)}
        self.joiner = _joiner(vocabulary.joiners)
        self.bad_start = _bad_start(vocabulary.joiners)

    @cached_property
    def spelling(self) -> Spelling:
        """Built at the first text that no exact reading knows."""
        commands = {w for name, part in self.parts.items() if name not in NO_COMMAND_WORDS for w in part.words}
        return Spelling(commands - {"i", "a", "u"}, self.ordinary)

    @cached_property
    def ordinary(self) -> frozenset[str]:
        """Words that are no misspelling of another."""
        return ordinary_words() | frozenset(word for part in self.parts.values() for word in part.words)

    def is_saying(self, typed: str) -> bool:
        """True for ``saying``, which may be misspelt in any reading: content begins after it."""
        return typed == SAYING or (is_typo(typed, SAYING) and typed not in self.ordinary)


def _around(phrases: tuple[str, ...]) -> list[tuple[Part, Part]]:
    """What stands before the names and what after, phrase by phrase."""
    cut = [phrase.split("NAMES") for phrase in phrases]
    return [(Part([before]), Part([after])) for before, after in cut]


def _joiner(joiners: tuple[str, ...]) -> re.Pattern[str]:
    """A comma, perhaps with a joiner after it, or a joiner; words need blanks around them, signs don't."""
    words = "|".join(re.escape(j) for j in joiners if j[0].isalpha()) or "(?!)"
    signs = "|".join(re.escape(j) for j in joiners if not j[0].isalpha()) or "(?!)"
    return re.compile(rf"\s*+,\s*+(?:(?:{words})\s++|(?:{signs})\s*+)?|\s++(?:{words})\s++|\s*+(?:{signs})\s*+", re.IGNORECASE)


def _bad_start(joiners: tuple[str, ...]) -> re.Pattern[str]:
    """What may not follow recipients: another joiner, or the beginning of the next job."""
    words = "|".join(re.escape(j) for j in (*joiners, "or", "then", "but") if j[0].isalpha())
    signs = "|".join(re.escape(j) for j in joiners if not j[0].isalpha()) or "(?!)"
    return re.compile(rf"(?:{words})(?![\w'’-])|(?:{signs})", re.IGNORECASE)


@lru_cache(maxsize=8)
def grammar_of(vocabulary: Vocabulary) -> Grammar:
    return Grammar(vocabulary)
