"""Answers to who wrote last, and his message passed on: ``reply: ok``, ``forward it to fred`` (RULES.md §5)."""

import re

from nlparse import commands as c
from nlparse.audience import audience_ends
from nlparse.content import Content, is_code, is_deferred, is_value, read_content
from nlparse.names import read_recipient
from nlparse.reading import Reading
from nlparse.send import make_send, recipients, texts

_NEXT_WORD = re.compile(r"\s++([^\s:：]++)")
_FIRST_WORD = re.compile(r"[\w-]{1,40}")


def read_reply(r: Reading) -> c.Command | None:
    for end in r.ends("reply_verbs", r.begin):
        if not r.tokens[end - 1].tail and any(True for _ in r.exact_ends("towards", end)):
            found = _to_names(r, r.offset(end + 1))
            if found is not None:
                return found
        places = [] if r.tokens[end - 1].tail else list(r.ends("reply_to", end))
        for place in (*places, end):
            content = _set_off(r, r.after(place))
            if content is not None:
                return _make_reply(r, content)
    return _bare_reply(r)


def _make_reply(r: Reading, content: Content) -> c.Reply | None:
    """None for what is code rather than a message (RULES.md §4)."""
    if is_code(content.text) or is_value(content.text):
        return None
    return c.Reply(content=content.text, spans={"content": content.span}, confidence=0.9 if r.fuzzy else 1.0)


def _set_off(r: Reading, at: int) -> Content | None:
    """Content after a separator, ``that``, ``saying`` or quotes, or after ``with`` and a colon or quotes."""
    word = _NEXT_WORD.match(r.text, at)
    if word and word[1].lower() in r.grammar.parts["reply_with"].words:
        content = read_content(r.text, word.end(), r.grammar, introduce=False)
        return content if content and (content.separator == ":" or (content.quoted and not content.separator)) else None
    content = read_content(r.text, at, r.grammar)
    if content is None or not content.set_off or content.joins or is_deferred(content, r.grammar, asking=False):
        return None
    if content.introduced and not content.quoted and _first_in(r, "not_answers", content.text):
        return None
    if content.separator == "," and r.fuzzy:
        return None  # ``Reston, VA`` is no misspelt ``respond``
    if content.separator == "," and content.text.rstrip(".!?").lower() in r.grammar.parts["closers"].words:
        return None  # ``answer, please``
    return content


def _first_in(r: Reading, part: str, text: str) -> bool:
    found = _FIRST_WORD.match(text)
    return found is not None and r.is_in(part, found[0])


def _to_names(r: Reading, at: int) -> c.Command | None:
    """``reply to fred: ok`` is a message to fred."""
    chain = r.names(at)
    if not chain:
        return None
    names, _ = recipients(r, chain, lambda end: end)
    content = _set_off(r, names[-1].end)
    if content is None:
        return None
    if not r.directory.registered(names[0].text) and (not content.explicit or r.fuzzy or r.is_in("work_words", names[0].text)):
        return None
    return make_send(r, names, content)


def _bare_reply(r: Reading) -> c.Command | None:
    if r.last_from is None or r.fuzzy:
        return None
    for end in r.open_ends("bare_reply", r.begin):
        content = read_content(r.text, r.after(end), r.grammar)
        if content is None or content.joins or is_deferred(content, r.grammar, asking=False):
            continue
        if r.is_in("not_replies", r.tokens[end].word) or _is_addressed(r, end) or _only_asks(r, end):
            continue
        if content.text.startswith("="):
            continue  # ``reply == source``
        return _make_reply(r, content)
    return None


def _only_asks(r: Reading, index: int) -> bool:
    """``reply please`` says nothing; ``reply thanks`` does."""
    return r.only_closers(index) and not r.tokens[index].word.startswith("thank")


def _is_addressed(r: Reading, index: int) -> bool:
    """``reply fred: ok`` and ``reply all: ok``: perhaps for them, perhaps for who wrote last."""
    if any(r.tokens[end - 1].tail[:1] == ":" for end, _ in audience_ends(r, index)):
        return True
    name = read_recipient(r.text, r.offset(index), r.directory)
    return name is not None and r.directory.registered(name.text) and r.text[name.end : name.end + 1] in (":", "：", ",")


def read_forward(r: Reading) -> c.Command | None:
    for end in r.open_ends("forward_verbs", r.begin):
        names = r.names_to_end(r.offset(end))
        if not names or (r.fuzzy and not r.directory.registered(names[0].text)):
            continue
        to = texts(names)
        hint = r.directory.suggestion(to)
        sure = 1.0 - (0.2 if hint else 0) - (0.1 if r.fuzzy else 0)
        return c.Forward(to=to, did_you_mean=hint, confidence=sure, spans={"to": (names[0].start, names[-1].end)})
    return None
