"""Times and lengths of time as people type them: ``20m``, ``1h30m``, ``17:30``, ``2027-03-01 08:00``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|m|h|d|w)? ?")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)")


def seconds(text: str) -> float:
    """A length of time; a bare number is seconds. Raises ArgumentTypeError."""
    wanted = text.strip().lower()
    parts = list(_PART.finditer(wanted))
    if not parts or "".join(part[0] for part in parts) != wanted or (len(parts) > 1 and not all(part[2] for part in parts)):
        raise _wrong(f"{text!r} is no length of time: say 90s, 20m, 1h30m, 2d")
    return sum(float(part[1]) * _UNITS_S[part[2] or "s"] for part in parts)


def moment(text: str) -> float:
    """A Unix time. A time of day is the next one of this machine's clock. Raises ArgumentTypeError."""
    return moment_after(text, datetime.now())


def moment_after(text: str, now: datetime) -> float:
    """Likewise, after a time of the machine's zone."""
    wanted = text.strip()
    clock = _CLOCK.fullmatch(wanted)
    try:
        if clock is None:
            found = datetime.fromisoformat(wanted)
            return (found if found.tzinfo is not None else found.replace(tzinfo=now.tzinfo)).timestamp()
        today = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
        return (today if today > now else today + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError):
        raise _wrong(f"{text!r} is no time: say 17:30, '2027-03-01 08:00', or with a zone 2027-03-01T08:00+01:00") from None


def _wrong(text: str) -> Exception:
    from argparse import ArgumentTypeError

    return ArgumentTypeError(text)
