"""Moments in words: ``3 min ago``, ``in 2 h``."""

from __future__ import annotations

from datetime import datetime, tzinfo

from broker.protocol.spans import span

__all__ = ["ago", "day", "full", "moment", "within"]

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


def full(when: str, zone: tzinfo | None = None) -> str:
    """``2026-03-01 12:30:05 CET``, of this machine's zone unless another is given; a text that is no time as it is."""
    at_s = moment(when)
    return datetime.fromtimestamp(at_s).astimezone(zone).strftime("%Y-%m-%d %H:%M:%S %Z") if at_s else when


def day(when: str, now_s: float, zone: tzinfo | None = None) -> str:
    """``Today``, ``Yesterday`` or ``1 March 2026``, of this machine's zone unless another is given."""
    then, now = (
        datetime.fromtimestamp(moment(when)).astimezone(zone).date(),
        datetime.fromtimestamp(now_s).astimezone(zone).date(),
    )
    days = (now - then).days
    return "Today" if days == 0 else "Yesterday" if days == 1 else f"{then.day} {then:%B %Y}"
