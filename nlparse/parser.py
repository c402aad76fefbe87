"""``parse``: the text, the intents one after the other, and the question where a send was likely meant.

Each reader below takes the text from where the command begins and returns a command or None; the first that reads it
wins. The exact reading of all comes before the first fuzzy one (RULES.md §8).
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib import resources

from nlparse import commands as c
from nlparse.content import Content, is_deferred, read_content, unquote
from nlparse.names import Directory, Name, blanks, read_name, read_names
from nlparse.tokens import Matcher, Spelling, tokenize
from nlparse.vocabulary import Vocabulary

DEFAULT = Vocabulary()
_BAD_START = re.compile(r"(?:(?:and|or|then|but)\b|[&+])", re.IGNORECASE)
_LABEL_LINE = re.compile(r"\n[ \t]*[A-Za-z][A-Za-z0-9_-]*:(?=\s|$)")
_TOKEN = re.compile(r"\S+")
_FILE_END = re.compile(r"\.[A-Za-z0-9]{1,8}$")


@lru_cache(maxsize=1)
def _ordinary_words() -> frozenset[str]:
    return frozenset(resources.files("nlparse").joinpath("ordinary.txt").read_text(encoding="utf-8").split())


class Reading:
    """One reading of a text: exact, or with typing errors allowed."""

    def __init__(
        self, text: str, me: str | None, directory: Directory, last_from: str | None, vocabulary: Vocabulary, fuzzy: bool
    ) -> None:
        self.text = text
        self.me = me
        self.directory = directory
        self.last_from = last_from
        self.words = vocabulary
        self.fuzzy = fuzzy
        spelling = Spelling(_ordinary_words() | frozenset(vocabulary.ordinary)) if fuzzy else None
        self.tokens = tokenize(text)
        self.match = Matcher(self.tokens, spelling)
        self.plain = Matcher(self.tokens)
        self.maybe: c.Command | None = None
        """A send that only lacked a registered name or a separator."""
        self.begin = self._skip_politeness()

    def _skip_politeness(self) -> int:
        at, again = 0, True
        while again and at < len(self.tokens):
            again = False
            token = self.tokens[at]
            if self.me and token.word == self.me.lower() and token.tail == ",":
                at, again = at + 1, True
                continue
            end = self._greeting(at) or self._opener(at)
            if end is not None:
                at, again = end, True
        return at

    def _opener(self, at: int) -> int | None:
        for phrase in self.words.openers:
            for end in self.plain.ends(phrase, at):
                if self.tokens[end - 1].tail in ("", ",") and end < len(self.tokens):
                    return end
        return None

    def _greeting(self, at: int) -> int | None:
        for phrase in self.words.greetings:
            for end in self.plain.ends(phrase, at):
                if self.tokens[end - 1].tail not in ("", ",", "!"):
                    continue
                if end < len(self.tokens) and self.tokens[end].tail == "," and self.tokens[end - 1].tail == "":
                    name = read_name(self.text, self.tokens[end].start, self.directory)
                    if name is not None and self.text.startswith(",", name.end):
                        return end + 1
                return end
        return None

    # helpers

    def offset(self, index: int) -> int:
        """Where token ``index`` begins, or the end of the text."""
        return self.tokens[index].start if index < len(self.tokens) else len(self.text)

    def after(self, index: int) -> int:
        """Just after the word of token ``index - 1``, before punctuation attached to it."""
        token = self.tokens[index - 1]
        return token.end - len(token.tail)

    def whole(self, phrases: tuple[str, ...], at: int | None = None) -> bool:
        """True if a phrase is all of the command, closers and closing punctuation apart."""
        start = self.begin if at is None else at
        return any(self.only_closers(end) for phrase in phrases for end in self.match.ends(phrase, start))

    def only_closers(self, at: int) -> bool:
        if (
            at > self.begin
            and any(t in ",:：" for t in self.tokens[at - 1].tail)
            and not (at < len(self.tokens) and self.tokens[at - 1].tail == ",")
        ):
            return False
        while at < len(self.tokens):
            end = self._closer(at, self.words.closers)
            if end is None:
                return False
            at = end
        return True

    def _closer(self, at: int, phrases: tuple[str, ...]) -> int | None:
        for phrase in phrases:
            for end in self.plain.ends(phrase, at):
                if not set(self.tokens[end - 1].tail) & set(":："):
                    return end
        return None

    def read_tail_names(self, start: int, *, closers: bool = True) -> list[Name] | None:
        """Names that are all of the rest of the text."""
        names = read_names(self.text, start, self.directory)
        if not names:
            return None
        rest = self.text[names[-1].end :].strip()
        if closers:
            rest = (
                re.sub(r"^[,\s]*(?:please|pls|plz|thanks|thank you)\b", "", rest, flags=re.IGNORECASE)
                if len(rest) < 40
                else rest
            )
        return names if not rest.strip(".!? ") else None


Reader = Callable[[Reading], "c.Command | None"]


def texts(names: Iterable[Name]) -> tuple[str, ...]:
    return tuple(n.text for n in names)


# send and broadcast


def make_send(r: Reading, names: list[Name], content: Content) -> c.Command:
    to = texts(names)
    hint = r.directory.suggestion(to)
    spans = {"to": (names[0].start, names[-1].end), "content": (content.start, content.end)}
    return c.Send(to=to, content=content.text, did_you_mean=hint, spans=spans, confidence=0.7 if hint or r.fuzzy else 1.0)


def addressed(
    r: Reading, at: int, *, noun: bool, asking: bool = False, colon: bool = False, tail: str = ""
) -> c.Command | None:
    """Recipients, perhaps a closing phrase (``know``), separator and content, from offset ``at``."""
    broadcast = to_audience(r, at, asking=asking, colon=colon, tail=tail)
    if broadcast is not None:
        return broadcast
    names = read_names(r.text, at, r.directory)
    if not names:
        return None
    registered = names[:1] if r.directory.registered(names[0].text) else []
    for name in names[1:]:
        if not registered or not r.directory.registered(name.text):
            break
        registered.append(name)
    for some in (names, registered):
        if not some:
            continue
        at_end = _after_tail(r, some[-1].end, tail)
        if at_end is None:
            continue
        content = read_content(r.text, at_end, r.words)
        if content is None:
            continue
        if some is names and content.hard:
            break
        if len(some) == 1 and some is names and not registered and content.explicit:
            break
        if some is registered:
            break
    else:
        content = read_content(r.text, names[0].end, r.words) if not tail else None
        if content is not None and not colon and not is_deferred(content, r.words, asking=asking):
            r.maybe = r.maybe or make_send(r, names[:1], content)
        return None
    if colon and not content.hard:
        return None
    sure = r.directory.registered(some[0].text)
    if _BAD_START.match(content.text) and not content.punctuated and not content.quoted:
        return None
    if is_deferred(content, r.words, asking=asking):
        return None
    command = make_send(r, some, content)
    if not sure and (noun or r.fuzzy or not content.explicit):
        r.maybe = r.maybe or command
        return None
    return command


def _after_tail(r: Reading, end: int, tail: str) -> int | None:
    """The offset after the closing phrase that follows the names; None if it does not."""
    if not tail:
        return end
    if not r.text[end : end + 1].isspace():
        return None
    at = next((i for i, t in enumerate(r.tokens) if t.start >= end), None)
    if at is None:
        return None
    for done in r.match.ends(tail, at):
        return r.after(done)
    return None


def to_audience(r: Reading, at: int, *, asking: bool, colon: bool = False, tail: str = "") -> c.Command | None:
    """``everyone`` and its like in place of names."""
    index = next((i for i, t in enumerate(r.tokens) if t.start >= at), None)
    if index is None or r.directory.exact(r.tokens[index].word):
        return None
    places: list[tuple[int, bool]] = []
    if r.tokens[index].word in ("@all", "@everyone", "@everybody"):
        places.append((index + 1, False))
    places += [(end, False) for phrase in r.words.audiences for end in r.plain.ends(phrase, index)]
    places += [(end, True) for phrase in r.words.bare_all for end in r.plain.ends(phrase, index)]
    for end, bare in places:
        start = _after_tail(r, r.after(end), tail)
        if start is None:
            continue
        content = read_content(r.text, start, r.words)
        if content is None or (bare and not content.punctuated) or (colon and not content.hard):
            continue
        if _BAD_START.match(content.text) and not content.punctuated and not content.quoted:
            return None
        if is_deferred(content, r.words, asking=asking):
            return None
        return c.Broadcast(content=content.text, spans={"content": (content.start, content.end)})
    return None


def read_send(r: Reading) -> c.Command | None:
    for verbs, noun in ((r.words.send_verbs, False), (r.words.noun_verbs, True)):
        for verb in verbs:
            for end in r.match.ends(verb, r.begin):
                if r.tokens[end - 1].tail:
                    continue
                found = addressed(r, r.offset(end), noun=noun, asking=verb in r.words.asking)
                if found is not None:
                    return found
    for phrase in r.words.send_to:
        for end in r.match.ends(phrase, r.begin):
            found = addressed(r, r.offset(end), noun=False) if not r.tokens[end - 1].tail else None
            if found is not None:
                return found
    for verb, tail in r.words.send_around:
        for end in r.match.ends(verb, r.begin):
            found = addressed(r, r.offset(end), noun=False, tail=tail) if not r.tokens[end - 1].tail else None
            if found is not None:
                return found
    for phrase in r.words.send_colon:
        for end in r.match.ends(phrase, r.begin):
            found = addressed(r, r.offset(end), noun=False, colon=True) if not r.tokens[end - 1].tail else None
            if found is not None:
                return found
    return None


def read_text_first(r: Reading) -> c.Command | None:
    """``say CONTENT to NAME`` and ``send "CONTENT" to NAME``."""
    if r.begin + 3 > len(r.tokens):
        return None
    verb = r.tokens[r.begin].word
    if verb not in ("say", "send") or r.tokens[r.begin].tail:
        return None
    start = r.offset(r.begin + 1)
    cut = _last_to(r.text, start)
    if cut is None:
        return None
    body, quoted = unquote(r.text[start : cut[0]].strip())
    if not body or (verb == "send" and not quoted):
        return None
    content = Content(body, start, cut[0], True, False, quoted, False)
    tail = r.text[cut[1] :].strip().rstrip(".!?").lower()
    if tail in ("everyone", "everybody", "everyone else", "all", "the team", "the whole team", "@all", "@everyone"):
        return c.Broadcast(content=body, spans={"content": (start, cut[0])})
    names = r.read_tail_names(cut[1], closers=False)
    if names is None or not all(r.directory.registered(n.text) for n in names):
        return None
    return make_send(r, names, content)


def _last_to(text: str, start: int) -> tuple[int, int] | None:
    """(end of what stands before, start of what stands after) the last word ``to`` in the text's end."""
    at = len(text)
    low = text.lower() if text.isascii() else "".join(ch.lower() if len(ch.lower()) == 1 else ch for ch in text)
    while (at := low.rfind("to", start, at)) > start:
        if low[at - 1].isspace() and at + 2 < len(text) and low[at + 2].isspace():
            return at, blanks(text, at + 2)
    return None


