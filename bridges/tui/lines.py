"""The rows of Now, cut to the width of the terminal: needs first, then agents, then what is paused. Pure.

A row is text with words of style (``bold``, ``dim``, ``reverse``, names of colours) and no markup of any kind. Everything that
a colour says stands there as a word, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rich.cells import cell_len, chop_cells, set_cell_size

from bridges.fence import one_line
from bridges.plurals import number_of
from bridges.view.agents import AgentLine, agents_of
from bridges.view.needs import Need, needs_of
from bridges.view.times import ago, moment, within

Part = tuple[str, str]
"""(text on one line, style)"""
_STATE_STYLES = {"needs you": "bold magenta", "stuck": "bold red", "working": "green", "idle": "", "away": "dim"}
_KIND_STYLES = {"question": "bold magenta", "permission": "bold yellow", "stall": "bold red", "bounce": "red", "done": "green"}
_KIND_WORDS = {"bounce": "dead letter"}
_NAME_CELLS = 20
_WIDE, _MIDDLE, _NARROW = 100, 70, 40
"""Columns from which on the table of agents has more of its columns."""


class Row(NamedTuple):
    """One line of the board. ``key`` is the same for as long as it is about the same thing; headings have none."""

    key: str
    parts: tuple[Part, ...]
    need: Need | None = None
    agent: AgentLine | None = None
    pair: tuple[str, ...] = ()
    """Names of a pause: one, or two of a pair."""

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)

    @property
    def name(self) -> str:
        """The agent that the row is about; empty if it is about none."""
        return self.need.name if self.need else self.agent.name if self.agent else self.pair[0] if self.pair else ""


class LastWord(NamedTuple):
    """What the broker said last."""

    overview: dict[str, Any]
    dead: list[dict[str, Any]]
    """Rows of ``dead_letters``."""
    person_name: str
    now_s: float
    """Unix time, by the broker's clock."""


