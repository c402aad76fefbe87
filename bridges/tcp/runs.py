"""Runs: plain requests of one connection that came together, and go to the broker and back together.

A request is plain if the broker gets it as it came, and its client the reply as it comes back. No copy is made of it, and what
it costs besides reading and writing its text is little: this is the way of nearly all load.
"""

from collections.abc import Callable
from typing import Any

from bridges.tcp.json_requests import OPEN_ACTIONS, OURS, JsonUpstream
from bridges.tcp.pace import FOR_ITSELF, Slot
from bridges.upstream import unname

PLAIN = OPEN_ACTIONS.keys() - FOR_ITSELF - {"register", "ack", "touch", "release"}
"""Actions for which the door has nothing to do."""
_MORE = OURS | {"wait_s", "body"}
"""Fields for which it has."""


def is_plain(request: dict[str, Any]) -> bool:
    action = request.get("action")
    return type(action) is str and action in PLAIN and _MORE.isdisjoint(request)


class Run:
    """Some plain requests of a connection. ``passed_back`` gets each reply."""

    __slots__ = ("_bodies", "_first", "_passed_back", "size_bytes", "slots")

    def __init__(self, passed_back: Callable[[Slot, dict[str, Any]], None]) -> None:
        self._passed_back = passed_back
        self._first = 0
        self._bodies: list[dict[str, Any]] = []
        self.slots: list[Slot] = []
        self.size_bytes = 0
        """Of the requests' texts."""

    def add(self, slot: Slot, body: dict[str, Any]) -> None:
        if "id" in body:
            slot.request = {"id": body["id"]}
        self.size_bytes += slot.size_bytes
        self.slots.append(slot)
        self._bodies.append(body)

    def ask(self, upstream: JsonUpstream, *, bulk: bool) -> None:
        """Raises IpcError."""
        for slot, body in zip(self.slots, self._bodies, strict=True):
            if body.get("message_id") is None:
                slot.unnamed = upstream.name(body)
        self._first = upstream.submit_run(self._bodies, self._brought, bulk=bulk)

    def _brought(self, reply: dict[str, Any]) -> bool:
        slot = self.slots[reply["id"] - self._first]
        if slot.unnamed:
            unname(reply)
        self._passed_back(slot, reply)
        return True
