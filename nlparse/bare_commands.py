"""Commands without a text: check, list, whoami, help, the end of a timer, and a watch of an agent (RULES.md §6 and §7)."""

from nlparse import commands as c
from nlparse.names import Name, read_name
from nlparse.reading import Reading
from nlparse.vocabulary import WATCHED

_BARE: tuple[tuple[str, type[c.Command]], ...] = (
    ("whoami", c.Whoami),
    ("help", c.Help),
    ("auto_stop", c.AutocheckStop),
    ("auto_status", c.AutocheckStatus),
    ("check", c.Check),
    ("list", c.ListInstances),
)


def read_bare(r: Reading) -> c.Command | None:
    for part, kind in _BARE:
        if r.whole(part):
            return kind(confidence=0.9 if r.fuzzy else 1.0)
    if _name_in(r, "is_online") is not None:
        return c.ListInstances(confidence=0.9 if r.fuzzy else 1.0)
    for part, event in WATCHED.items():
        name = _name_in(r, part)
        if name is not None:
            start = name.end - len(name.text) - name.quoted
            spans = {"name": (start, start + len(name.text))}
            return c.WatchAgent(name=name.text, event=event, spans=spans, confidence=0.9 if r.fuzzy else 1.0)
    return None


def _name_in(r: Reading, part: str) -> Name | None:
    """The registered name about which a phrase of the part is all of the text."""
    for before, after in r.grammar.around[part]:
        for end in r.open_ends(before, r.begin):
            name = read_name(r.text, r.offset(end), r.directory)
            if name is None or not r.directory.exact(name.text) or r.tokens[end].end != name.end:
                continue
            if any(r.only_closers(done) for done in r.ends(after, end + 1)):
                return name
    return None
