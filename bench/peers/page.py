"""A run at a glance: two tables of all that it found, at the head of its Markdown and in docs/peers.md."""

from pathlib import Path

from bench.report import Results, Row

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results"
PAGE = ROOT / "docs" / "peers.md"
_BEGIN, _END = "<!-- what the last run found: python -m bench peers --out bench/results writes it -->\n", "<!-- end -->\n"
_NOT_THERE, _NONE = "does not have it", "—"
_COSTS = (
    ("installed, MB", "system", "of size"),
    ("commands to the first message", "first", "commands and files"),
    ("seconds to it", "first", "first message"),
    ("shell to shell, ms", "way", "shell to shell"),
    ("push, ms", "way", "push to a waiting receiver"),
    ("ten agents connected, MB", "memory", "connected"),
    ("ten shells waiting, MB", "memory", "waiting"),
    ("tokens of its tools", "tokens", "tokens"),
)
"""The line, the part of the key, and the column that it is."""


def glance(results: Results) -> str:
    """Costs as medians, and the torture table; a column for each system."""
    rows = list(results.rows.values())
    systems = list(dict.fromkeys(row.line for row in rows if not row.key.startswith("peers.system.") or row.values))
    faults = list(dict.fromkeys(row.table for row in rows if row.table.startswith("Torture: ")))
    head = f"| | {' | '.join(systems)} |\n|---|{'---|' * len(systems)}\n"
    costs = [_line(line, [_cost(rows, part, column, system) for system in systems]) for line, part, column in _COSTS]
    torture = [_line(table.removeprefix("Torture: "), [_fate(rows, table, system) for system in systems]) for table in faults]
    return f"{head}{''.join(costs)}\n{head}{''.join(torture)}"


def write_page(results: Results) -> None:
    """Into docs/peers.md."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    PAGE.write_text(f"{before}{_BEGIN}\n{glance(results)}\n{_END}{rest.partition(_END)[2]}", encoding="utf-8")


def _line(name: str, cells: list[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |\n"


def _cost(rows: list[Row], part: str, column: str, system: str) -> str:
    for row in rows:
        if row.key.startswith(f"peers.{part}.") and row.line == system and row.column == column:
            return row.text().partition(" [")[0]
    return _NONE


def _fate(rows: list[Row], table: str, system: str) -> str:
    """What became of the mail, in a word or two."""
    mine = [row for row in rows if row.table == table and row.line == system]
    for row in mine:
        if row.skipped:
            return _NONE if row.skipped.startswith(_NOT_THERE) else "failed"
    found = {row.column: int(row.median or 0) for row in mine}
    words = [f"{found[column]} {column}" for column in ("lost", "doubled") if found.get(column)]
    words += [f"{count} {column}" for column, count in found.items() if count and column.split()[0] in ("came", "of")]
    if found.get("refused"):
        words.append("refused in words")
    return ", ".join(words) or "all there"
