"""The rules by which an agent does not go on. Each is a function of what is known, and says when it holds.

    silent       it works, and its hooks have told nothing for ``stall_silent_s``
    tool         likewise while a tool call runs, for ``stall_tool_s``
    permission   its user has not allowed a tool call for ``stall_wait_s``
    answer       its user has not answered for ``stall_wait_s``
    repeats      the same tool call had the same result ``stall_loops`` times in a row
    dead         it has ended, and others wait for it (``debts``)
    loop         two agents answered each other ``stall_loops`` times each, and did nothing else

A limit of 0 turns its rule off. Times are of the terms' clock. It goes on while the machine sleeps, so nothing is counted from
before ``awake_s``.
"""

from collections.abc import Iterable, Sequence
from math import inf
from typing import NamedTuple

from broker.core.facts import WAITING, Activity
from broker.home.settings import Settings
from broker.protocol.spans import span

DEAD_S = 10.0
"""Seconds until an agent that ended is missed: a host that begins a new session ends the old one first."""
LOOP_KEPT_S = 600.0
"""A pair that has been silent for so long does not go round any more."""


class Stall(NamedTuple):
    """A rule that holds from ``due_s`` on if nothing happens until then."""

    kind: str
    other: str
    since_s: float
    due_s: float
    evidence: str


def silent(now: Activity, settings: Settings, awake_s: float) -> Stall | None:
    """It works, and nothing is heard of it."""
    running = now.running()
    limit_s = settings.stall_tool_s if running else settings.stall_silent_s
    if now.state != "working" or not limit_s:
        return None
    due_s = max(now.event_s, awake_s) + limit_s
    if not running:
        return Stall(
            "silent", "", now.event_s, due_s, f"works, and no sign of it for {span(limit_s)}: it hangs, or was broken off"
        )
    tool = running[0].tool
    return Stall(
        "tool", tool, now.event_s, due_s, f"runs a call of {tool} that does not end, and no sign of it for {span(limit_s)}"
    )


def waiting(now: Activity, settings: Settings, awake_s: float) -> Stall | None:
    """Its user does not answer."""
    if now.state not in WAITING or not settings.stall_wait_s:
        return None
    due_s, what = max(now.since_s, awake_s) + settings.stall_wait_s, f" of {now.tool}" if now.tool else ""
    asked = f"asked its user to allow a call{what}" if now.state == "permission" else "asked its user a question"
    return Stall(now.state, now.tool, now.since_s, due_s, f"{asked}, and no sign of it for {span(settings.stall_wait_s)}")


def repeats(now: Activity, settings: Settings, _awake_s: float) -> Stall | None:
    """It does the same again and again."""
    if now.state != "working" or not 0 < settings.stall_loops <= now.repeats:
        return None
    evidence = f"made the same call of {now.tool} with the same result {settings.stall_loops} times in a row"
    return Stall("repeats", now.tool, now.event_s, now.event_s, evidence)


RULES = (silent, waiting, repeats)
"""Those of one agent's activity alone."""


def of_activity(now: Activity, settings: Settings, awake_s: float) -> list[Stall]:
    return [found for rule in RULES if (found := rule(now, settings, awake_s)) is not None]


def next_s(now: Activity, settings: Settings, awake_s: float) -> float:
    """When the first of these rules can hold; ``inf`` where none does without a further event."""
    return min((found.due_s for found in of_activity(now, settings, awake_s)), default=inf)


def dead(ended_s: float, debts: Sequence[str]) -> Stall | None:
    """It has ended, and owes something."""
    if not debts:
        return None
    return Stall("dead", "", ended_s, ended_s + DEAD_S, f"has ended, and {'; '.join(debts)}")


class Turn(NamedTuple):
    """An answer in a conversation."""

    sender_id: int
    at_s: float


def loop(turns: Iterable[Turn], acted_s: float, limit: int) -> float | None:
    """When two agents began to answer each other and nothing else, if they did so ``limit`` times each; None if they did not.

    ``turns`` are answers to each other, the newest first. ``acted_s``: when one of them last did something else.
    """
    since_s, count, after = 0.0, 0, 0
    for turn in turns:
        if turn.at_s <= acted_s or turn.sender_id == after:
            break
        since_s, count, after = turn.at_s, count + 1, turn.sender_id
    return since_s if 0 < limit * 2 <= count else None
