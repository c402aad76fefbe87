"""Output of the commands: colour and tables for a terminal, plain text for a pipe, JSON on request."""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


def colour_wanted() -> bool:
    """True on a terminal, unless NO_COLOR (no-color.org) is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def style(text: str, name: str) -> str:
    return f"\x1b[{_STYLES[name]}m{text}\x1b[0m" if colour_wanted() else text


def say(text: str = "") -> None:
    print(text, flush=True)


def say_json(value: Any) -> None:
    """Print one JSON document. Control characters in it are escapes."""
    print(json.dumps(value, ensure_ascii=True, indent=2 if sys.stdout.isatty() else None), flush=True)


def give_up_output() -> None:
    """Drop what is left in the buffer of a closed standard output, so that the exit does not fail for it, too."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def here() -> str:
    """The present folder. Raises ``bad_request`` if it was removed."""
    from broker.protocol.errors import IpcError

    try:
        return os.getcwd()
    except OSError:
        raise IpcError("bad_request", detail="the present folder is gone: change to another one") from None


def doing(row: dict[str, Any]) -> str:
    """What an agent does, of a row of ``list``."""
    return f"{row['presence']}, stuck" if row.get("stuck") else str(row["presence"])


def complain(what: str, next_step: str = "") -> None:
    """Print an error on standard error: what happened, and what to type next."""
    from bridges.fence import one_line

    print(f"ipc: {one_line(what)}", file=sys.stderr)
    if next_step:
        print(f"next: {one_line(next_step)}", file=sys.stderr)


def say_finding(verdict: str, name: str, text: str) -> None:
    """One line of a check: ``ok``, ``warn`` or ``FAIL``, what was looked at, what was found and what to do."""
    from bridges.fence import one_line

    colour = {"ok": "green", "warn": "yellow", "FAIL": "red"}[verdict]
    say(f"{style(verdict.ljust(4), colour)}  {name.ljust(9)} {one_line(text)}")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Columns padded to their widest cell. The head line is for a terminal alone."""
    from bridges.fence import one_line

    cells = [tuple(one_line(c) for c in row) for row in rows]
    widths = [max(len(row[i]) for row in [head, *cells]) for i in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells]
    if sys.stdout.isatty():
        lines.insert(0, style("  ".join(c.ljust(w) for c, w in zip(head, widths, strict=True)).rstrip(), "dim"))
    return "\n".join(lines)


def say_rows(
    rows: Sequence[object], as_json: bool, head: tuple[str, ...], cells: Sequence[tuple[str, ...]], nothing: str
) -> int:
    """Print a list as JSON, as a table, or a sentence where it is empty. Exit status 0."""
    if as_json:
        say_json(rows)
    else:
        say(table(head, cells) if rows else nothing)
    return 0


def ago(timestamp: str) -> str:
    """``2 min ago`` from an ISO 8601 time, for a terminal; for a pipe the time itself."""
    if not sys.stdout.isatty():
        return timestamp
    from datetime import datetime, timezone

    seconds = (datetime.now(timezone.utc) - datetime.fromisoformat(timestamp)).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"
