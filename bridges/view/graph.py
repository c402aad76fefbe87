"""Who talks to whom, as a drawing: agents on a circle, an arrow for each direction, as wide as it is busy.

The same replies give the same drawing, and agents that talk a lot stand side by side, so a picture that is drawn again
every few seconds keeps its shape.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import cos, hypot, pi, sin, sqrt
from typing import Any, NamedTuple

from broker.protocol.names import SYSTEM

__all__ = ["SEVERAL", "Arrow", "Dot", "Drawing", "Flow", "drawing", "flows"]

SEVERAL = "*"
"""In place of a recipient's name: a group, or everyone."""
WIDTH, HEIGHT = 640.0, 460.0
_MARGIN_X, _MARGIN_Y = 150.0, 50.0
_RADIUS, _LEAST, _WIDEST = 7.0, 1.2, 7.0
_BEND = 0.16
"""How far an arrow bends, in parts of its length, so that two directions lie apart."""


class Flow(NamedTuple):
    """What one wrote to another."""

    sender: str
    reader: str
    messages: int
    per_hour: float
    last: str
    """ISO 8601."""


class Dot(NamedTuple):
    name: str
    x: float
    y: float
    label_x: float
    label_y: float
    anchor: str
    """Of the label, as SVG's text-anchor: start, middle, end."""
    radius: float
    messages: int
    """Messages it wrote or got."""


class Arrow(NamedTuple):
    flow: Flow
    path: str
    """SVG path data."""
    head: str
    """SVG points of its tip."""
    width: float


class Drawing(NamedTuple):
    dots: tuple[Dot, ...]
    arrows: tuple[Arrow, ...]
    left_out: int
    """Agents that are not drawn, since others are busier."""
    width: float = WIDTH
    height: float = HEIGHT


def flows(traffic: dict[str, Any], over_s: float) -> list[Flow]:
    """The reply to ``traffic``, which counts that many seconds, the busiest first. The service's own notices are no talk."""
    pairs = [p for p in traffic.get("pairs", ()) if p["from"] != SYSTEM]
    rows = [Flow(p["from"], p["to"], p["count"], p["count"] * 3600 / over_s, p["last"]) for p in pairs]
    return sorted(rows, key=lambda flow: (-flow.messages, flow.sender, flow.reader))


def drawing(found: Sequence[Flow], most: int = 24) -> Drawing:
    """At most ``most`` agents, the busiest, and what they write to each other."""
    counts: Counter[str] = Counter()
    for flow in found:
        counts[flow.sender] += flow.messages
        if flow.reader != flow.sender:
            counts[flow.reader] += flow.messages
    busiest = sorted(counts, key=lambda name: (-counts[name], name))
    shown = set(busiest[:most])
    kept = [f for f in found if f.sender in shown and f.reader in shown and f.sender != f.reader]
    dots = _placed(_in_order([name for name in busiest if name in shown], kept), counts)
    at = {dot.name: dot for dot in dots}
    top = max((flow.messages for flow in kept), default=1)
    arrows = tuple(_arrow(flow, at[flow.sender], at[flow.reader], top) for flow in kept)
    return Drawing(dots, arrows, len(busiest) - len(shown))


def _in_order(busiest: list[str], kept: Sequence[Flow]) -> list[str]:
    """The order on the circle: next to each stands whom it talks to most of those not yet placed."""
    ties: Counter[tuple[str, str]] = Counter()
    for flow in kept:
        ties[flow.sender, flow.reader] += flow.messages
        ties[flow.reader, flow.sender] += flow.messages
    left = [name for name in busiest if name != SEVERAL]
    order = left[:1]
    del left[:1]
    while left:
        strongest = max(left, key=lambda name: ties[order[-1], name])  # of equals the first, which is the busiest
        order.append(strongest)
        left.remove(strongest)
    return [*order, SEVERAL] if SEVERAL in busiest else order


def _placed(order: list[str], counts: Counter[str]) -> tuple[Dot, ...]:
    """On an ellipse, the first at its top; several stand in the middle."""
    around = [name for name in order if name != SEVERAL]
    top = max(counts.values(), default=1)
    dots = []
    for number, name in enumerate(around):
        angle = 2 * pi * number / len(around) - pi / 2
        x = WIDTH / 2 + (WIDTH / 2 - _MARGIN_X) * cos(angle)
        y = HEIGHT / 2 + (HEIGHT / 2 - _MARGIN_Y) * sin(angle)
        radius = _RADIUS + 5 * sqrt(counts[name] / top)
        side = cos(angle)
        anchor = "middle" if abs(side) < 0.2 else "start" if side > 0 else "end"
        away = radius + 8
        label_x, label_y = x + away * (0 if anchor == "middle" else 1 if side > 0 else -1), y + 4
        if anchor == "middle":
            label_y = y + (away + 10 if sin(angle) > 0 else -away)
        dots.append(Dot(name, _short(x), _short(y), _short(label_x), _short(label_y), anchor, _short(radius), counts[name]))
    if SEVERAL in order:
        x, y = WIDTH / 2, HEIGHT / 2
        dots.append(Dot(SEVERAL, x, y, x, y + 30, "middle", _RADIUS + 3, counts[SEVERAL]))
    return tuple(dots)


def _arrow(flow: Flow, start: Dot, end: Dot, top: int) -> Arrow:
    """A line that bends to its left, from edge to edge of the dots, and its tip."""
    width = _LEAST + (_WIDEST - _LEAST) * sqrt(flow.messages / top)
    dx, dy = end.x - start.x, end.y - start.y
    length = hypot(dx, dy)
    bend_x, bend_y = (start.x + end.x) / 2 + dy * _BEND, (start.y + end.y) / 2 - dx * _BEND
    x1, y1 = _toward(start.x, start.y, bend_x, bend_y, min(start.radius + 2, length / 3))
    tip = 7 + width
    x2, y2 = _toward(end.x, end.y, bend_x, bend_y, min(end.radius + 3, length / 3))
    x3, y3 = _toward(x2, y2, bend_x, bend_y, min(tip, length / 3))
    side_x, side_y = (y2 - y3) * 0.45, (x3 - x2) * 0.45
    path = f"M{x1:.1f} {y1:.1f}Q{bend_x:.1f} {bend_y:.1f} {x3:.1f} {y3:.1f}"
    head = f"{x2:.1f},{y2:.1f} {x3 + side_x:.1f},{y3 + side_y:.1f} {x3 - side_x:.1f},{y3 - side_y:.1f}"
    return Arrow(flow, path, head, _short(width))


def _toward(x: float, y: float, to_x: float, to_y: float, by: float) -> tuple[float, float]:
    """The point that lies so far from the first on the way to the second."""
    length = hypot(to_x - x, to_y - y) or 1.0
    return x + (to_x - x) * by / length, y + (to_y - y) * by / length


def _short(number: float) -> float:
    return round(number, 1)
