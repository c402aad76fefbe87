"""What follows the recipients: the separator, and the content byte for byte (RULES.md §3)."""

import re
from dataclasses import dataclass

from nlparse.names import blanks
from nlparse.vocabulary import Vocabulary

_PAIRS = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"))
_LONE_COLON = re.compile(r"\s+[:：](?=\s|$)")
_STUCK = re.compile(r"[:：]|\s*[–—]|\s+--?(?=\s|$)")
_COMMA = re.compile(r",(?=\s|$)")
_WORD = re.compile(r"[^\s:：,]+")

_UNIT = r"(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|days?|weeks?|months?|years?)"
_SMALL = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_AMOUNT = rf"(?:\d+(?:\.\d+)?|an?|{_SMALL}|fifteen|twenty|thirty|half\s+an?|a\s+few|a\s+couple\s+of)"
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_PART = r"(?:morning|afternoon|evening|night|noon|midnight|lunch|lunchtime|eod)"
_CLOCK = rf"(?:\d{{1,2}}(?:[:.]\d{{2}})?\s*(?:[ap]\.?m\.?|o'?clock|h)?|noon|midnight|lunch|lunchtime|{_SMALL})"
_ONE_TIME = (
    rf"(?:in\s+{_AMOUNT}\s*{_UNIT}|at\s+{_CLOCK}|(?:every|each)\s+(?:{_AMOUNT}\s+)?{_UNIT}|(?:on|next|this|every|by)\s+{_DAY}|"
    rf"(?:this|tomorrow|every|in\s+the)\s+{_PART}|next\s+(?:week|month|year|time)|(?:today|tomorrow|tonight|later|soon|now|asap|"
    rf"right\s+now|right\s+away|immediately|daily|hourly|{_DAY}|by\s+(?:tomorrow|tonight|{_CLOCK})))"
)
_TIME = re.compile(
    rf"(?:{_ONE_TIME})(?:\s+(?:{_ONE_TIME})){{0,3}}(?=$|[\s.!?,])[.!?]*(?P<rest>\s*$|\s+(?:to|about|that)\b)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Content:
    """The text of a message and what stood before it."""

    text: str
    start: int
    end: int
    explicit: bool
    """A colon, a dash, quotes around all of it, or ``saying`` set it off."""
    hard: bool
    """A colon or dash did."""
    quoted: bool
    punctuated: bool
    """Any punctuation did, a comma too."""


def hard_separator(text: str, at: int) -> int | None:
    """The offset after a colon or dash that stands right after ``at``, or None."""
    for pattern in (_STUCK, _LONE_COLON):
        found = pattern.match(text, at)
        if found:
            return found.end()
    return None


def read_content(text: str, at: int, vocabulary: Vocabulary, *, drop: bool = True) -> Content | None:
    """The content that begins at ``at``, right after recipients or a verb; None if there is none."""
    start = hard_separator(text, at)
    hard, comma, saying = start is not None, False, False
    if start is None:
        found = _COMMA.match(text, at)
        comma, start = found is not None, found.end() if found else at
    if start == at and at < len(text) and not text[at].isspace():
        return None
    start = blanks(text, start)
    if drop and not hard and not comma:
        start, saying = _introduced(text, start, vocabulary)
    end = len(text.rstrip())
    if start >= end:
        return None
    body, quoted = unquote(text[start:end])
    if not body:
        return None
    return Content(body, start, end, hard or quoted or saying, hard, quoted, hard or comma)


def _introduced(text: str, at: int, vocabulary: Vocabulary) -> tuple[int, bool]:
    """After one leading ``that``, ``saying`` or ``saying that``, and a colon or comma attached to it."""
    for phrase in vocabulary.introducers:
        place, found = at, None
        for word in phrase.split():
            found = _WORD.match(text, place)
            if found is None or found[0].lower() != word:
                found = None
                break
            place = blanks(text, found.end())
        if found is None:
            continue
        end = found.end()
        if text[end : end + 1] in (":", "：", ","):
            end += 1
        elif end < len(text) and not text[end].isspace():
            continue
        return blanks(text, end), phrase.startswith("saying")
    return at, False


def unquote(body: str) -> tuple[str, bool]:
    """Without one wrapping pair of quotes, if neither mark occurs inside; (text, whether a pair was dropped)."""
    for opening, closing in _PAIRS:
        if len(body) >= 2 and body.startswith(opening) and body.endswith(closing):
            inner = body[1:-1]
            if opening not in inner and closing not in inner:
                return inner, True
    return body, False


def is_deferred(content: Content, vocabulary: Vocabulary, *, asking: bool) -> bool:
    """A job for later is no message: content that begins with a condition, or is only a time."""
    if content.punctuated or content.quoted:
        return False
    head = content.text[:200].lower()
    words = head.split(None, 3)
    if not asking:
        for phrase in vocabulary.deferring:
            if " " in phrase:
                if words[:3] == phrase.split():
                    return True
            elif words and words[0].rstrip(",.!?:") in phrase.split("|"):
                return True
    return _TIME.match(content.text[:200]) is not None
