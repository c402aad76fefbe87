"""Results: rows with one value a round, tables of them, and their renderings as Markdown and JSON."""

import json
import statistics
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.earlier import REGRESSED

TARGETS = "Targets"
FAILED = "Parts that failed"
AGAIN = "measured again: "
_CONTROL = "control, before each round and after the last (1 = two busy processes have a core each, 2 = they share one)"


@dataclass(slots=True)
class Row:
    """One cell of a table: ``line`` and ``column`` say where. ``values`` has one entry a round, in ``unit``."""

    key: str
    table: str
    line: str
    column: str
    unit: str
    values: list[float] = field(default_factory=list)
    skipped: str = ""

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    def text(self) -> str:
        """``median [min-max]``, or why there is none. Counts, which are of type int, are shown whole."""
        if self.skipped:
            return f"— ({self.skipped})"
        median = self.median
        if median is None:
            return "—"
        shown = "{:,}".format if all(isinstance(value, int) for value in [median, *self.values]) else number
        spread = f" [{shown(min(self.values))}-{shown(max(self.values))}]" if len(self.values) > 1 else ""
        return shown(median) + spread

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "table": self.table,
            "line": self.line,
            "column": self.column,
            "unit": self.unit,
            "values": [round(value, 4) for value in self.values],
            "median": self.median,
            "skipped": self.skipped or None,
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and what became of it. ``measured`` is None where a side of it was not measured, ``met`` there and where
    nothing is wanted."""

    what: str
    wanted: str
    measured: float | None
    met: bool | None
    note: str = ""
    before: float | None = None
    """What an earlier run measured."""
    since: str = ""
    """What became of it since: see bench.earlier."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def cells(self) -> list[str]:
        """As a table has it."""
        measured = "not measured" if self.measured is None else number(self.measured)
        met = "" if self.met is None else "yes" if self.met else "**no**"
        since = f"**{self.since}**" if self.since == REGRESSED else self.since
        then = "" if self.before is None else number(self.before)
        return [self.what, self.wanted, f"{measured} ({self.note})" if self.note else measured, met, then, since]


@dataclass(slots=True)
class Results:
    """Everything one run found."""

    machine: dict[str, str] = field(default_factory=dict)
    control: list[float] = field(default_factory=list)
    """How much two busy processes slowed each other, before each round and after the last."""
    rows: dict[str, Row] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    """By table: what a reader must know of it."""

    def add(self, key: str, table: str, line: str, column: str, unit: str, value: float) -> None:
        """One round's value of a cell."""
        self.rows.setdefault(key, Row(key, table, line, column, unit)).values.append(value)

    def skip(self, key: str, table: str, line: str, reason: str) -> None:
        self.rows[key] = Row(key, table, line, "", "", skipped=reason)

    def failed(self, part: str, error: Exception) -> None:
        """A line that says how a part ended."""
        traceback.print_exception(error)
        last = str(error).strip().splitlines()[-1:] or [""]
        self.skip(f"failed.{part}", FAILED, part, f"{type(error).__name__}: {last[0][:200]}")

    def median(self, key: str) -> float | None:
        row = self.rows.get(key)
        return row.median if row else None

    def take_in(self, again: "Results", parts: Sequence[str]) -> None:
        """Put a later run of some parts in the place of what they had found: no table of a part is of two runs."""
        kinds = {_kind(key) for key in again.rows} | {f"failed.{part}" for part in parts}
        kept = {key: row for key, row in self.rows.items() if _kind(key) not in kinds or key in again.rows}
        self.rows = {**kept, **again.rows}
        self.notes.update({table: note for table, note in again.notes.items() if table != TARGETS})
        now = {name: value for name, value in again.machine.items() if self.machine.get(name) != value}
        told = [f"{name} {value}" for name, value in now.items()]
        told.append(f"control {number(min(again.control))} to {number(max(again.control))}")
        self.machine.update({f"{AGAIN}{part}": "; ".join(told) for part in parts})

    def to_json(self) -> str:
        value = {
            "machine": self.machine,
            "control": [round(x, 3) for x in self.control],
            "rows": [row.to_json() for row in self.rows.values()],
            "targets": [verdict.to_json() for verdict in self.verdicts],
            "notes": self.notes,
        }
        return json.dumps(value, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Results":
        value = json.loads(text)
        results = cls(value["machine"], value["control"], notes=value["notes"])
        for row in value["rows"]:
            del row["median"]
            row["skipped"] = row["skipped"] or ""
            results.rows[row["key"]] = Row(**row)
        results.verdicts = [Verdict(**verdict) for verdict in value["targets"]]
        return results

    def markdown(self) -> str:
        """Targets, then each table, then the machine."""
        parts = []
        if self.verdicts:
            note = f"{self.notes[TARGETS]}\n\n" if TARGETS in self.notes else ""
            parts.append(f"## {TARGETS}\n\n{note}{verdict_table(self.verdicts)}")
        for table in dict.fromkeys(row.table for row in self.rows.values()):
            rows = [row for row in self.rows.values() if row.table == table]
            note = f"{self.notes[table]}\n\n" if table in self.notes else ""
            parts.append(f"## {table}\n\n{note}{pivot(rows)}")
        facts = [f"- {name}: {value}" for name, value in self.machine.items()]
        if self.control:
            spread = " ".join(number(x) for x in self.control)
            facts.append(f"- {_CONTROL}: {spread}")
        parts.append("## Machine\n\n" + "\n".join(facts))
        return "\n\n".join(parts) + "\n"


def _kind(key: str) -> str:
    """What rows of a part have in common: the first word of the key; that of its books, and of a failure, is the key itself."""
    first = key.partition(".")[0]
    return key if first in ("books", "failed") else first


def pivot(rows: list[Row]) -> str:
    """A table with a line for each ``line`` and a column for each ``column``; the unit stands in the column's head."""
    if not any(row.column for row in rows):
        lines = [f"| {row.line} | {row.text()}{'' if row.skipped else f' {row.unit}'} |" for row in rows]
        return "\n".join(["| | result |", "|---|---|", *lines])
    columns = list(dict.fromkeys((row.column, row.unit) for row in rows if not row.skipped))
    heads = [f"{column or 'result'}{f', {unit}' if unit else ''}" for column, unit in columns] or ["result"]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for line in dict.fromkeys(row.line for row in rows):
        cells = {(row.column, row.unit): row for row in rows if row.line == line}
        skipped = next((row for row in cells.values() if row.skipped), None)
        texts = [cells[c].text() if c in cells else "" for c in columns] or [""]
        if skipped is not None:
            texts[0] = skipped.text()
        lines.append(f"| {line} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def verdict_table(verdicts: list[Verdict]) -> str:
    """With the columns of an earlier run where there was one."""
    compared = any(v.before is not None or v.since for v in verdicts)
    heads = ["target", "wanted", "measured", "met?", *(["before", "since"] if compared else [])]
    lines = [heads, ["---"] * len(heads), *(v.cells()[: len(heads)] for v in verdicts)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).replace("| --- ", "|---").replace("--- |", "---|")


def number(value: float) -> str:
    """Three significant digits or so, thousands separated."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3f}"
