"""Names of instances: the rule, the reserved ones, and near-misses."""

import re
from collections.abc import Iterable

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)

SYSTEM = "system"
"""Sender of notices. Nobody can register it, so a notice can't be forged."""

BROADCAST = "all"
"""What a large message's file name says in place of a recipient when it went to everyone."""


def is_name(value: object) -> bool:
    """True for 1 to 32 ASCII letters, digits, hyphens or underscores."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def near_miss(typed: str, known: Iterable[str]) -> str | None:
    """The one known name that ``typed`` was probably meant to be, or None. A suggestion, never a correction.

    Case differs, or one edit (a swap of neighbours counts as one), two where both have seven letters or more. Names that
    differ only in digits (``worker-1``, ``worker-2``) are different agents, not typing errors.
    """
    best: tuple[int, str] | None = None
    tied = False
    for name in known:
        distance = _near_distance(typed.lower(), name.lower())
        if distance is None or name == typed:
            continue
        if best is None or distance < best[0]:
            best, tied = (distance, name), False
        elif distance == best[0]:
            tied = True
    return best[1] if best and not tied else None


def _near_distance(a: str, b: str) -> int | None:
    if a == b:
        return 0
    if min(len(a), len(b)) < 3 or _without_digits(a) == _without_digits(b):
        return None
    limit = 2 if min(len(a), len(b)) >= 7 else 1
    if abs(len(a) - len(b)) > limit:
        return None
    distance = _edit_distance(a, b)
    return distance if distance <= limit else None


def _without_digits(text: str) -> str:
    return "".join(c for c in text if not c.isdigit())


def _edit_distance(a: str, b: str) -> int:
    """Damerau-Levenshtein distance (optimal string alignment); names have 32 letters at most."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