def read_broadcast(r: Reading) -> c.Command | None:
    for phrase in r.words.broadcast_verbs:
        for end in r.match.ends(phrase, r.begin):
            if not r.tokens[end - 1].tail and end < len(r.tokens) and r.tokens[end].word == "to":
                found = to_audience(r, r.offset(end + 1), asking=False)
                if found is not None:
                    return found
            content = read_content(r.text, r.after(end), r.words)
            if content is None or is_deferred(content, r.words, asking=False):
                continue
            introduced = content.start > blanks(r.text, r.after(end))
            if content.explicit or content.punctuated or introduced:
                return c.Broadcast(content=content.text, spans={"content": (content.start, content.end)})
    return None


def read_short(r: Reading) -> c.Command | None:
    """``fred: text`` and ``@fred text``: registered names other than one's own."""
    start = r.offset(r.begin)
    if r.text.startswith("@", start):
        broadcast = to_audience(r, start, asking=False) if r.tokens[r.begin].word in ("@all", "@everyone") else None
        if broadcast is not None:
            return broadcast
    name = read_name(r.text, start, r.directory)
    if name is None or not _short_name(r, name.text) or _LABEL_LINE.search(r.text, name.end):
        return None
    if not r.text.startswith("@", start) and not re.match(r"[:：]", r.text[name.end : name.end + 1]):
        return None
    content = read_content(r.text, name.end, r.words)
    if content is None or is_deferred(content, r.words, asking=False):
        return None
    if _BAD_START.match(content.text) and not content.punctuated and not content.quoted:
        return None
    return make_send(r, [name], content)


