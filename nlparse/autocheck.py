"""The start of checking on a timer, and how often (RULES.md §7)."""

import re
from collections.abc import Iterator

from nlparse import commands as c
from nlparse.reading import Reading

_DIGITS = re.compile(r"(\d{1,4})-?([a-z]*)")
DEFAULT_MINUTES = 5
MOST_MINUTES = 60


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


def _amounts(r: Reading, at: int) -> Iterator[tuple[int, int]]:
    """(minutes, token after) of each way to read an amount of time."""
    for part, minutes in (("half_hours", 30), ("hours", 60), ("one_minute", 1)):
        for end in r.ends(part, at):
            yield minutes, end
    number = _number(r, at)
    if number is None:
        return
    value, end, has_unit = number
    yield value, end
    if r.tokens[end - 1].tail:
        return
    for end_of_unit in [end] if has_unit else r.ends("minutes", end):
        yield value, end_of_unit
        for end_of_noun in r.next_ends("interval_nouns", end_of_unit):
            yield value, end_of_noun
    if not has_unit:
        for end_of_unit in r.ends("hours_after_number", end):
            yield value * 60, end_of_unit


def _number(r: Reading, at: int) -> tuple[int, int, bool] | None:
    """(value, token after, whether a unit was attached: ``5m``, ``five-minute``) of digits or number words."""
    if at >= len(r.tokens):
        return None
    numbers, units = r.grammar.numbers, r.grammar.parts["minutes"].words
    token = r.tokens[at]
    digits = _DIGITS.fullmatch(token.word)
    if digits:
        return (int(digits[1]), at + 1, bool(digits[2])) if not digits[2] or digits[2] in units else None
    first, dash, second = token.word.partition("-")
    if first not in numbers or (dash and second not in units and not _adds(numbers, first, second)):
        return None
    value = numbers[first]
    if dash:
        return (value, at + 1, True) if second in units else (value + numbers[second], at + 1, False)
    if at + 1 < len(r.tokens) and not token.tail and _adds(numbers, first, r.tokens[at + 1].word):
        return value + numbers[r.tokens[at + 1].word], at + 2, False
    return value, at + 1, False


def _adds(numbers: dict[str, int], tens: str, ones: str) -> bool:
    """True for ``twenty five``."""
    return numbers[tens] >= 20 and 1 <= numbers.get(ones, 0) <= 9