def rows_of(seen: LastWord, columns: int, wanted: str = "") -> list[Row]:
    """All rows that have the ``wanted`` words in them."""
    overview, dead, person_name, now_s = seen
    needs = needs_of(overview, person_name, dead)
    agents = agents_of(overview, needs)
    needs = [need for need in needs if _has(wanted, need.name, need.kind, need.text, need.tool)]
    widest = min(_NAME_CELLS, columns // 4, max([cell_len(need.name) for need in needs], default=0))
    found = [_need_row(need, widest, columns, now_s) for need in needs]
    rows = _section("NEEDS YOU", found, "" if wanted else "nothing")
    rows += _agents([a for a in agents if _has(wanted, a.name, a.state, a.doing)], columns, now_s, person_name, wanted)
    pauses = [p for p in overview.get("pauses", ()) if _has(wanted, p["name"], p.get("other", ""))]
    rows += _section("PAUSED", [_pause_row(p, now_s) for p in pauses], "")
    return rows or [Row("", ((f"nothing has {one_line(wanted)!r}: esc ends the filter", "dim"),))]


def summary(overview: dict[str, Any], person_name: str) -> str:
    """``anna: 5 agents, 12 unread``, for the line above all."""
    agents = [row for row in overview.get("agents", ()) if not row.get("unclaimed")]
    unread = sum(row.get("queued", 0) for row in overview.get("agents", ()))
    dead = f", {number_of(overview['dead'], 'dead letter')}" if overview.get("dead") else ""
    return f"{person_name + ': ' if person_name else ''}{number_of(len(agents), 'agent')}, {unread} unread{dead}"


def cut(text: str, cells: int) -> str:
    """A text on one line, at most so many cells wide."""
    line = one_line(text)
    return line if cell_len(line) <= cells else set_cell_size(line, max(0, cells - 1)) + "…"


def wrapped(text: str, cells: int, *, exact: bool = False) -> list[str]:
    """The lines of a visible text, broken at words where that is possible.

    ``exact``: broken at the width alone, so that no character is left out, and nobody takes a break for a space.
    """
    lines: list[str] = []
    for line in text.split("\n"):
        left = line.replace("\t", "\\t" if exact else "    ")
        while cell_len(left) > cells:
            head = chop_cells(left[: 2 * cells], cells)[0]
            at = -1 if exact else head.rfind(" ")
            head = head[:at] if at > len(head) // 2 else head
            lines.append(head)
            left = left[len(head) :] if exact else left[len(head) :].removeprefix(" ")
        lines.append(left)
    return lines


def _has(wanted: str, *texts: str) -> bool:
    return all(word in " ".join(texts).lower() for word in wanted.lower().split())


def _section(title: str, rows: Sequence[Row], nothing: str, titles: str = "") -> list[Row]:
    """Rows below their title. Without rows ``nothing`` stands there, and without that not even the title."""
    if not rows and not nothing:
        return []
    return [Row("", ((f"{title}  {len(rows) or nothing}", "bold"), (titles, "dim"))), *rows]


def _need_row(need: Need, name_cells: int, columns: int, now_s: float) -> Row:
    kind = _KIND_WORDS.get(need.kind, need.kind)
    until = within(need.until, now_s) if need.until else ago(need.since, now_s)
    head: list[Part] = [(f"  {kind:<11}  ", _KIND_STYLES[need.kind]), (_cell(need.name, name_cells), "bold")]
    used = sum(cell_len(text) for text, _ in head)
    tail = f"  {until}" if columns >= _MIDDLE else ""
    what = f"{need.tool}: {need.text}" if need.tool else need.text
    room = max(0, columns - used - cell_len(tail) - 2)
    return Row(need.key, (*head, (f"  {_cell(what, room)}", ""), (tail, "dim")), need=need)


class _Column(NamedTuple):
    title: str
    cells: int
    how: str
    """``<`` or ``>``: to which side."""
    least: int
    """Columns of the terminal from which on it is shown."""
    value: Callable[[AgentLine, float], str]


_COLUMNS = (
    _Column("state", 9, "<", 0, lambda line, _now_s: "unclaimed" if line.unclaimed else line.state),
    _Column("since", 8, "<", _NARROW, lambda line, now_s: ago(line.since, now_s).removesuffix(" ago")),
    _Column("queue", 5, ">", _NARROW, lambda line, _now_s: str(line.queued)),
    _Column("claims", 6, ">", _MIDDLE, lambda line, _now_s: str(line.claims)),
    _Column("reached by", 12, "<", _MIDDLE, lambda line, _now_s: " ".join(line.reach) or "its checks"),
    _Column("wakes", 5, ">", _WIDE, lambda line, _now_s: str(line.wakes)),
)


def _agents(lines: Sequence[AgentLine], columns: int, now_s: float, person_name: str, wanted: str) -> list[Row]:
    cells = max(9, min(_NAME_CELLS, max([cell_len(line.name) for line in lines], default=0)))
    shown = [column for column in _COLUMNS if columns >= column.least]
    room = columns - cells - 4 - sum(column.cells + 2 for column in shown)
    rows = []
    for line in lines:
        parts: list[Part] = [(f"  {_cell(line.name, cells)}", "bold")]
        for column in shown:
            value = _cell(column.value(line, now_s), column.cells, column.how)
            calm = "" if value.strip() not in ("0", "its checks") else "dim"
            parts.append((f"  {value}", _STATE_STYLES[line.state] if column.title == "state" else calm))
        told = cut(", ".join(_told(line, line.name == person_name)), room) if room > 6 else ""
        parts.append((f"  {told}", "yellow" if line.paused else ""))
        rows.append(Row(f"agent:{line.name}", tuple(parts), agent=line))
    titles = "".join(f"  {_cell(column.title, column.cells, column.how)}" for column in shown)
    head = " " * (cells + 2 - len(f"AGENTS  {len(rows)}"))
    return _section("AGENTS", rows, "" if wanted else "none has registered yet", head + titles if rows else "")


def _told(line: AgentLine, is_me: bool) -> Iterable[str]:
    if is_me:
        yield "you"
    elif line.person:
        yield "a person"
    if line.paused:
        yield "wakes paused"
    if line.waits_for:
        yield f"waits for {' '.join(line.waits_for)}"
    if line.doing:
        yield line.doing


def _pause_row(pause: dict[str, Any], now_s: float) -> Row:
    names = (pause["name"], *([pause["other"]] if pause.get("other") else []))
    what = "write nothing to each other" if len(names) == 2 else "is not woken"
    parts = ((f"  {cut(' and '.join(names), 45)}", "bold"), (f"  {what}", ""), (f"  {ago(pause['since'], now_s)}", "dim"))
    return Row(f"pause:{'+'.join(names)}", parts, pair=names)


def _cell(text: str, cells: int, how: str = "<") -> str:
    shown = cut(text, cells)
    return set_cell_size(shown, cells) if how == "<" else " " * (cells - cell_len(shown)) + shown


def now_of(overview: dict[str, Any], passed_s: float) -> float:
    """The moment by the broker's clock, ``passed_s`` seconds after the overview was read."""
    return moment(overview.get("at", "")) + passed_s