def _short_name(r: Reading, name: str) -> bool:
    low = name.lower()
    return r.directory.exact(name) and low != (r.me or "").lower() and low not in r.words.not_short


# reply, forward, share


def read_reply(r: Reading) -> c.Command | None:
    for verb in r.words.reply_verbs:
        for end in r.match.ends(verb, r.begin):
            if not r.tokens[end - 1].tail and end < len(r.tokens) and r.tokens[end].word == "to":
                found = addressed(r, r.offset(end + 1), noun=False)
                if found is not None and isinstance(found, c.Send):
                    return found
            places = [] if r.tokens[end - 1].tail else [e for p in r.words.reply_to for e in r.plain.ends(p, end)]
            for place in (*places, end):
                found = _replied(r, place)
                if found is not None:
                    return found
    return _bare_reply(r)


def _replied(r: Reading, place: int) -> c.Command | None:
    if place < len(r.tokens) and not r.tokens[place - 1].tail and r.tokens[place].word == "with":
        content = read_content(r.text, r.after(place + 1), r.words, drop=False)
        if content is None or not (content.hard or content.quoted):
            return None
    else:
        content = read_content(r.text, r.after(place), r.words)
        if content is None or is_deferred(content, r.words, asking=False):
            return None
        introduced = content.start > blanks(r.text, r.after(place))
        if not (content.explicit or content.punctuated or introduced):
            return None
    return c.Reply(content=content.text, spans={"content": (content.start, content.end)})


