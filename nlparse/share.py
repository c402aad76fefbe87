"""Files: ``share ./a.py with fred``, ``send fred the file Makefile`` (RULES.md §5)."""

import re
from typing import NamedTuple

from nlparse import commands as c
from nlparse.names import Name
from nlparse.reading import Reading
from nlparse.send import texts

_TOKEN = re.compile(r"\S+")
_FILE_END = re.compile(r"\.[0-9]*[A-Za-z][A-Za-z0-9]{0,7}$")
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("`", "`"))


class Path(NamedTuple):
    text: str
    start: int
    end: int
    quoted: bool


def read_share(r: Reading) -> c.Command | None:
    for end in r.open_ends("share_verbs", r.begin):
        any_name = not r.fuzzy and any(e == end for e in r.ends("share_any", r.begin))
        found = _path_first(r, end, any_name) or _names_first(r, end, any_name)
        if found is not None:
            return found
    return None


def _path_first(r: Reading, at: int, any_name: bool) -> c.Command | None:
    places = [(end, True) for end in r.ends("the_file", at)]
    places += [(end, False) for end in (*r.exact_ends("the_path", at), at)]
    for place, named in places:
        path = read_path(r.text, r.offset(place), named=named)
        if path is None or (not named and not any_name and _is_message(path)):
            continue
        index = r.index_at(path.end)
        if index is None or not r.text[path.end].isspace():
            continue
        for end in r.ends("share_with", index):
            names = r.names_to_end(r.offset(end)) if not r.tokens[end - 1].tail else None
            if names and _may_share(r, names, any_name):
                return _shared(r, names, path)
    return None


def _is_message(path: Path) -> bool:
    """What ``send "…" to fred`` quotes is a message unless it is plainly a path."""
    return path.quoted and ("://" in path.text or (" " in path.text and not _is_file_name(path.text)))


def _is_file_name(text: str) -> bool:
    return _FILE_END.search(text) is not None and len(text.split()) <= 3


def _names_first(r: Reading, at: int, any_name: bool) -> c.Command | None:
    names = r.names(r.offset(at))
    if not names or not _may_share(r, names, any_name):
        return None
    index = r.index_at(names[-1].end)
    if index is None or not r.text[names[-1].end].isspace():
        return None
    stop = r.stop()
    for place in r.ends("the_file", index):
        path = read_path(r.text, r.offset(place), named=True) if place < stop else None
        if path is None:
            continue
        rest = r.text[path.end : r.offset(stop)].strip()
        if not rest.strip(".!?" if stop == len(r.tokens) else ".!?,"):
            return _shared(r, names, path)
    return None


def _may_share(r: Reading, names: list[Name], any_name: bool) -> bool:
    return any_name or all(r.directory.registered(n.text) for n in names)


def _shared(r: Reading, names: list[Name], path: Path) -> c.Command:
    to = texts(names)
    hint = r.directory.suggestion(to)
    spans = {"to": (names[0].start, names[-1].end), "path": (path.start, path.end - 1 if path.quoted else path.end)}
    sure = 1.0 - (0.2 if hint else 0) - (0.1 if r.fuzzy else 0)
    return c.ShareFile(to=to, path=path.text, did_you_mean=hint, spans=spans, confidence=sure)


def read_path(text: str, at: int, *, named: bool) -> Path | None:
    """One token or quoted; without the word ``file`` before it, it must look like a path."""
    for opening, closing in _QUOTES:
        if text.startswith(opening, at):
            end = text.find(closing, at + 1)
            inner = text[at + 1 : end] if end > 0 else ""
            good = inner.strip() and (named or _looks_like_path(inner))
            return Path(inner, at + 1, end + 1, True) if good else None
    found = _TOKEN.match(text, at)
    if found is None:
        return None
    token = found[0].rstrip("!?,")
    if found.end() == len(text.rstrip()) or len(token) < len(found[0]):
        token = token.removesuffix(".") or token
    if token.lower() in ("with", "to", "at") or not (named or _looks_like_path(token)):
        return None
    return Path(token, at, at + len(token), False)


def _looks_like_path(token: str) -> bool:
    return "/" in token or "\\" in token or _FILE_END.search(token) is not None
