"""Commands without content: check, list, whoami, help, and the checking on a timer (RULES.md §6 and §7)."""

import re

from nlparse import commands as c
from nlparse.names import read_name
from nlparse.reading import Reading

_DIGITS = re.compile(r"(\d{1,4})-?([a-z]*)")
DEFAULT_MINUTES = 5
MOST_MINUTES = 60

_PLAIN: tuple[tuple[str, type[c.Command]], ...] = (
    ("whoami", c.Whoami),
    ("help", c.Help),
    ("auto_stop", c.AutocheckStop),
    ("auto_status", c.AutocheckStatus),
    ("check", c.Check),
    ("list", c.ListInstances),
)


def read_plain(r: Reading) -> c.Command | None:
    for part, kind in _PLAIN:
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


def read_autocheck(r: Reading) -> c.Command | None:
    for end in r.ends("auto_start", r.begin):
        minutes = DEFAULT_MINUTES if r.only_closers(end) else _interval(r, end)
        if minutes is not None:
            return c.AutocheckStart(minutes=minutes)
    for end in r.open_ends("auto_start_every", r.begin):
        for start in r.ends("interval", end):
            minutes = _minutes(r, start)
            if minutes is not None:
                return c.AutocheckStart(minutes=minutes)
    return None


def _interval(r: Reading, at: int) -> int | None:
    """Whole minutes of ``every 5 minutes``, ``with a 5 minute interval`` or a bare ``5``, if they are all of the rest."""
    if at >= len(r.tokens) or r.tokens[at - 1].tail:
        return None
    for start in (*r.ends("interval", at), at):
        minutes = _minutes(r, start)
        if minutes is not None:
            return minutes
    return None


def _minutes(r: Reading, at: int) -> int | None:
    """Whole minutes from 1 to MOST_MINUTES that are all of the rest."""
    for minutes, end in _amounts(r, at):
        if 1 <= minutes <= MOST_MINUTES and r.only_closers(end):
            return minutes
    return None


def _amounts(r: Reading, at: int) -> list[tuple[int, int]]:
    """(minutes, token after) of each way to read an amount of time."""
    found = [
        (minutes, end) for part, minutes in (("half_hours", 30), ("hours", 60), ("one_minute", 1)) for end in r.ends(part, at)
    ]
    number = _number(r, at)
    if number is None:
        return found
    value, end, complete = number
    found.append((value, end))
    if not complete and not r.tokens[end - 1].tail:
        found += [(value, e) for e in r.ends("minutes", end)]
        found += [(value * 60, e) for e in r.exact_ends("hours_after_number", end)]
    elif complete and not r.tokens[end - 1].tail:
        found += [(value, end + 1)] if end < len(r.tokens) and r.tokens[end].word in ("interval", "intervals") else []
    return found


def _number(r: Reading, at: int) -> tuple[int, int, bool] | None:
    """(value, token after, whether the unit was attached to the number) of digits or number words."""
    if at >= len(r.tokens):
        return None
    word, numbers = r.tokens[at].word, r.grammar.numbers
    digits = _DIGITS.fullmatch(word)
    if digits:
        unit = digits[2]
        if unit and unit not in r.grammar.parts["minutes"].words:
            return None
        return int(digits[1]), at + 1, bool(unit)
    tens, dash, unit = word.partition("-")
    if tens not in numbers:
        return None
    value, end, complete = numbers[tens], at + 1, False
    if dash and numbers.get(unit, 10) < 10 and value >= 20:
        return value + numbers[unit], end, False
    if dash:
        if unit not in r.grammar.parts["minutes"].words:
            return None
        complete = True
    elif value >= 20 and end < len(r.tokens) and not r.tokens[at].tail and numbers.get(r.tokens[end].word, 10) < 10:
        value, end = value + numbers[r.tokens[end].word], end + 1
    return value, end, complete
