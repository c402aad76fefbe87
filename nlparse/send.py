"""Messages to names: ``tell fred hi``, ``let fred know that …``, ``fred: hi``, ``say hi to fred`` (RULES.md §2 and §3).

What denies a send is no command: "don't tell fred", "never message fred", "I told fred". A command must be the first word after
politeness (``Reading.may_begin``), and no word that denies begins one. "tell fred not to push" sends "not to push".
"""

import re
from collections.abc import Callable, Iterable
from itertools import takewhile

from nlparse import commands as c
from nlparse.audience import make_broadcast, to_audience, whole_audience
from nlparse.content import Content, is_code, is_deferred, is_type, read_content
from nlparse.names import Name, blanks, read_recipient
from nlparse.phrases import Part
from nlparse.reading import Reading

_LABEL_LINE = re.compile(r"\n[ \t]*@?[\w@*-]{1,66}[:：](?!//)")
_SPACED_COLON = re.compile(r"[:：](?=\s|$)|：")
_SPACED_TO = re.compile(r"(?<=\s)[^\s]+(?=\s)")
_HANGING = re.compile(r"(?:^|\s)(?:and|or|to|&|\+)$", re.IGNORECASE)
LONGEST_LIST = 4500
"""Characters at the end of a text in which ``to NAMES`` is looked for."""

Place = Callable[[int], int | None]
"""Where the separator would stand, given where the names end; None if the phrase does not go on there."""


def texts(names: Iterable[Name]) -> tuple[str, ...]:
    return tuple(n.text for n in names)


def make_send(r: Reading, names: list[Name], content: Content, *, asking: bool = False) -> c.Send:
    to = texts(names)
    hint = r.directory.suggestion(to)
    spans = {"to": (names[0].start, names[-1].end), "content": content.span}
    sure = _confidence(r, content, hint)
    return c.Send(to=to, content=content.text, asking=asking, did_you_mean=hint, spans=spans, confidence=sure)


def _confidence(r: Reading, content: Content, hint: str | None) -> float:
    """1 for a registered name and a separator, less for each thing that had to be guessed."""
    sure = 1.0 if content.set_off else 0.9
    return sure - (0.2 if hint else 0) - (0.1 if r.fuzzy else 0)


def read_send(r: Reading) -> c.Command | None:
    for verbs, registered_only in (("send_verbs", False), ("noun_verbs", True), ("send_to", False)):
        for end in r.open_ends(verbs, r.begin):
            asking = any(e == end for e in r.ends("asking", r.begin))
            found = addressed(r, r.offset(end), registered_only=registered_only, asking=asking)
            if found is not None:
                return found
    for before, after in r.grammar.around["send_around"]:
        for end in r.open_ends(before, r.begin):
            found = addressed(r, r.offset(end), place=_after(r, after))
            if found is not None:
                return found
    for part in ("send_colon", "noun_colon"):
        for end in r.open_ends(part, r.begin):
            found = addressed(r, r.offset(end), colon=True, registered_only=part == "noun_colon")
            if found is not None:
                return found
    return None


def _after(r: Reading, phrase: Part) -> Place:
    """The place after the second half of a phrase that stands around the names (``know``)."""

    def place(end: int) -> int | None:
        index = r.index_at(end) if r.text[end : end + 1].isspace() else None
        if index is None:
            return None
        return next((r.after(done) for done in r.ends(phrase, index)), None)

    return place


def _right_there(end: int) -> int:
    return end


def addressed(
    r: Reading,
    at: int,
    *,
    registered_only: bool = False,
    asking: bool = False,
    colon: bool = False,
    place: Place = _right_there,
) -> c.Command | None:
    """Recipients, separator and content from offset ``at``."""
    broadcast = to_audience(r, at, asking=asking, colon=colon, place=place)
    if broadcast is not None:
        return broadcast
    chain = r.names(at)
    if not chain:
        return None
    names, content = recipients(r, chain, place)
    if content is None:
        _note_what_lacks(r, chain, place)
        return None
    if is_deferred(content, r.grammar, asking=asking):
        return None
    command = make_send(r, names, content, asking=asking)
    if content.joins:
        if len(chain) > len(names):
            _ask_about_all(r, chain, place)
        return None
    if place is _right_there and begins_with_list(r, content):
        _ask_about_all(r, [*names, *r.names(content.span[0])], place)
        return None
    if _is_enough(r, names, content, colon=colon, registered_only=registered_only):
        return command
    r.asks = r.asks or (command if r.directory.registered(names[0].text) or not colon else None)
    return None


def _is_enough(r: Reading, names: list[Name], content: Content, *, colon: bool, registered_only: bool) -> bool:
    """Registered names, or an explicit separator after names of whom one is registered where the verb may be something else."""
    if colon and content.separator != ":" and not (content.hard and r.directory.exact(names[0].text)):
        return False
    if r.directory.registered(names[0].text):
        return True
    if registered_only or r.fuzzy or _is_other_work(r, names[0], content, colon):
        return content.explicit and any(r.directory.registered(name.text) for name in names)
    return content.explicit


