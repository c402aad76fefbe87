"""What follows the recipients: the separator, and the content byte for byte (RULES.md §3)."""

import re
from dataclasses import dataclass

from nlparse.commands import Span
from nlparse.grammar import SAYING, Grammar
from nlparse.names import blanks
from nlparse.phrases import Matcher
from nlparse.times import is_time
from nlparse.tokens import tokenize

_PAIRS = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"))
_COLON = re.compile(r"[:：]|\s++[:：](?=\s|$)")
_DASH = re.compile(r"\s*+[–—]|\s++--?(?=\s|$)")
_COMMA = re.compile(r",")
_WORD = re.compile(r"[^\s:：,]+")
_LONGEST_CONDITION = 80
_CODE_ENDS = (",", "{", "(", "[", ";")
_LITERAL = re.compile(r"true|false|null|[-+]?(?:\d[\d_]*+(?:\.[\d_]*+)?|\.\d++)(?:e[-+]?\d++)?|0x[\da-f]++", re.IGNORECASE)
_ONE_TYPE = r"_\w+|(?=\w*[a-z])[A-Z]\w*[A-Z]\w*|str|int|bool|float|bytes|dict|tuple"
_ANNOTATION = re.compile(
    rf"(?:[\w.]+\[.*\]|\w+(?:\.\w+){{2,}}|[\w.]+(?: \| [\w.\[\]]+)+|(?P<one>{_ONE_TYPE}))(?:,? \w+: .*)?(?:\s+#.*)?"
)
_LONGEST_ANNOTATION = 200
_BRACKETS = {"{": "}", "[": "]", "(": ")", "<": ">"}


@dataclass(frozen=True, slots=True)
class Content:
    """The text of a message and what set it off from the recipients."""

    text: str
    span: Span
    """Where ``text`` stands, its wrapping quotes left out."""
    separator: str = ""
    """``:``, ``-`` for any dash, ``,`` or nothing."""
    introduced: bool = False
    """``that`` or ``saying`` was dropped."""
    saying: bool = False
    quoted: bool = False
    joins: bool = False
    """It begins like another recipient or the next job (and, or, then, but)."""

    @property
    def hard(self) -> bool:
        """A colon or dash: before it every name counts."""
        return self.separator in (":", "-")

    @property
    def explicit(self) -> bool:
        """Enough to send to a name that is not registered."""
        return self.hard or self.quoted or self.saying

    @property
    def set_off(self) -> bool:
        return self.explicit or self.introduced or self.separator == ","


def read_content(text: str, at: int, grammar: Grammar, *, introduce: bool = True) -> Content | None:
    """The content that begins at ``at``, right after recipients or a verb; None if there is none."""
    separator, after = _separator(text, at)
    if not separator and at < len(text) and not text[at].isspace():
        return None
    first = start = blanks(text, after)
    introducer: tuple[str, ...] = ()
    if introduce and not separator:
        introducer, start = _introduced(text, start, grammar)
    end = len(text.rstrip())
    if start >= end:
        return None
    quoted = _is_wrapped(text[start:end])
    if quoted:
        start, end = start + 1, end - 1
    body = text[start:end]
    if not body.strip():
        return None
    joins = separator in ("", ",") and grammar.bad_start.match(text, first) is not None
    return Content(body, (start, end), separator, bool(introducer), introducer[:1] == (SAYING,), quoted, joins)


def _separator(text: str, at: int) -> tuple[str, int]:
    """(the separator right at ``at`` or nothing, the offset after it)."""
    for sign, pattern in ((":", _COLON), ("-", _DASH), (",", _COMMA)):
        found = pattern.match(text, at)
        if found:
            return sign, found.end()
    return "", at


def _introduced(text: str, at: int, grammar: Grammar) -> tuple[tuple[str, ...], int]:
    """(one leading ``that``, ``saying`` or ``saying that``, the offset after it and a colon or comma attached to it)."""
    for phrase in grammar.introducers:
        end = _phrase_end(text, at, phrase, grammar)
        if end is None:
            continue
        if text[end : end + 1] in (":", "：", ","):
            end += 1
        elif end < len(text) and not text[end].isspace():
            continue
        return phrase, blanks(text, end)
    return (), at


def _phrase_end(text: str, at: int, phrase: tuple[str, ...], grammar: Grammar) -> int | None:
    end = at
    for word in phrase:
        found = _WORD.match(text, blanks(text, end))
        typed = found[0].lower() if found else ""
        if found is None or not (typed == word or (word == SAYING and grammar.is_saying(typed))):
            return None
        end = found.end()
    return end


def _is_wrapped(body: str) -> bool:
    """True if one pair of quotes wraps all and neither mark occurs inside."""
    for opening, closing in _PAIRS:
        if len(body) >= 2 and body[0] == opening and body[-1] == closing:
            return body.find(opening, 1, -1) < 0 and body.find(closing, 1, -1) < 0
    return False


def is_deferred(content: Content, grammar: Grammar, *, asking: bool) -> bool:
    """A job for later is no message: without punctuation, content that begins with a condition or is only a time."""
    if content.separator or content.quoted:
        return False
    head = Matcher(tokenize(content.text[:_LONGEST_CONDITION]))
    if not asking and any(True for _ in head.ends(grammar.parts["deferring"], 0)):
        return True
    return is_time(content.text)


def is_code(text: str) -> bool:
    """An assignment or the beginning of more code; after a bare label (``fred: …``) that is no message."""
    return " = " in text or text.rstrip().endswith(_CODE_ENDS)


def is_type(text: str, *, one_word: bool) -> bool:
    """What a program annotates a name with: ``dict[str, Any]``, ``Plugin | None``; with ``one_word`` ``QueueBackend``, too."""
    found = _ANNOTATION.fullmatch(text, 0, _LONGEST_ANNOTATION)
    return found is not None and (one_word or not found["one"])


def is_value(text: str) -> bool:
    """A literal or a type of a program: wholly in brackets, true, false, null or a number."""
    body = text.strip()
    return _LITERAL.fullmatch(body) is not None or _is_bracketed(body) or is_type(body, one_word=False)


def _is_bracketed(body: str) -> bool:
    """True if the bracket that begins a text is closed by the one that ends it."""
    opening, closing = body[:1], _BRACKETS.get(body[:1])
    if closing is None or not body.endswith(closing):
        return False
    depth = 0
    for found in re.finditer(f"[{re.escape(opening + closing)}]", body):
        depth += 1 if found[0] == opening else -1
        if not depth:
            return found.end() == len(body)
    return False