def _bare_reply(r: Reading) -> c.Command | None:
    if r.last_from is None:
        return None
    for phrase in r.words.bare_reply:
        for end in r.match.ends(phrase, r.begin):
            if r.tokens[end - 1].tail or end >= len(r.tokens):
                continue
            content = read_content(r.text, r.after(end), r.words)
            first = r.tokens[end].word
            if (
                content is None
                or first in r.words.not_replies
                or first in ("with", "to")
                or is_deferred(content, r.words, asking=False)
            ):
                continue
            return c.Reply(content=content.text, spans={"content": (content.start, content.end)})
    return None


def read_forward(r: Reading) -> c.Command | None:
    for phrase in r.words.forward_verbs:
        for end in r.match.ends(phrase, r.begin):
            names = r.read_tail_names(r.offset(end)) if not r.tokens[end - 1].tail and end < len(r.tokens) else None
            if names:
                to = texts(names)
                return c.Forward(to=to, did_you_mean=r.directory.suggestion(to), spans={"to": (names[0].start, names[-1].end)})
    return None


def read_share(r: Reading) -> c.Command | None:
    for phrase in r.words.share_verbs:
        for end in r.match.ends(phrase, r.begin):
            if r.tokens[end - 1].tail or end >= len(r.tokens):
                continue
            any_name = r.match.first(r.words.share_any, r.begin) == end
            found = _path_first(r, end, any_name) or _names_first(r, end, any_name)
            if found is not None:
                return found
    return None


def _path_first(r: Reading, at: int, any_name: bool) -> c.Command | None:
    for phrase in ("(the) file (at)", "(the)"):
        for end in r.plain.ends(phrase, at):
            if end >= len(r.tokens) or (end > at and r.tokens[end - 1].tail):
                continue
            path = read_path(r.text, r.offset(end), named=phrase.endswith("file (at)"))
            if path is None:
                continue
            rest = next((i for i, t in enumerate(r.tokens) if t.start >= path[2]), None)
            if rest is None or r.tokens[rest].word not in ("with", "to") or r.tokens[rest].tail:
                continue
            names = r.read_tail_names(r.offset(rest + 1))
            if names and (any_name or all(r.directory.registered(n.text) for n in names)):
                return _shared(r, names, path)
    return None


def _names_first(r: Reading, at: int, any_name: bool) -> c.Command | None:
    names = read_names(r.text, r.offset(at), r.directory)
    while names:
        index = next((i for i, t in enumerate(r.tokens) if t.start >= names[-1].end), None)
        if index is not None and (any_name or all(r.directory.registered(n.text) for n in names)):
            for phrase in ("(the) file (at)", "(the)"):
                for end in r.plain.ends(phrase, index):
                    path = read_path(r.text, r.offset(end), named=phrase.endswith("file (at)")) if end < len(r.tokens) else None
                    at_end = next((i for i, t in enumerate(r.tokens) if t.start >= path[2]), len(r.tokens)) if path else 0
                    if path and r.only_closers(at_end):
                        return _shared(r, names, path)
        names = names[:-1]
    return None


def _shared(r: Reading, names: list[Name], path: tuple[str, int, int]) -> c.Command:
    to = texts(names)
    spans = {"to": (names[0].start, names[-1].end), "path": (path[1], path[2])}
    return c.ShareFile(to=to, path=path[0], did_you_mean=r.directory.suggestion(to), spans=spans)


