"""Whether two patterns have a name in common.

``?`` stands for one character and ``*`` for any number of them, none being ``/``; ``**`` stands for anything, ``/`` too, and
``dir/**`` includes ``dir`` itself. All else stands for itself, so a pattern without wild characters is a name. Not
only ``src/*`` and ``src/a.py`` overlap but ``src/*.py`` and ``src/a*`` too: both may mean ``src/ab.py``.

Theory of operation. A pattern is an automaton: one place before each of its parts, and one behind the last. The places that
many patterns can be in together are the bits of one integer, so one step of all of them is a few operations on integers.
The other pattern is read part by part: 512 characters against 200 patterns of 512 take some milliseconds, whatever they hold.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

_ANY, _SOME, _ONE = "**", "*", "?"
_PART = re.compile(r"\*\*|.", re.DOTALL)
_PLACES = "places"
"""Key of the mask that holds every place but the one behind the last part."""


def overlap(one: str, other: str) -> bool:
    """True if some name matches both."""
    return overlapping(one, (other,)) == [0]


def overlapping(pattern: str, others: Sequence[str]) -> list[int]:
    """Positions of those of ``others`` that have a name in common with the pattern."""
    head = _literal(pattern)
    if len(head) == len(pattern):
        near = [i for i, other in enumerate(others) if other == pattern or (_wild(other) and _may_meet(head, other))]
    else:
        near = [i for i, other in enumerate(others) if _may_meet(head, other)]
    return [near[i] for i in _walk(_parts(pattern), [_automaton(others[i]) for i in near])] if near else []


def _may_meet(head: str, other: str) -> bool:
    """Two names in common patterns begin alike as far as both say how; ``dir/**`` may end before its slash."""
    begin = _literal(other).removesuffix("/")
    return head.startswith(begin) or begin.startswith(head.removesuffix("/"))


@lru_cache(maxsize=8192)
def _literal(pattern: str) -> str:
    """What is before the first wild character."""
    ends = [at for wild in (_SOME, _ONE) if (at := pattern.find(wild)) >= 0]
    return pattern[: min(ends, default=len(pattern))]


def _wild(pattern: str) -> bool:
    return len(_literal(pattern)) < len(pattern)


def _parts(pattern: str) -> list[str]:
    """Characters, with ``**`` as one part."""
    return _PART.findall(pattern)


def _ends(parts: list[str]) -> list[int]:
    """Places where a name may end: behind the last part, and for ``dir/**`` behind ``dir`` too."""
    return [len(parts), len(parts) - 2] if len(parts) > 2 and parts[-2:] == ["/", _ANY] else [len(parts)]


def prepare(pattern: str) -> None:
    """Do once what every comparison with a pattern needs, when it is claimed and not when others ask."""
    _automaton(pattern)


class _Automaton:
    """One pattern: a mask of places for each part that it has, as bytes of one length."""

    __slots__ = ("ends", "masks", "nothing", "start")

    def __init__(self, parts: list[str]) -> None:
        size = len(parts) // 8 + 1
        masks: dict[str, int] = {_PLACES: (1 << len(parts)) - 1}
        for place, part in enumerate(parts):
            masks[part] = masks.get(part, 0) | 1 << place
        self.masks = {part: mask.to_bytes(size, "little") for part, mask in masks.items()}
        self.ends = sum(1 << end for end in _ends(parts)).to_bytes(size, "little")
        self.start = (1).to_bytes(size, "little")
        self.nothing = bytes(size)


@lru_cache(maxsize=4096)
def _automaton(pattern: str) -> _Automaton:
    return _Automaton(_parts(pattern))


def _walk(parts: list[str], automata: list[_Automaton]) -> list[int]:
    """Positions of the automata that reach an end where the parts do.

    ``now`` holds the places reached by names that the parts so far match. Within a step places only grow, so an automaton's
    bits never reach the next one's: the place behind the last part leads nowhere.
    """

    def joined(part: str) -> int:
        return int.from_bytes(b"".join([a.masks.get(part, a.nothing) for a in automata]), "little")

    some, one, any_ = joined(_SOME), joined(_ONE), joined(_ANY)
    places = joined(_PLACES)
    stars = some | any_  # places that may stand for nothing, or stay
    no_slash = places & ~joined("/")
    masks = {part: joined(part) for part in {*parts} - {_ANY, _SOME, _ONE}}
    ends = int.from_bytes(b"".join([a.ends for a in automata]), "little")
    accepted, found = _ends(parts), 0
    now = _flood(int.from_bytes(b"".join([a.start for a in automata]), "little"), stars)
    for at, part in enumerate(parts):
        if at in accepted:
            found |= now & ends
        if part == _ANY:
            now = _flood(now, places)
        elif part == _SOME:
            now = _flood(now, no_slash)
        else:
            meant = no_slash if part == _ONE else masks[part] | any_ | (some | one if part != "/" else 0)
            moved = now & meant
            now = _flood((moved & ~stars) << 1 | (moved & stars), stars)
        if not now:
            break
    else:
        found |= now & ends
    return _positions(found, automata)


def _flood(now: int, through: int) -> int:
    """The places, and those behind them as far as an unbroken run of ``through`` leads (the carry of one addition)."""
    return now | (((now & through) + through) ^ through)


def _positions(found: int, automata: list[_Automaton]) -> list[int]:
    raw, at, hit = found.to_bytes(sum(len(a.nothing) for a in automata), "little"), 0, []
    for position, automaton in enumerate(automata):
        size = len(automaton.nothing)
        if any(raw[at : at + size]):
            hit.append(position)
        at += size
    return hit
