"""Messages to everyone: ``tell everyone …``, ``broadcast: …`` (RULES.md §4)."""

import re
from collections.abc import Callable

from nlparse import commands as c
from nlparse.content import Content, is_code, is_deferred, is_value, read_content
from nlparse.phrases import Matcher
from nlparse.reading import Reading
from nlparse.tokens import tokenize

_GROUP = r"(?:team|group|channel|squad|room)\b"
_OTHER_GROUP = re.compile(rf"(?:in|on|from|of)\s+(?:the\s+)?(?:[\w-]+\s+){{0,2}}{_GROUP}", re.IGNORECASE)
_LONGEST_NARROWING = 40
"""Characters."""


def make_broadcast(r: Reading, content: Content) -> c.Broadcast | None:
    """None for what is code rather than a message (RULES.md §4)."""
    if is_code(content.text) or is_value(content.text):
        return None
    return c.Broadcast(content=content.text, spans={"content": content.span}, confidence=0.9 if r.fuzzy else 1.0)


def audience_ends(r: Reading, index: int) -> list[tuple[int, bool]]:
    """(token after, whether it is a bare ``all``) of each audience that begins at a token."""
    if index >= len(r.tokens) or r.directory.exact(r.tokens[index].word.removeprefix("@")):
        return []
    ends = [(end, False) for end in r.exact_ends("audiences", index)]
    return ends + [(end, True) for end in r.exact_ends("bare_all", index)]


def whole_audience(r: Reading, offset: int) -> bool:
    """True if an audience is all of the text from an offset on."""
    index = r.index_at(offset)
    return index is not None and any(not bare and r.only_closers(end) for end, bare in audience_ends(r, index))


def to_audience(
    r: Reading,
    at: int,
    *,
    asking: bool = False,
    colon: bool = False,
    misspelt: bool = False,
    mention: bool = False,
    place: Callable[[int], int | None] = lambda end: end,
) -> c.Command | None:
    """``everyone`` and its like in place of names. A misspelt verb is too little to reach everyone, unless ``misspelt``.
    After a ``mention``, as in ``@all who broke main``, a question may begin with ``who``."""
    index = r.index_at(at)
    if index is None or (r.fuzzy and not misspelt):
        return None
    for end, bare in audience_ends(r, index):
        start = place(r.after(end))
        content = read_content(r.text, start, r.grammar) if start is not None else None
        if content is None or (bare and not content.separator) or (colon and not content.hard):
            continue
        if content.joins or is_deferred(content, r.grammar, asking=asking):
            return None
        return None if _is_narrowed(r, content, end, asks=asking or mention) else make_broadcast(r, content)
    return None


def _is_narrowed(r: Reading, content: Content, audience_end: int, *, asks: bool) -> bool:
    """``tell the team lead …`` and ``tell everyone except fred …`` are for others than everyone."""
    if content.separator or content.quoted or content.introduced:
        return False
    words = tokenize(content.text[:_LONGEST_NARROWING])
    if len(words) > 1 and words[0].word in ("at", "in", "on") and words[1].word in r.directory.sites:
        return True
    head = Matcher(words)
    parts = ["narrowing"] if asks else ["narrowing", "whose"]
    if r.tokens[audience_end - 1].word == "team":
        parts.append("team_people")
    if any(True for part in parts for _ in head.ends(r.grammar.parts[part], 0)):
        return True
    return _OTHER_GROUP.match(content.text) is not None


def read_broadcast(r: Reading) -> c.Command | None:
    for end in r.ends("broadcast_verbs", r.begin):
        if r.tokens[end - 1].tail not in ("", ":", "：", ","):
            continue
        if not r.tokens[end - 1].tail and any(True for _ in r.exact_ends("towards", end)):
            found = to_audience(r, r.offset(end + 1), misspelt=True)
            if found is not None:
                return found
        content = read_content(r.text, r.after(end), r.grammar)
        if content is None or content.joins or is_deferred(content, r.grammar, asking=False):
            continue
        if content.set_off:
            return make_broadcast(r, content)
        r.asks = r.asks or make_broadcast(r, content)
    return None