def read_path(text: str, at: int, *, named: bool) -> tuple[str, int, int] | None:
    """(path, start, end): one token or quoted; without the word ``file`` it must look like a path."""
    for opening, closing in (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("`", "`")):
        if text.startswith(opening, at):
            end = text.find(closing, at + 1)
            inner = text[at + 1 : end] if end > 0 else ""
            return (inner, at, end + 1) if inner and (named or _looks_like_path(inner)) else None
    found = _TOKEN.match(text, at)
    end = found.end() if found else at
    token = text[at:end]
    if end == len(text.rstrip()):
        token = token.rstrip("!?").removesuffix(".")
    if not token or (not named and not _looks_like_path(token)) or (named and token.lower() in ("with", "to")):
        return None
    return token, at, at + len(token)


def _looks_like_path(token: str) -> bool:
    return "/" in token or "\\" in token or _FILE_END.search(token) is not None


# names of one's own


def _own_name(r: Reading, at: int, closers: tuple[str, ...] = ()) -> Name | None:
    """A name that is all of the rest, closing words apart."""
    if at >= len(r.tokens):
        return None
    name = read_name(r.text, r.offset(at), r.directory)
    if name is None or name.text.lower() in r.words.never_names:
        return None
    end = at + 1
    if set(r.tokens[at].tail) & set(":：") or r.tokens[at].end - len(r.tokens[at].tail) > name.end:
        return None
    while end < len(r.tokens):
        after = r._closer(end, (*closers, *r.words.closers))
        if after is None:
            return None
        end = after
    return name


def read_register(r: Reading) -> c.Command | None:
    for phrase in r.words.register:
        for end in r.match.ends(phrase, r.begin):
            name = _own_name(r, end) if not r.tokens[end - 1].tail else None
            if name:
                return c.Register(name=name.text, spans={"name": (name.start, name.end)})
    bare = r.match.first(r.words.register_bare, r.begin)
    if bare is not None and bare == len(r.tokens) - 1:
        name = _own_name(r, bare)
        if name:
            return c.Register(name=name.text, spans={"name": (name.start, name.end)})
    return None


def read_rename(r: Reading) -> c.Command | None:
    for phrase in r.words.rename:
        for end in r.match.ends(phrase, r.begin):
            name = _own_name(r, end) if not r.tokens[end - 1].tail else None
            if name:
                return c.Rename(name=name.text, spans={"name": (name.start, name.end)})
    bare = r.match.first(r.words.rename_old, r.begin)
    if bare is not None and r.me and bare + 2 < len(r.tokens) and r.tokens[bare + 1].word == "to":
        old = read_name(r.text, r.offset(bare), r.directory)
        name = _own_name(r, bare + 2)
        if old and name and old.text.lower() == r.me.lower():
            return c.Rename(name=name.text, spans={"name": (name.start, name.end)})
    return None


def read_self_naming(r: Reading) -> c.Command | None:
    for phrase in r.words.self_naming:
        for start in {r.begin, 0}:
            for end in r.match.ends(phrase, start):
                name = _own_name(r, end, r.words.self_naming_closers) if not r.tokens[end - 1].tail else None
                if name and name.text.lower() not in r.words.not_self_names:
                    kind = c.Register if r.me is None else c.Rename
                    return kind(name=name.text, spans={"name": (name.start, name.end)})
    return None


# commands without content


def read_plain(r: Reading) -> c.Command | None:
    for phrases, kind in (
        (r.words.whoami, c.Whoami),
        (r.words.help, c.Help),
        (r.words.auto_stop, c.AutocheckStop),
        (r.words.auto_status, c.AutocheckStatus),
        (r.words.check, c.Check),
        (r.words.list, c.ListInstances),
    ):
        if r.whole(phrases):
            return kind()
    return _name_online(r)


def _name_online(r: Reading) -> c.Command | None:
    for verb, tail in r.words.is_name_online:
        end = r.match.first((verb,), r.begin)
        name = read_name(r.text, r.offset(end), r.directory) if end is not None and end < len(r.tokens) else None
        if end is not None and name is not None and r.directory.exact(name.text) and r.whole((tail,), end + 1):
            return c.ListInstances()
    return None


