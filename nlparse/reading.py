"""One reading of one text: its words, its politeness, and what the readers of the intents ask of it (RULES.md §1)."""

from collections.abc import Iterator

from nlparse import commands as c
from nlparse.grammar import Grammar
from nlparse.names import Directory, Name, read_name, read_names
from nlparse.phrases import Matcher, Part
from nlparse.tokens import Token

LONGEST_CLOSER = 3
"""Words of a closing phrase."""
_PAUSES = ".,!"


class Reading:
    """An exact reading, or with ``fuzzy`` one that allows command words to be misspelt."""

    def __init__(
        self, text: str, tokens: list[Token], me: str | None, directory: Directory, last_from: str | None, grammar: Grammar
    ) -> None:
        self.text = text
        self.tokens = tokens
        self.me = me
        self.directory = directory
        self.last_from = last_from
        self.grammar = grammar
        self.fuzzy = False
        self.asks: c.Command | None = None
        """A send that only lacked a registered name or a separator."""
        self.lacks: list[Name] = []
        """The recipients of a send that has no text."""
        self._plain = self._matcher = self._polite = Matcher(tokens)
        self.begin = self._skip_politeness()

    def forgive_politeness(self) -> bool:
        """Read words of politeness as what they may be misspelt for from now on. False if that changes nothing."""
        begin, stop = self.begin, self.stop() if self.may_begin() else 0
        self._polite = Matcher(self.tokens, self.grammar.spelling.meant)
        self.begin = self._skip_politeness()
        return self.begin != begin or (self.may_begin() and self.stop() != stop)

    def forgive_commands(self) -> None:
        """Read command words as what they may be misspelt for from now on."""
        self._matcher = Matcher(self.tokens, self.grammar.spelling.meant)
        self.fuzzy = True

    def may_begin(self) -> bool:
        """False if no command begins with the first word, which ends the reading of most texts, such as "don't tell fred"."""
        if self.begin >= len(self.tokens):
            return False
        word = self.tokens[self.begin].word
        beginnings = self.grammar.beginnings
        return word in beginnings or (self.fuzzy and not beginnings.isdisjoint(self.grammar.spelling.meant(word)))

    # phrases

    def ends(self, part: str | Part, at: int) -> Iterator[int]:
        """Where phrases of a part end that begin at token ``at``; command words may be misspelt in a fuzzy reading."""
        return self._matcher.ends(self.grammar.parts[part] if isinstance(part, str) else part, at)

    def exact_ends(self, part: str, at: int) -> Iterator[int]:
        return self._plain.ends(self.grammar.parts[part], at)

    def open_ends(self, part: str | Part, at: int) -> Iterator[int]:
        """The ends that no punctuation follows and more text does."""
        for end in self.ends(part, at):
            if end < len(self.tokens) and not self.tokens[end - 1].tail:
                yield end

    def next_ends(self, part: str, at: int) -> Iterator[int]:
        """The ends of phrases that go on after token ``at - 1`` without punctuation between."""
        return iter(()) if self.tokens[at - 1].tail else self.ends(part, at)

    def is_in(self, part: str, word: str) -> bool:
        return word.lower() in self.grammar.parts[part].words

    # places

    def offset(self, index: int) -> int:
        """Where token ``index`` begins, or the end of the text."""
        return self.tokens[index].start if index < len(self.tokens) else len(self.text)

    def after(self, index: int) -> int:
        """Just after the word of token ``index - 1``, before punctuation attached to it."""
        return self.tokens[index - 1].word_end

    def index_at(self, offset: int) -> int | None:
        """The first token at or after an offset."""
        return next((i for i, token in enumerate(self.tokens) if token.start >= offset), None)

    # the two ends of a command

    def _skip_politeness(self) -> int:
        at = 0
        while at < len(self.tokens):
            end = self._addressed_to_me(at) or self._greeting(at) or self._opener(at)
            if end is None:
                break
            at = end
        return at

    def _addressed_to_me(self, at: int) -> int | None:
        """``ME,``"""
        token = self.tokens[at]
        return at + 1 if token.tail == "," and self._is_me(token.word) else None

    def _opener(self, at: int) -> int | None:
        for end in self._polite_ends("openers", at):
            if not self.tokens[end - 1].tail.strip(_PAUSES) and end < len(self.tokens):
                return end
        return None

    def _greeting(self, at: int) -> int | None:
        for end in self._polite_ends("greetings", at):
            if not self.tokens[end - 1].tail.strip(_PAUSES):
                return end + self._is_greeted(end)
        return None

    def _is_greeted(self, at: int) -> bool:
        """True for the caller's own name, and for anyone's with a comma after it, in the breath of a greeting."""
        if at >= len(self.tokens) or self.tokens[at - 1].tail:
            return False
        token = self.tokens[at]
        if self._is_me(token.word) and not token.tail.strip(_PAUSES):
            return True
        if token.tail != ",":
            return False
        name = read_name(self.text, token.start, self.directory)
        return self.is_in("greeted", token.word) or (name is not None and self.text.startswith(",", name.end))

    def _is_me(self, word: str) -> bool:
        return self.me is not None and word.removeprefix("@") == self.me.lower()

    def _polite_ends(self, part: str, at: int) -> Iterator[int]:
        return self._polite.ends(self.grammar.parts[part], at)

    def only_closers(self, at: int, extra: str | None = None) -> bool:
        """True if nothing but closing words stands from token ``at`` on."""
        if at > self.begin and at and not self._may_end(at):
            return False
        while at < len(self.tokens):
            end = self._closer(at, "closers") or (self._closer(at, extra) if extra else None)
            if end is None:
                return False
            at = end
        return True

    def _may_end(self, at: int) -> bool:
        """Only .!? may stand after the last word, or a comma if closing words follow."""
        tail = self.tokens[at - 1].tail
        return not tail.strip(".!?") or (tail == "," and at < len(self.tokens))

    def _closer(self, at: int, part: str) -> int | None:
        for end in self._polite_ends(part, at):
            if self._may_end(end):
                return end
        return None

    def stop(self) -> int:
        """The token where the closing words at the end of the text begin."""
        stop = len(self.tokens)
        while stop > self.begin:
            for start in range(max(self.begin, stop - LONGEST_CLOSER), stop):
                if any(end == stop and self._may_end(end) for end in self._polite_ends("closers", start)):
                    stop = start
                    break
            else:
                return stop
        return stop

    def whole(self, part: str) -> bool:
        """True if a phrase of the part is all of the command."""
        return any(self.only_closers(end) for end in self.ends(part, self.begin))

    # names

    def names(self, offset: int) -> list[Name]:
        return read_names(self.text, offset, self.directory, self.grammar.joiner)

    def names_to_end(self, offset: int) -> list[Name] | None:
        """Names that are all of the rest, closing words and .!? apart."""
        stop = self.stop()
        end = self.offset(stop)
        if offset >= end:
            return None
        rest = self.text[:end].rstrip()
        if stop < len(self.tokens):
            rest = rest.rstrip(".!?,").rstrip()
        names = read_names(rest, offset, self.directory, self.grammar.joiner)
        return names if names and not rest[names[-1].end :].strip(".!? ") else None

    def own_name(self, at: int, *, extra: str | None = None) -> Name | None:
        """A name for oneself that is all of the rest."""
        if at >= len(self.tokens) or self.tokens[at - 1].tail:
            return None
        token = self.tokens[at]
        name = read_name(self.text[: token.word_end], token.start, self.directory)
        if name is None or self.is_in("never_names", name.text):
            return None
        if any(end == at + 1 for end in self.exact_ends("closers", at)) and not name.quoted:
            return None
        return name if self.only_closers(at + 1, extra) else None
