"""Whether two patterns have a name in common.

``?`` stands for one character and ``*`` for any number of them, none being ``/``; ``**`` stands for anything, ``/`` too, and
``dir/**`` includes ``dir`` itself. All else stands for itself, so a pattern without wild characters is a name. Not
only ``src/*`` and ``src/a.py`` overlap but ``src/*.py`` and ``src/a*`` too: both may mean ``src/ab.py``.
"""

from functools import lru_cache

_ANY, _SOME, _ONE = "**", "*", "?"


@lru_cache(maxsize=8192)
def overlap(one: str, other: str) -> bool:
    """True if some name matches both. Costs at most four times the product of their lengths."""
    return any(_meet(_parts(a), _parts(b)) for a in _meanings(one) for b in _meanings(other))


def _meanings(pattern: str) -> tuple[str, ...]:
    """``dir/**`` is what is in ``dir``, or ``dir``."""
    return (pattern, pattern.removesuffix("/**")) if pattern.endswith("/**") and pattern != "/**" else (pattern,)


def _meet(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    if not any(p in (_ANY, _SOME, _ONE) for p in (*a, *b)):
        return a == b
    # places reachable after the same name so far has been read by both; a breadth-first walk over the product of the two
    seen = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if i == len(a) and j == len(b):
            return True
        for step in _steps(a, i, b, j):
            if step not in seen:
                seen.add(step)
                todo.append(step)
    return False


def _parts(pattern: str) -> tuple[str, ...]:
    """Characters, with ``**`` as one part."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith(_ANY, at):
            parts.append(_ANY)
            at += 2
        else:
            parts.append(pattern[at])
            at += 1
    return tuple(parts)


def _steps(a: tuple[str, ...], i: int, b: tuple[str, ...], j: int) -> list[tuple[int, int]]:
    steps = []
    if i < len(a) and a[i] in (_ANY, _SOME):  # it may stand for nothing
        steps.append((i + 1, j))
    if j < len(b) and b[j] in (_ANY, _SOME):
        steps.append((i, j + 1))
    if i < len(a) and j < len(b) and _share_a_character(a[i], b[j]):
        steps.append((i if a[i] in (_ANY, _SOME) else i + 1, j if b[j] in (_ANY, _SOME) else j + 1))
    return steps


def _share_a_character(x: str, y: str) -> bool:
    if x in (_ANY, _SOME, _ONE):
        x, y = y, x
    if x in (_ANY, _SOME, _ONE):
        return True  # two wild parts always share an ordinary character
    return x == y or y == _ANY or (y in (_SOME, _ONE) and x != "/")
