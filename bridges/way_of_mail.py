"""What became of a message, in words: the rows of ``receipts`` for a person or a model."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

HANDED_OUT = "handed out"
"""The way of mail that its reader took and has not acknowledged."""


def stage(row: dict[str, Any]) -> str:
    """The step that a row stopped at, such as ``pushed (overdue)``. Of a broker before 0.4.0 its one word."""
    return _marked(row.get("step", row["state"]), row)


def step_words(step: dict[str, Any]) -> str:
    """One step, such as ``pushed by socket``."""
    way = step.get("way")
    how = "" if way is None else f" by {way}"
    return _marked(f"{step['step']}{how}" if way != HANDED_OUT else HANDED_OUT, step)


def _marked(word: str, row: dict[str, Any]) -> str:
    marks = ", ".join(mark for mark in ("inferred", "overdue") if row.get(mark))
    return word.replace("_", " ") + (f" ({marks})" if marks else "")
