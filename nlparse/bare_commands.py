"""Commands that need neither a name nor a text: check, list, whoami, help, and the end of a timer (RULES.md §6 and §7)."""

from nlparse import commands as c
from nlparse.names import read_name
from nlparse.reading import Reading

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
    return _is_online(r)


def _is_online(r: Reading) -> c.Command | None:
    for before, after in r.grammar.around["is_online"]:
        for end in r.open_ends(before, r.begin):
            name = read_name(r.text, r.offset(end), r.directory)
            if name is None or not r.directory.exact(name.text) or r.tokens[end].end != name.end:
                continue
            if any(r.only_closers(done) for done in r.ends(after, end + 1)):
                return c.ListInstances(confidence=0.9 if r.fuzzy else 1.0)
    return None
