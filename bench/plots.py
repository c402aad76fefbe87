"""Pictures of a run, each as PNG and SVG. Needs matplotlib; everything shown is in the JSON, too."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.latency import FRACTIONS, PERCENTS
from bench.report import Results, Row
from bench.sends import SHAPES, Shape
from bench.systems import Skip

_OURS, _YARDSTICK, _RIVAL, _WEAK = "#1f6feb", "#57606a", "#d1782c", "#e8c39e"
_DPI = 110
LABELS = {
    "prototype": "prototype (yardstick)",
    "zeromq": "agent-ipc, ZeroMQ",
    "library": "agent-ipc, Python client",
    "unix": "agent-ipc, Unix socket",
    "tcp": "agent-ipc, TCP lasting",
    "oneshot": "agent-ipc, TCP one-shot",
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
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.size": 9, "axes.spines.top": False})
    matplotlib.rcParams["axes.spines.right"] = False
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
        pyplot.close(figure)
    return written


def rates(results: Results, pyplot: Any) -> Any:
    """Messages a second by way, a panel a shape."""
    shapes = [shape for shape in SHAPES if shape.clients < 64]
    if not any(results.median(f"sends.zeromq.{shape.key}") for shape in shapes):
        return None
    figure, panels = pyplot.subplots(2, 2, figsize=(11, 7.2))
    for panel, shape in zip(panels.flat, shapes, strict=True):
        bars(panel, [row_of(results, way, shape) for way in LABELS], shape)
    figure.suptitle("Acknowledged sends a second, 256 B (log scale; * = a power cut may lose acknowledged messages)")
    return figure


def row_of(results: Results, way: str, shape: Shape) -> tuple[str, Row | None]:
    return way, results.rows.get(f"sends.{way}.{shape.key}")


def bars(panel: Any, ways: list[tuple[str, Row | None]], shape: Shape) -> None:
    found = [(way, row) for way, row in ways if row is not None and row.values][::-1]
    medians = [statistics.median(row.values) for _way, row in found]
    low = [median - min(row.values) for median, (_way, row) in zip(medians, found, strict=True)]
    high = [max(row.values) - median for median, (_way, row) in zip(medians, found, strict=True)]
    panel.barh(
        [LABELS[way] for way, _row in found],
        medians,
        xerr=[low, high],
        color=[colour(way) for way, _row in found],
        error_kw={"lw": 0.8, "ecolor": "#24292f"},
    )
    for number, median in enumerate(medians):
        panel.text(median * 1.05, number + 0.12, f"{median:,.0f}", va="bottom", fontsize=7)
    panel.set_xscale("log")
    panel.set_xlim(left=100)
    panel.set_title(shape.title)
    panel.tick_params(labelsize=8)


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
    figure, panel = pyplot.subplots(figsize=(6.5, 4))
    loads = [load for load in (f"{fraction:.0%}" for fraction in FRACTIONS) if f"latency.{load}.here.p50" in results.rows]
    for percent, shade in zip(PERCENTS, ("#1f6feb", "#d1782c", "#a40e26"), strict=True):
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
    ("mailboxes", "mailboxes", ("send, pipelined", "check, p50")),
    ("connections", "connections", ("send, pipelined", "send, in turn, p50")),
    ("broadcast", "recipients of a broadcast", ("a delivery",)),
)


def scale(results: Results, pyplot: Any) -> Any:
    """Cost by size, and the broker's memory beside it."""
    if not any(key.startswith("scale.") for key in results.rows):
        return None
    figure, panels = pyplot.subplots(2, 2, figsize=(11, 7))
    for panel, (curve, label, columns) in zip(panels.flat, CURVES, strict=True):
        for column, shade in zip(columns, ("#1f6feb", "#d1782c"), strict=False):
            line(panel, results, curve, column, f"{column}, µs", shade)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_ylim(bottom=5)
        panel.set_xlabel(label)
        panel.set_ylabel("µs")
        if any(key.startswith(f"scale.{curve}.") and key.endswith("broker RSS") for key in results.rows):
            memory = panel.twinx()
            memory.spines["right"].set_visible(True)
            line(memory, results, curve, "broker RSS", "broker RSS, MB", "#57606a", ":")
            memory.set_ylim(0, 110)
            memory.set_ylabel("MB")
        panel.legend(frameon=False, fontsize=8, loc="center left")
    figure.suptitle("Cost as the broker fills (lines: medians; bars: spread), and its memory (dotted)")
    return figure


def line(panel: Any, results: Results, curve: str, column: str, label: str, shade: str, style: str = "o-") -> None:
    points = sorted(
        (int(row.key.split(".")[2]), row)
        for row in results.rows.values()
        if row.key.startswith(f"scale.{curve}.") and row.column == column and row.values
    )
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
    for percent, shade in zip((50.0, 99.0, 99.9), ("#1f6feb", "#d1782c", "#a40e26"), strict=True):
        values = [(results.median(f"soak.{n}.p{percent:g}") or 0.0) / 1e3 for n in range(count)]
        above.plot(seconds, values, color=shade, label=f"p{percent:g}")
    control = [(results.median(f"soak.{n}.sync") or 0.0) / 1e3 for n in range(count)]
    above.plot(seconds, control, ":", color="#57606a", label="the disk's own p99")
    above.set_yscale("log")
    above.set_ylabel("ms to the acknowledgement")
    above.legend(frameon=False)
    for name, shade in (("database", "#1f6feb"), ("broker", "#57606a")):
        values = [results.median(f"soak.{n}.{name}") or 0.0 for n in range(count)]
        below.plot(seconds, values, color=shade, label="database and log, MB" if name == "database" else "broker RSS, MB")
    below.set_ylim(bottom=0)
    below.set_xlabel("seconds")
    below.legend(frameon=False)
    figure.suptitle("Steady load with short expiry: speed and size over time")
    return figure


PICTURES: dict[str, Callable[[Results, Any], Any]] = {"sends": rates, "latency": latency, "scale": scale, "soak": soak}
