"""Moments in words: ``3 min ago``, ``in 2 h``."""

from __future__ import annotations

from datetime import datetime, timezone

from broker.protocol.spans import span

__all__ = ["ago", "full", "moment", "within"]

_NOW_S = 60.0
"""Less is just now: seconds that count up draw the eye to nothing."""


def moment(when: str) -> float:
    """Unix time of an ISO 8601 text; 0 for what is none."""
    try:
        return datetime.fromisoformat(when).timestamp()
    except ValueError:
        return 0.0


def ago(when: str, now_s: float) -> str:
    """``3 min ago``; empty for a text that is no time."""
    at_s = moment(when)
    if not at_s:
        return ""
    age_s = now_s - at_s
    return f"{span(age_s)} ago" if age_s >= _NOW_S else "just now" if age_s > -_NOW_S else f"in {span(-age_s)}"


def within(when: str, now_s: float) -> str:
    """What is left until then: ``4 min left``, or ``over``; empty for a text that is no time."""
    at_s = moment(when)
    return "" if not at_s else f"{span(at_s - now_s)} left" if at_s > now_s else "over"


def full(when: str) -> str:
    """``2026-03-01 12:30:05 UTC``; a text that is no time as it is."""
    at_s = moment(when)
    return datetime.fromtimestamp(at_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC") if at_s else when
