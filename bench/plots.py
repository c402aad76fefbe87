"""Pictures of a run, each as PNG and SVG, as wide as a page shows them. Needs matplotlib; everything shown is in the JSON, too.

An SVG is light on a light page and dark on a dark one; a PNG is light.
"""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.latency import FRACTIONS, PERCENTS
from bench.report import Results, Row
from bench.sends import SHAPES, Shape
from bench.systems import Skip

_OURS, _YARDSTICK, _RIVAL, _WEAK, _BAD = "#1f6feb", "#768390", "#d1782c", "#d9b38c", "#cf3446"
"""Colours that stand out on white and on the black of a dark page."""
_INK, _GROUND, _DARK_INK, _DARK_GROUND = "#1f2328", "#ffffff", "#e6edf3", "#0d1117"
_WIDE = 8.4
"""Inches, at 72 points each of which a browser makes 96 pixels: 806, the width of a README."""
_DPI = 110
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "figure.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": _GROUND,
    "savefig.facecolor": _GROUND,
    "axes.facecolor": "none",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "axes.titlecolor", "xtick.color", "ytick.color"), _INK),
}
_SHEET = (
    f"<style>svg {{color: {_INK}}} .ground {{fill: {_GROUND}}} @media (prefers-color-scheme: dark) "
    f"{{svg {{color: {_DARK_INK}}} .ground {{fill: {_DARK_GROUND}}}}}</style>"
)
LABELS = {
    "prototype": "prototype (yardstick)",
    "stream": "agent-ipc, Unix socket",
    "library": "agent-ipc, Python client",
    "zeromq": "agent-ipc, ZeroMQ",
    "unix": "agent-ipc, JSON, Unix socket",
    "tcp": "agent-ipc, JSON, TCP lasting",
    "oneshot": "agent-ipc, JSON, TCP one-shot",
    "zeromq-normal": "agent-ipc, ZeroMQ, normal*",
    "redis-always": "Redis Streams, always",
    "redis-everysec": "Redis Streams, everysec*",
    "nats-always": "NATS JetStream, always",
    "nats-default": "NATS JetStream, default*",
    "percall": "a connection + commit a request",
}
NOT_DURABLE = ("zeromq-normal", "redis-everysec", "nats-default")
"""Ways whose acknowledgement does not survive a power cut."""


