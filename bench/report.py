"""Results as rows, and their two renderings: a Markdown table and JSON."""

import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class Skip(Exception):
    """A part that can't be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a median is held against: at least ``low`` or at most ``high``, in the row's unit."""

    low: float | None = None
    high: float | None = None

    def met(self, value: float) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def text(self, unit: str) -> str:
        if self.low is not None:
            return f"≥ {number(self.low)} {unit}".rstrip()
        return f"≤ {number(self.high or 0.0)} {unit}".rstrip()


@dataclass(slots=True)
class Row:
    """One line of the table. ``values`` has one entry a round, in ``unit``."""

    part: str
    what: str
    unit: str
    values: list[float] = field(default_factory=list)
    target: Target | None = None
    skipped: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def result(self) -> str:
        """``median unit (min-max)``, or why there is none."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        if not self.values:
            return "no result"
        spread = f" ({number(min(self.values))}-{number(max(self.values))})" if len(self.values) > 1 else ""
        return f"{number(self.median)} {self.unit}".rstrip() + spread

    def met(self) -> str:
        if self.target is None or not self.values:
            return ""
        return "yes" if self.target.met(self.median) else "**no**"

    def to_json(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "what": self.what,
            "unit": self.unit,
            "values": self.values,
            "median": self.median if self.values else None,
            "target": None if self.target is None else {"low": self.target.low, "high": self.target.high},
            "met": None if self.target is None or not self.values else self.target.met(self.median),
            "skipped": self.skipped or None,
        }


def number(value: float) -> str:
    """Three significant digits or so, thousands separated."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"


def markdown(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """The table, then the machine it was measured on."""
    lines = ["| what | result | target | met? |", "|---|---|---|---|"]
    for row in rows:
        target = row.target.text(row.unit) if row.target else ""
        lines.append(f"| {row.what} | {row.result()} | {target} | {row.met()} |")
    lines += ["", "Results are medians over the rounds, with minimum and maximum. Machine:", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    return "\n".join(lines)


def machine(folder: str) -> dict[str, str]:
    """What a reader needs to compare numbers: processors, versions, and the file system that ``folder`` is on."""
    return {
        "CPUs": f"{os.cpu_count()} ({processor()})",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": file_system(folder),
        "load at the end": ", ".join(f"{x:.2f}" for x in os.getloadavg()) + " (1, 5, 15 min)",
    }


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as f:
            names = [line.partition(":")[2].strip() for line in f if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def file_system(folder: str) -> str:
    """The type of the mount that holds ``folder``, as /proc/mounts has it."""
    best = ("", "unknown")
    try:
        with open("/proc/mounts", encoding="utf-8") as f:
            for line in f:
                _device, point, kind = line.split()[:3]
                if (folder == point or folder.startswith(point.rstrip("/") + "/")) and len(point) > len(best[0]):
                    best = (point, kind)
    except OSError:
        pass
    return best[1]
