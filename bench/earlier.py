"""What became of a target since an earlier run. Values are those of the rounds, in the target's unit."""

import re
import statistics
from collections.abc import Sequence

REGRESSED, WORSE, BETTER = "regressed", "worse", "better"
_NOTICED = 0.05
"""Medians that differ by less of the earlier one are called the same, however narrow their spread."""
_BOUND = re.compile(r"([≥≤]) ([\d,.]+)")


def bounds(wanted: str) -> tuple[float | None, float | None]:
    """(at least, at most) of a target as a report has it: ``≥ 1.30 x``. Of one with alternatives the first counts."""
    found = _BOUND.match(wanted)
    if found is None:
        return None, None
    value = float(found[2].replace(",", ""))
    return (value, None) if found[1] == "≥" else (None, value)


def within(value: float, low: float | None, high: float | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def lost(value: float, wanted: str, met: bool | None) -> bool:
    """Whether an earlier run met what it wanted, and this value does not."""
    return bool(met) and not within(value, *bounds(wanted))


def change(now: Sequence[float], before: Sequence[float], *, more_is_better: bool) -> str:
    """Better or worse, where each run's median is out of the range of the other's rounds; else nothing."""
    sign = 1 if more_is_better else -1
    ours, theirs = [sign * value for value in now], [sign * value for value in before]
    new, old = statistics.median(ours), statistics.median(theirs)
    if abs(new - old) <= _NOTICED * abs(old):
        return ""
    if new < min(theirs) and old > max(ours):
        return WORSE
    return BETTER if new > max(theirs) and old < min(ours) else ""
