"""Names for oneself: ``register as fred``, ``rename to fred``, ``call me fred`` (RULES.md §6)."""

from nlparse import commands as c
from nlparse.names import Name, read_name
from nlparse.reading import Reading


def _make(r: Reading, kind: type[c.Register] | type[c.Rename], name: Name) -> c.Command:
    start = name.end - len(name.text) - name.quoted
    return kind(name=name.text, spans={"name": (start, start + len(name.text))}, confidence=0.9 if r.fuzzy else 1.0)


def read_register(r: Reading) -> c.Command | None:
    for end in r.ends("register", r.begin):
        name = r.own_name(end)
        if name:
            return _make(r, c.Register, name)
    for end in r.ends("register_bare", r.begin):
        name = r.own_name(end)
        if name and not r.is_in("not_self_names", name.text) and not r.is_in("not_registered", name.text):
            return _make(r, c.Register, name)
    return None


def read_rename(r: Reading) -> c.Command | None:
    for end in r.ends("rename", r.begin):
        name = r.own_name(end)
        if name:
            return _make(r, c.Rename, name)
    for end in r.open_ends("rename_old", r.begin):
        old = read_name(r.text, r.offset(end), r.directory)
        if old is None or r.me is None or old.text.lower() != r.me.lower():
            continue
        for to in r.exact_ends("towards", end + 1):
            name = r.own_name(to)
            if name:
                return _make(r, c.Rename, name)
    return None


def read_self_naming(r: Reading) -> c.Command | None:
    """It registers who has no name yet and renames who has one."""
    for end in r.ends("self_naming", r.begin):
        name = r.own_name(end, extra="self_naming_closers")
        if name and not r.is_in("not_self_names", name.text):
            return _make(r, c.Register if r.me is None else c.Rename, name)
    return None
