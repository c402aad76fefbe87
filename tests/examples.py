"""How many examples a property gets: all of them in ``pytest -m deep``, a tenth in the quick run."""

from typing import Any

from hypothesis import settings

_QUICK = 10
_deep = False


def take_all() -> None:
    """Called before the test files are imported."""
    global _deep
    _deep = True


def examples(count: int, **more: Any) -> settings:
    return settings(max_examples=count if _deep else max(count // _QUICK, 10), deadline=None, **more)
