"""Mail that one connection was handed and has not acknowledged, by the session token it was handed to."""

from typing import Any

from bridges.tcp.upstream import Upstream

Unread = dict[str, list[str]]
"""Session token to ids."""


class Leased:
    """What the next ``check``, an ``ack`` or the connection's end settles."""

    __slots__ = ("_fetched", "_pushed", "_up")

    def __init__(self, upstream: Upstream) -> None:
        self._up = upstream
        self._fetched: Unread = {}
        self._pushed: Unread = {}

    def fetched(self, token: str, ids: tuple[str, ...] | list[str]) -> None:
        self._fetched.setdefault(token, []).extend(ids)

    def pushed(self, token: str, ids: list[str]) -> None:
        self._pushed.setdefault(token, []).extend(ids)

    def read(self, token: str) -> None:
        """What was fetched has arrived: acknowledge it."""
        ids = self._fetched.pop(token, [])
        if ids:
            self._up.settle(token, ids, acknowledge=True)

    def forget(self, request: dict[str, Any]) -> None:
        """Mail the client has acknowledged itself is not given back when it leaves."""
        token, given = str(request.get("session_token")), request.get("ids")
        if given is not None and not isinstance(given, list):  # which the broker refuses
            return
        ids = None if given is None else {str(i) for i in given}
        for table in (self._fetched, self._pushed):
            if token in table:
                table[token] = [] if ids is None else [i for i in table[token] if i not in ids]

    def hand_back(self, *, acknowledge: bool) -> None:
        """The end: what was fetched is acknowledged or given back, what was pushed given back."""
        fetched, self._fetched = self._fetched, {}
        pushed, self._pushed = self._pushed, {}
        for token, ids in fetched.items():
            if ids:
                self._up.settle(token, ids, acknowledge=acknowledge)
        for token, ids in pushed.items():
            if ids:
                self._up.settle(token, ids, acknowledge=False)
