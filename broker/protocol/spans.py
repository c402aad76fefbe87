"""A length of time in words."""

from __future__ import annotations


def span(seconds: float) -> str:
    """A length of time in its largest whole unit, such as ``3 h``."""
    for unit_s, unit in ((86_400, "day"), (3600, "h"), (60, "min")):
        if seconds >= unit_s:
            count = int(seconds // unit_s)
            return f"{count} {unit}{'s' if unit == 'day' and count > 1 else ''}"
    return f"{max(0, int(seconds))} s"