def draw(results: Results, folder: Path) -> list[Path]:
    """Draw what the run has figures for; returns the files. Raises Skip without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        raise Skip("matplotlib is not installed (pip install matplotlib)") from None
    matplotlib.use("agg")
    matplotlib.rcParams.update(_STYLE)
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, picture in PICTURES.items():
        figure = picture(results, pyplot)
        if figure is None:
            continue
        figure.tight_layout()
        for kind in ("png", "svg"):
            path = folder / f"{name}.{kind}"
            figure.savefig(path, dpi=_DPI, metadata={"Date": None} if kind == "svg" else None)
            written.append(path)
        path.write_text(by_page(path.read_text(encoding="utf-8")), encoding="utf-8")
        pyplot.close(figure)
    return written


def by_page(svg: str) -> str:
    """The picture with the colours of the page that it stands on."""
    head, tag, rest = svg.partition("<defs>")
    rest = rest.replace(f'style="fill: {_GROUND}"', 'class="ground"', 1).replace(_INK, "currentColor")
    return f"{head}{_SHEET}\n {tag}{rest}"


def speed(results: Results, pyplot: Any) -> Any:
    """The three shapes that tell most, beside what is as durable."""
    shapes = (Shape(1, 1), Shape(1, 256), Shape(16, 64))
    if not all(results.median(f"sends.stream.{shape.key}") for shape in shapes):
        return None
    figure, panels = pyplot.subplots(1, 3, figsize=(_WIDE, 1.9), sharey=True)
    for panel, shape in zip(panels, shapes, strict=True):
        bars(panel, [row_of(results, way, shape) for way in ("stream", "redis-always", "nats-always")], shape)
        panel.set_xlim(0, 1.3 * panel.get_xlim()[1])
        panel.xaxis.set_visible(False)
        panel.spines["bottom"].set_visible(False)
    figure.suptitle("Sends a second of 256 B, each synced to the disk before it is acknowledged")
    return figure


def rates(results: Results, pyplot: Any) -> Any:
    """Messages a second by way, a panel a shape."""
    shapes = [shape for shape in SHAPES if shape.clients < 64]
    if not any(results.median(f"sends.zeromq.{shape.key}") for shape in shapes):
        return None
    figure, panels = pyplot.subplots(2, 2, figsize=(_WIDE, 7.4), sharey=True)
    for panel, shape in zip(panels.flat, shapes, strict=True):
        bars(panel, [row_of(results, way, shape) for way in LABELS], shape)
        panel.set_xscale("log")
        panel.set_xlim(100, 3 * panel.get_xlim()[1])
    figure.suptitle("Acknowledged sends a second, 256 B (log scale; * = a power cut may lose acknowledged messages)")
    return figure


def row_of(results: Results, way: str, shape: Shape) -> tuple[str, Row | None]:
    return way, results.rows.get(f"sends.{way}.{shape.key}")


def bars(panel: Any, ways: Sequence[tuple[str, Row | None]], shape: Shape) -> None:
    """A line a way, from above; where it has no value the line is empty."""
    values = [row.values if row is not None and row.values else [0.0] for _way, row in ways][::-1]
    medians = [statistics.median(found) for found in values]
    low = [median - min(found) for median, found in zip(medians, values, strict=True)]
    high = [max(found) - median for median, found in zip(medians, values, strict=True)]
    places = range(len(values))
    colours = [colour(way) for way, _row in ways][::-1]
    panel.barh(places, medians, xerr=[low, high], color=colours, error_kw={"lw": 0.9, "ecolor": _INK})
    panel.set_yticks(places, [LABELS[way] for way, _row in ways][::-1])
    for place, median, more in zip(places, medians, high, strict=True):
        if median:
            panel.annotate(
                f"{median:,.0f}", (median + more, place), (4, 0), textcoords="offset points", va="center", fontsize=8.5
            )
    panel.set_title(shape.title)


def colour(way: str) -> str:
    if way == "prototype":
        return _YARDSTICK
    if way in ("redis-always", "nats-always", "percall"):
        return _RIVAL
    if way in NOT_DURABLE:
        return _WEAK
    return _OURS


def latency(results: Results, pyplot: Any) -> Any:
    """Percentiles of the time until the receiver has a message, by load."""
    if results.median("latency.10%.here.p50") is None:
        return None
    figure, panel = pyplot.subplots(figsize=(_WIDE, 4))
    loads = [load for load in (f"{fraction:.0%}" for fraction in FRACTIONS) if f"latency.{load}.here.p50" in results.rows]
    for percent, shade in zip(PERCENTS, (_OURS, _RIVAL, _BAD), strict=True):
        rows = [results.rows[f"latency.{load}.here.p{percent:g}"] for load in loads]
        middle = [statistics.median(row.values) / 1e3 for row in rows]
        panel.plot(loads, middle, "o-", color=shade, label=f"p{percent:g}")
        panel.fill_between(
            loads, [min(row.values) / 1e3 for row in rows], [max(row.values) / 1e3 for row in rows], color=shade, alpha=0.12
        )
    panel.set_yscale("log")
    panel.set_ylabel("ms from being due to the receiver")
    top = results.median("latency.top") or 0.0
    panel.set_xlabel(f"load, of the top rate ({top:,.0f}/s stored, pushed and acknowledged)")
    panel.set_title("Open loop, full durability: median and spread of the rounds")
    panel.legend(frameon=False)
    return figure


CURVES = (
    ("queued", "messages queued", ("send, pipelined", "check, p50")),
    ("mailboxes", "mailboxes", ("send, pipelined", "check, p50", "send, pipelined, without a pause")),
    ("connections", "connections", ("send, pipelined", "send, in turn, p50")),
    ("broadcast", "recipients of a broadcast", ("a delivery",)),
)


def scale(results: Results, pyplot: Any) -> Any:
    """Cost by size, and the broker's memory beside it."""
    if not any(key.startswith("scale.") for key in results.rows):
        return None
    figure, panels = pyplot.subplots(2, 2, figsize=(_WIDE, 6.8))
    for panel, (curve, label, columns) in zip(panels.flat, CURVES, strict=True):
        for column, shade in zip(columns, (_OURS, _RIVAL, _BAD), strict=False):
            line(panel, results, curve, column, f"{column}, µs", shade)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_ylim(1, 3_000)
        panel.set_xlabel(label)
        panel.set_ylabel("µs")
        if any(key.startswith(f"scale.{curve}.") and key.endswith("broker RSS") for key in results.rows):
            memory = panel.twinx()
            memory.spines["right"].set_visible(True)
            line(memory, results, curve, "broker RSS", "broker RSS, MB", _YARDSTICK, ":")
            memory.set_ylim(0, 110)
            memory.set_ylabel("MB")
        panel.legend(frameon=False, fontsize=8.5, loc="upper left")
    figure.suptitle("Cost as the broker fills (lines: medians; bars: spread), and its memory (dotted)")
    return figure


