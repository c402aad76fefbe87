"""Replies to wrong proofs and tokens come slower and slower, so that guessing is slow."""

from typing import Any

_WRONG = frozenset({"invalid_auth", "unauthorized"})
WRONG_AT_ONCE = 3
"""Wrong ones of a connection that are answered without delay."""
_SLOW_S, _DOUBLINGS = 0.03, 4
"""The next one waits 0.03 s for its reply, and each after it twice as long, up to 0.48 s."""


class WrongProofs:
    """How many one connection has shown."""

    __slots__ = ("_count", "_until_s")

    def __init__(self) -> None:
        self._count = 0
        self._until_s = 0.0

    def due_s(self, reply: dict[str, Any], now_s: float) -> float:
        """When a reply may be written; 0 for at once. What stands behind it waits, too."""
        if reply.get("code") not in _WRONG:
            return 0.0
        self._count += 1
        if self._count <= WRONG_AT_ONCE:
            return 0.0
        delay_s = _SLOW_S * 2 ** min(self._count - WRONG_AT_ONCE - 1, _DOUBLINGS)
        self._until_s = max(self._until_s, now_s) + delay_s
        return self._until_s
