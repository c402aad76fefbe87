"""The words that ask for a watch of an agent, at a shell and in a tool: ``nova idle ended``, ``nova edits src/** each``.

EVENT ...   idle, ended, failed, stuck, edits, claims, releases, joins; the first four if none is said
each        each time, not once
wake        the notice may wake; else it comes with other mail
PATTERN     of edits, claims and releases: only what overlaps it
"""

from __future__ import annotations

from bridges.claim_names import resource_of
from bridges.fence import one_line
from broker.protocol.agent_rows import HAPPENINGS
from broker.protocol.errors import IpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_FILLING = frozenset({"when", "is", "has", "or", "and", "a", "the", "it"})
_SAID = {"idle": "is idle", "ended": "has ended", "failed": "has failed", "stuck": "is stuck"}
_MEANT = {"done": "idle", "finished": "idle", "edit": "edits", "edited": "edits", "changes": "edits", "join": "joins"}


def fields_of(words: Iterable[str], folder: str) -> dict[str, Any]:
    """Events, resource, once and wake. Raises IpcError ``bad_request`` for a word too many."""
    events: list[str] = []
    found: dict[str, Any] = {}
    for word in words:
        plain = _MEANT.get(word.lower(), word.lower())
        if plain in HAPPENINGS:
            events.append(plain)
        elif plain == "each":
            found["once"] = False
        elif plain == "wake":
            found["wake"] = True
        elif plain not in _FILLING:
            if "resource" in found:
                raise IpcError("bad_request", detail=f"{word} is no event: {', '.join(HAPPENINGS)}")
            found["resource"] = resource_of(word, folder)
    if "resource" in found and not {"edits", "claims", "releases"} & set(events):
        raise IpcError("bad_request", detail=f"{found['resource']} is no event: {', '.join(HAPPENINGS)}")
    return {**found, "events": events} if events else found


def sentence(watch: dict[str, Any]) -> str:
    """A watch in words."""
    what = f" {watch['resource']}" if watch.get("resource") else ""
    often = "once" if watch["once"] else "each time"
    name = "anybody" if watch["name"] == "*" else watch["name"]
    happens = " or ".join(_SAID.get(event, event) for event in watch["events"])
    return one_line(f"You will be told {often}, when {name} {happens}{what} (watch {watch['id']})")
