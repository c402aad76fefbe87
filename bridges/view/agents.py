"""Agents as lines: those that need the person first, then who works, who rests, who is away. And who waits for whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from bridges.fence import one_line
from bridges.view.needs import Need

__all__ = ["STATES", "AgentLine", "Wait", "agents_of", "waits_of"]

STATES = ("needs you", "stuck", "working", "idle", "away")
"""The words of an agent's state, in the order of the list."""


class AgentLine(NamedTuple):
    """One agent, or a person."""

    name: str
    state: str
    """One of ``STATES``."""
    since: str
    """ISO 8601: since when it is in this state, as far as its host tells; else when it was last heard of."""
    doing: str
    """Its tool or its note, on one line; empty if it says nothing."""
    queued: int
    leased: int
    oldest: str
    """ISO 8601: when the oldest message that waits for it was sent; empty if none waits."""
    reach: tuple[str, ...]
    """The ways by which mail reaches it."""
    claims: int
    waits_for: tuple[str, ...]
    waited_by: tuple[str, ...]
    wakes: int
    """In the last hour."""
    person: bool
    paused: bool
    unclaimed: bool
    """Nobody has this name; mail waits for it."""


def agents_of(overview: dict[str, Any], needs: Iterable[Need] = ()) -> list[AgentLine]:
    """A line for each agent. ``needs`` as ``needs_of`` gives them; news that one is done is no reason to be first."""
    calls = {need.name for need in needs if need.kind in ("question", "permission")}
    lines = [_line(row, row["id"] in calls) for row in overview.get("agents", ())]
    return sorted(lines, key=lambda line: (STATES.index(line.state), line.unclaimed, line.name.lower(), line.name))


def _line(row: dict[str, Any], calls: bool) -> AgentLine:
    if row.get("person"):  # who has closed page and terminal view is away, not stuck
        row = {**row, "stuck": None}
    activity, stuck = row.get("activity") or {}, row.get("stuck") or {}
    state = _state(row, calls)
    tool = activity.get("tool") if state in ("working", "stuck") else None
    since = stuck.get("since") if state == "stuck" else None
    return AgentLine(
        name=row["id"],
        state=state,
        since=since or ("" if state == "away" else activity.get("since")) or row.get("last_seen", ""),
        doing=one_line(stuck.get("evidence") or row.get("note") or (f"runs {tool}" if tool else "")),
        queued=row.get("queued", 0),
        leased=row.get("leased", 0),
        oldest=row.get("oldest", ""),
        reach=tuple(map(one_line, row.get("reach", ()))),
        claims=row.get("claims", 0),
        waits_for=tuple(row.get("waits_for", ())),
        waited_by=tuple(row.get("waited_by", ())),
        wakes=row.get("wakes", 0),
        person=bool(row.get("person")),
        paused=bool(row.get("paused")),
        unclaimed=bool(row.get("unclaimed")),
    )


def _state(row: dict[str, Any], calls: bool) -> str:
    presence = row.get("presence")
    if row.get("stuck"):
        return "stuck"
    if presence == "waiting" or (calls and presence != "gone"):
        return "needs you"
    return "away" if presence == "gone" else "idle" if presence == "idle" else "working"


class Wait(NamedTuple):
    """One who asked, and has no answer."""

    asker: str
    asked: str
    text: str
    since: str
    deadline: str
    id: str
    asked_is: str
    """What the one who was asked does: working, idle, away or stuck."""
    person: bool


def waits_of(overview: dict[str, Any]) -> list[Wait]:
    """Who waits for whom, the longest first."""
    waits = [
        Wait(
            q["from"], q["to"], one_line(q["content"]), q["asked_at"], q["deadline"], str(q["id"]), q.get("asked_is", ""),
            bool(q.get("person")),
        )
        for q in overview.get("questions", ())
        if q.get("state") == "open"
    ]  # fmt: skip
    return sorted(waits, key=lambda wait: (wait.since, wait.id))