def line(panel: Any, results: Results, curve: str, column: str, label: str, shade: str, style: str = "o-") -> None:
    points = sorted(
        (int(row.key.split(".")[2]), row)
        for row in results.rows.values()
        if row.key.startswith(f"scale.{curve}.") and row.column == column and row.values
    )
    if not points:
        return
    middle = [statistics.median(row.values) for _size, row in points]
    spread = [
        [median - min(row.values) for median, (_size, row) in zip(middle, points, strict=True)],
        [max(row.values) - median for median, (_size, row) in zip(middle, points, strict=True)],
    ]
    panel.errorbar([size for size, _row in points], middle, yerr=spread, fmt=style, color=shade, label=label, capsize=2)


def soak(results: Results, pyplot: Any) -> Any:
    """Percentiles and sizes over the time of a soak."""
    count = sum(1 for key in results.rows if key.startswith("soak.") and key.endswith(".database")) - 2
    if count < 2:
        return None
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(8, 6), sharex=True)
    times = [results.rows[f"soak.{n}.p50"].line.partition("-")[0] for n in range(count)]
    seconds = [float(text) for text in times]
    for percent, shade in zip((50.0, 99.0, 99.9), (_OURS, _RIVAL, _BAD), strict=True):
        values = [(results.median(f"soak.{n}.p{percent:g}") or 0.0) / 1e3 for n in range(count)]
        above.plot(seconds, values, color=shade, label=f"p{percent:g}")
    control = [(results.median(f"soak.{n}.sync") or 0.0) / 1e3 for n in range(count)]
    above.plot(seconds, control, ":", color=_YARDSTICK, label="the disk's own p99")
    above.set_yscale("log")
    above.set_ylabel("ms to the acknowledgement")
    above.legend(frameon=False)
    for name, shade in (("database", _OURS), ("broker", _YARDSTICK)):
        values = [results.median(f"soak.{n}.{name}") or 0.0 for n in range(count)]
        below.plot(seconds, values, color=shade, label="database and log, MB" if name == "database" else "broker RSS, MB")
    below.set_ylim(bottom=0)
    below.set_xlabel("seconds")
    below.legend(frameon=False)
    figure.suptitle("Steady load with short expiry: speed and size over time")
    return figure


def sites(results: Results, pyplot: Any) -> Any:
    """What a node has and does for many sites at rest."""
    found = {int(key.split(".")[2].partition("x")[0]) for key in results.rows if key.startswith("sites.many.") and "x1." in key}
    if len(found) < 2:
        return None
    figure, panels = pyplot.subplots(1, 2, figsize=(_WIDE, 3.2))
    for panel, unit, columns in zip(panels, ("MB of RAM", "% of a CPU"), AT_REST, strict=True):
        for column, shade in zip(columns, (_OURS, _RIVAL, _BAD), strict=False):
            points = [(size, results.median(f"sites.many.{size}x1.{column}")) for size in sorted(found)]
            there = [(size, value) for size, value in points if value is not None]
            panel.plot(*zip(*there, strict=True), "o-", color=shade, label=column)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("sites")
        panel.set_ylabel(unit)
        panel.legend(frameon=False, fontsize=8.5)
    figure.suptitle("What a node has and does for sites at rest: 3 nodes, 1 stream of mail")
    return figure


AT_REST = (
    ("a node's memory, nobody there", "a node's memory, all there"),
    ("a node: all read", "and heartbeats", "and looks at each other's"),
)
PICTURES: dict[str, Callable[[Results, Any], Any]] = {
    "speed": speed,
    "sends": rates,
    "latency": latency,
    "scale": scale,
    "soak": soak,
    "sites": sites,
}