def read_autocheck(r: Reading) -> c.Command | None:
    for phrases, needed in ((r.words.auto_start, False), (r.words.auto_start_messages, True)):
        for phrase in phrases:
            for end in r.match.ends(phrase, r.begin):
                if end == len(r.tokens) and r.tokens[end - 1].tail.strip(".!?"):
                    continue
                if not needed and r.only_closers(end):
                    return c.AutocheckStart(minutes=5)
                minutes = read_interval(r, end, bare=not needed)
                if minutes is not None:
                    return c.AutocheckStart(minutes=minutes)
    return None


def read_interval(r: Reading, at: int, *, bare: bool) -> int | None:
    """Whole minutes from 1 to 60 of ``every N minutes`` and its like, if they are all of the rest."""
    starts = [e for p in r.words.interval for e in r.plain.ends(p, at)]
    if bare:
        starts.append(at)
    for start in sorted(set(starts), reverse=True):
        for minutes, end in _amounts(r, start):
            if 1 <= minutes <= 60 and r.only_closers(end):
                return minutes
    return None


def _amounts(r: Reading, at: int) -> list[tuple[int, int]]:
    """(minutes, token after) of each way to read an amount of time."""
    found = []
    for phrase, minutes in (
        ("half (an) hour", 30),
        ("half_an hour", 30),
        ("(an) hour", 60),
        ("minute", 1),
        ("other minute", 2),
    ):
        found += [(minutes, end) for end in r.plain.ends(phrase, at)]
    numbers = dict(r.words.number_words)
    if at >= len(r.tokens):
        return found
    word = r.tokens[at].word
    stuck = re.fullmatch(r"(\d{1,4})-?(m|min|mins|minutes?)?", word)
    tens, _, units = word.partition("-")
    value: int | None = None
    if stuck:
        value = int(stuck[1])
    elif word in numbers:
        value = numbers[word]
    elif tens in numbers and units in numbers and numbers[tens] >= 20 > numbers[units]:
        value = numbers[tens] + numbers[units]
    if value is None:
        return found
    end = at + 1
    if value >= 20 and not stuck and end < len(r.tokens) and 0 < numbers.get(r.tokens[end].word, 0) < 10:
        value, end = value + numbers[r.tokens[end].word], end + 1
    units_phrase = "minute|minutes|min|mins|m (interval|intervals)"
    found += [(value, e) for e in r.match.ends(units_phrase, end)]
    if word not in ("a", "an"):
        found.append((value, end))
        found += [(value * 60, e) for e in r.plain.ends("hour|hours", end)]
    return found


READERS: tuple[Reader, ...] = (
    read_short,
    read_self_naming,
    read_plain,
    read_autocheck,
    read_register,
    read_rename,
    read_forward,
    read_share,
    read_reply,
    read_broadcast,
    read_send,
    read_text_first,
)
FUZZY_READERS = tuple(reader for reader in READERS if reader not in (read_short, read_text_first))


def parse(
    text: str,
    *,
    me: str | None = None,
    known: Iterable[str] = (),
    last_from: str | None = None,
    vocabulary: Vocabulary = DEFAULT,
) -> c.Command:
    """The command that a text is, or ``Unknown``; never raises for any text.

    ``me`` is the caller's name, ``known`` the registered names, ``last_from`` who wrote to the caller last. When in doubt the
    answer is Unknown; where a send was likely meant, ``question`` says what to ask back.
    """
    directory = Directory(known, vocabulary)
    body = text.strip()
    shift = len(text) - len(text.lstrip())
    maybe: c.Command | None = None
    for fuzzy, readers in ((False, READERS), (True, FUZZY_READERS)):
        reading = Reading(body, me, directory, last_from, vocabulary, fuzzy)
        if reading.begin >= len(reading.tokens):
            break
        for reader in readers:
            command = reader(reading)
            if command is not None:
                return _shifted(command, shift)
        maybe = maybe or reading.maybe
    if maybe is None:
        return c.Unknown(confidence=0.0)
    return c.Unknown(confidence=0.4, question=_question(maybe, directory))


def _shifted(command: c.Command, shift: int) -> c.Command:
    for slot, (start, end) in command.spans.items():
        command.spans[slot] = (start + shift, end + shift)
    return command


def _question(would_be: c.Command, directory: Directory) -> c.Question:
    to = would_be.slots()["to"]
    strangers = [name for name in to if not directory.exact(name)]
    verb = "isn't" if len(strangers) == 1 else "aren't"
    text = f"{', '.join(strangers)} {verb} registered. Send anyway?"
    return c.Question(text=text, would_be=would_be, candidates=tuple(directory.known.values()))
