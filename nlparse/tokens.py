"""The text as words with their offsets."""

import re
from typing import NamedTuple

_WORD = re.compile(r"\S+")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
_CLOSING = ".!?,:："
MOST_TOKENS = 64
"""Commands are short; content is taken by offset, whatever its length."""
LONGEST_WORD = 200


class Token(NamedTuple):
    """One run of non-blanks. ``word`` is what phrases are compared with: lower case, without apostrophes inside (``whos``
    and ``who's`` are one word) and without what is in ``tail``."""

    start: int
    end: int
    word: str
    tail: str
    """What was taken off the end: some of ``.!?,:``."""

    @property
    def word_end(self) -> int:
        return self.end - len(self.tail)


def fold(word: str) -> str:
    """A word as it is compared."""
    return _APOSTROPHE.sub("", word.lower())


def tokenize(text: str) -> list[Token]:
    """The first MOST_TOKENS words."""
    tokens = []
    for found in _WORD.finditer(text):
        raw = found[0] if found.end() - found.start() <= LONGEST_WORD else found[0][:LONGEST_WORD] + "…"
        body = raw.rstrip(_CLOSING)
        tokens.append(Token(found.start(), found.end(), fold(body), raw[len(body) :]))
        if len(tokens) == MOST_TOKENS:
            break
    return tokens
