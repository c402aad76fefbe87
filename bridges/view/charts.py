"""Numbers over the last hours as lines to draw: samples of ``overview``, and messages by hour of ``traffic``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from bridges.view.times import moment

__all__ = ["SAMPLE_S", "Bar", "Sample", "Series", "bars", "sample_of", "series_of", "spark"]

SAMPLE_S = 15.0
"""Seconds between samples."""
_POINTS = 120
"""A line has at most so many points. Of the samples that share one, the highest counts."""


class Sample(NamedTuple):
    """What an ``overview`` said at a moment."""

    at_s: float
    unread: int
    """Messages that wait for a reader, of all agents."""
    leased: int
    working: int
    """Agents at work."""
    agents: int
    questions: int
    stuck: int
    dead: int


class Series(NamedTuple):
    """One line."""

    title: str
    unit: str
    points: tuple[tuple[float, float], ...]
    """(Unix time, value), the earliest first."""
    latest: float
    highest: float


class Bar(NamedTuple):
    """Messages of one hour."""

    hours_ago: int
    """0 is the hour that ends now."""
    messages: int
    part: float
    """Of the highest bar, 0 to 1."""


def sample_of(overview: dict[str, Any]) -> Sample:
    agents = overview.get("agents", ())
    return Sample(
        at_s=moment(overview.get("at", "")),
        unread=sum(row.get("queued", 0) for row in agents),
        leased=sum(row.get("leased", 0) for row in agents),
        working=sum(row.get("presence") in ("working", "waiting") for row in agents),
        agents=sum(not row.get("unclaimed") for row in agents),
        questions=sum(q.get("state") == "open" for q in overview.get("questions", ())),
        stuck=len(overview.get("alarms", ())),
        dead=overview.get("dead", 0),
    )


_LINES: tuple[tuple[str, str, Callable[[Sample], int]], ...] = (
    ("Unread messages", "messages", lambda s: s.unread),
    ("Agents at work", "agents", lambda s: s.working),
    ("Open questions", "questions", lambda s: s.questions),
    ("Agents that are stuck", "agents", lambda s: s.stuck),
    ("Dead letters", "messages", lambda s: s.dead),
)


def series_of(samples: Sequence[Sample]) -> list[Series]:
    """A line for each number, of samples in the order of their time."""
    found = []
    for title, unit, value in _LINES:
        points = _thinned([(s.at_s, float(value(s))) for s in samples])
        latest = points[-1][1] if points else 0.0
        found.append(Series(title, unit, points, latest, max((y for _, y in points), default=0.0)))
    return found


def _thinned(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    if len(points) <= _POINTS:
        return tuple(points)
    kept: dict[int, tuple[float, float]] = {}
    for number, point in enumerate(points):
        share = number * _POINTS // len(points)
        if share not in kept or point[1] >= kept[share][1]:
            kept[share] = point
    return tuple(kept.values())


def spark(series: Series, width: float, height: float) -> str:
    """SVG path data of a line in a box; empty without two points. Its lowest value is 0."""
    if len(series.points) < 2:
        return ""
    first_s, last_s = series.points[0][0], series.points[-1][0]
    over_s, top = (last_s - first_s) or 1.0, series.highest or 1.0
    places = (f"{(at_s - first_s) / over_s * width:.1f} {height - value / top * height:.1f}" for at_s, value in series.points)
    return "M" + "L".join(places)


def bars(hours: Sequence[int]) -> list[Bar]:
    """Bars from ``hours`` of ``traffic``, the earliest hour first."""
    top = max(hours, default=0) or 1
    return [Bar(len(hours) - 1 - number, count, count / top) for number, count in enumerate(hours)]
