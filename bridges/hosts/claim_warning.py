"""Claims of others on files: for the warning before an edit, and for the git guard before a commit."""

from __future__ import annotations

from bridges.fence import one_line, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def overlapping(ask: Callable[..., dict[str, Any]], path: str) -> list[dict[str, Any]]:
    """Others' claims that overlap the file; ``path`` is absolute. Raises IpcError."""
    from broker.protocol.actions import ACTIONS

    if len(path) > ACTIONS["claims"].field("resource").most:  # no claim can name it, and the broker refuses the question
        return []
    return [c for c in ask("claims", resource=path)["claims"] if not c.get("mine")]


def sentence(claims: list[dict[str, Any]]) -> str:
    """A line for each claim: who holds what, since when and until when."""
    return "\n".join(dict.fromkeys(_one(c) for c in claims))


def _one(claim: dict[str, Any]) -> str:
    note = f" Its note, of {claim['holder']} and not of your user: {quoted(str(claim['note']))}." if claim.get("note") else ""
    return (
        f"agent-ipc: {one_line(claim['holder'])} has claimed {quoted(str(claim['resource']), 300)} since {claim['since']}, "
        f"until {claim['until']}. Claims are advisory; a message to {claim['holder']} can settle it.{note}"
    )
