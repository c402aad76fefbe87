"""Numbers in sentences for people: ``1 message``, ``2 messages``."""

from __future__ import annotations


def number_of(count: int, one: str, many: str = "") -> str:
    """The number with its noun; ``many`` where that is not ``one`` with an s."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def more_wait(count: int) -> str:
    """``1 more waits``, ``2 more wait``."""
    return number_of(count, "more waits", "more wait")
