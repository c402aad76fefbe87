"""What a batch did to the memory, so that it can be taken back."""

from collections.abc import Callable
from typing import Any

Ids = set[int]


class Journal:
    """Undo log of the memory. Every mutation of the state goes through it."""

    __slots__ = ("_undo",)

    def __init__(self) -> None:
        self._undo: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def mark(self) -> int:
        return len(self._undo)

    def rollback(self, mark: int = 0) -> None:
        """Take back, latest first, what was done since ``mark``."""
        while len(self._undo) > mark:
            undo, args = self._undo.pop()
            undo(*args)

    def commit(self) -> None:
        self._undo.clear()

    def on_rollback(self, undo: Callable[..., Any], *args: Any) -> None:
        self._undo.append((undo, args))

    def set(self, thing: Any, attribute: str, value: Any) -> None:
        self._undo.append((setattr, (thing, attribute, getattr(thing, attribute))))
        setattr(thing, attribute, value)

    def put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        if key in table:
            self._undo.append((table.__setitem__, (key, table[key])))
        else:
            self._undo.append((table.pop, (key, None)))
        table[key] = value

    def drop(self, table: dict[Any, Any], key: Any) -> None:
        if key in table:
            self._undo.append((table.__setitem__, (key, table.pop(key))))

    def add(self, members: Ids, item: int) -> None:
        if item not in members:
            members.add(item)
            self._undo.append((members.discard, (item,)))

    def discard(self, members: Ids, item: int) -> None:
        if item in members:
            members.discard(item)
            self._undo.append((members.add, (item,)))
