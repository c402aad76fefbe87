"""Lines of the service's logs (``broker.home.logs``), for a reader."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from bridges.fence import one_line, visible
from bridges.log_files import LEVELS
from bridges.view.times import moment

__all__ = ["LogLine", "log_lines"]

_HEAD = ("time", "level", "event", "pid")


class LogLine(NamedTuple):
    """One line. Its text is visible."""

    time: str
    """ISO 8601; empty if it is not known."""
    level: str
    process: str
    event: str
    fields: tuple[tuple[str, str], ...]
    """(name, value) of all else that it says."""
    trace: str
    """A traceback, of several lines; mostly empty."""


def log_lines(written: Iterable[tuple[str, str]], least: str = "info") -> list[LogLine]:
    """(process, line) pairs as lines of at least that level, the newest first."""
    found: list[LogLine] = []
    for process, line in written:
        if line.strip():
            before = found[-1].time if found and found[-1].process == process else ""
            found.append(_parse(process, line, before))
    wanted = LEVELS[LEVELS.index(least) :]
    kept = [line for line in found if line.level in wanted]
    return sorted(kept, key=lambda line: moment(line.time), reverse=True)


def _parse(process: str, line: str, before: str) -> LogLine:
    """A line that is no JSON, such as one that an interpreter wrote as it died, is of the time of the line before."""
    try:
        told = json.loads(line)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return LogLine(before, "error", process, one_line(line.rstrip("\n")), (), "")
    level = told.get("level")
    fields = ((one_line(k), one_line(_text(v))) for k, v in told.items() if k not in (*_HEAD, "traceback") and v is not None)
    return LogLine(
        one_line(_text(told.get("time", ""))),
        level if level in LEVELS else "info",
        process,
        one_line(_text(told.get("event", ""))).replace("_", " "),
        tuple(fields),
        visible(_text(told.get("traceback", ""))),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