def begins_with_list(r: Reading, content: Content) -> bool:
    """``tell fred maya and barney that …`` may be for all three: speech has no commas."""
    if content.separator or content.introduced or content.quoted:
        return False
    return [r.directory.registered(name.text) for name in r.names(content.span[0])[:2]] == [True, True]


def _note_what_lacks(r: Reading, chain: list[Name], place: Place) -> None:
    """``tell fred`` and ``msg fred:`` lack the text."""
    start = place(chain[-1].end)
    if start is None or r.text[start:].strip(" .!?:："):
        return
    if all(r.directory.exact(name.text) for name in chain):
        r.lacks = r.lacks or chain


def recipients(r: Reading, chain: list[Name], place: Place) -> tuple[list[Name], Content | None]:
    """Before a colon or dash every name counts; else the first, and further ones while they are registered."""
    start = place(chain[-1].end)
    content = read_content(r.text, start, r.grammar) if start is not None else None
    if content is not None and content.hard:
        return chain, content
    names = [chain[0], *takewhile(lambda name: r.directory.registered(name.text), chain[1:])]
    if len(names) < len(chain):
        start = place(names[-1].end)
        content = read_content(r.text, start, r.grammar) if start is not None else None
    return names, content


def _is_other_work(r: Reading, name: Name, content: Content, colon: bool) -> bool:
    """``write tests: …``, ``send report: …`` and ``tell application "…"`` speak of things, unless they are registered."""
    if colon:
        return content.separator != ":" or r.is_in("not_short", name.text) or r.is_in("work_words", name.text)
    return not content.separator and r.is_in("work_words", name.text)


def _ask_about_all(r: Reading, chain: list[Name], place: Place) -> None:
    start = place(chain[-1].end)
    content = read_content(r.text, start, r.grammar) if start is not None else None
    if content is not None and not content.joins and not is_deferred(content, r.grammar, asking=True):
        r.asks = r.asks or make_send(r, chain, content)


# text first


def read_text_first(r: Reading) -> c.Command | None:
    """``say CONTENT to NAMES`` and ``send "CONTENT" to NAMES``."""
    for part in ("say", "send_quoted"):
        for end in r.open_ends(part, r.begin):
            found = _text_then_names(r, r.offset(end), quotes_needed=part == "send_quoted")
            if found is not None:
                return found
    for end in r.open_ends("send_text", r.begin):
        r.asks = r.asks or (None if r.lacks else _text_then_names(r, r.offset(end), quotes_needed=False))
    return None


def _text_then_names(r: Reading, start: int, *, quotes_needed: bool) -> c.Command | None:
    cut = _last_towards(r, start)
    content = _said(r, start, cut[0], quotes_needed=quotes_needed) if cut is not None else None
    if cut is None or content is None:
        return None
    if whole_audience(r, cut[1]):
        return None if r.fuzzy else make_broadcast(r, content)
    names = r.names_to_end(cut[1])
    if not names or not all(r.directory.registered(name.text) for name in names[1:]):
        return None
    first = r.directory.registered(names[0].text) or (quotes_needed and not r.fuzzy)
    return make_send(r, names, content) if first else None


def _said(r: Reading, start: int, end: int, *, quotes_needed: bool) -> Content | None:
    content = read_content(r.text[:end], start - 1, r.grammar)
    if content is None or content.joins or (quotes_needed and not (content.quoted and content.span[0] == start + 1)):
        return None
    if not content.quoted and (_HANGING.search(content.text) or is_deferred(content, r.grammar, asking=False)):
        return None
    return content


def _last_towards(r: Reading, start: int) -> tuple[int, int] | None:
    """(end of what stands before, start of what stands after) the last word ``to``."""
    words = r.grammar.parts["towards"].words
    last = None
    for found in _SPACED_TO.finditer(r.text, max(start, len(r.text) - LONGEST_LIST)):
        if found[0].lower() in words:
            last = (found.start(), blanks(r.text, found.end()))
    return last


# short forms


def read_short(r: Reading) -> c.Command | None:
    """``fred: text`` and ``@fred text``, exactly registered names other than one's own."""
    start = r.offset(r.begin)
    at_sign = r.text.startswith("@", start)
    name = read_recipient(r.text, start, r.directory)
    if name is None or not _short_name(r, name.text):
        return to_audience(r, start, mention=True) if at_sign else None
    if not at_sign and not _SPACED_COLON.match(r.text, name.end):
        return None
    if _LABEL_LINE.search(r.text, name.end):
        return None
    content = read_content(r.text, name.end, r.grammar)
    if content is None or content.joins or is_deferred(content, r.grammar, asking=False):
        return None
    if content.text.startswith("@") and not content.separator:
        return None  # two mentions: not clear to whom
    if is_code(content.text) or is_type(content.text, one_word=True) or begins_with_list(r, content):
        return None
    return make_send(r, [name], content)


def _short_name(r: Reading, name: str) -> bool:
    return r.directory.exact(name) and name.lower() != (r.me or "").lower() and not r.is_in("not_short", name)
