"""The time by which terms end: expiry of mail, sessions, forwards, claims, deadlines, remembered ids.

Theory of operation. Terms are kept in Unix time, but of a clock of their own that never steps: it follows the wall clock as
long as that agrees with the time since the machine's boot, which counts suspension too. Where the wall clock jumps, the terms'
clock goes on, and ``ahead_s`` is how far the wall clock is ahead of it. Nothing ends, or lasts longer, because a clock was set.

    wall    ----------.     .------        set 8 days ahead and back
                      |     |
    terms   ---------------------------

From one boot of the machine to another the wall clock alone tells how long it was off. That time counts, but nothing ends in
the first hour: what ends is judged by the last moment of the life before, while new terms are counted from now. A wall clock
that is set within this hour changes the gap, and begins the hour anew; a gap backwards counts as none.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

_TOLERANCE_S = 2.0
_DRIFT = 0.001
"""A wall clock that differs by more than 2 s and a thousandth of the time since it was last compared has jumped."""
_ANCHOR_S = 3600.0
_LONG_S = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class ClockReading:
    """What is saved for the next life. ``boot_s`` is the time since the boot that ``boot_id`` names (empty: unknown)."""

    wall_s: float
    boot_s: float
    boot_id: str
    ahead_s: float = 0.0
    due_s: float | None = None
    """In the first hour after a gap: the last moment before it. What ends is judged by that."""
    gap_s: float = 0.0
    """Length of the gap by the wall clock. A negative one counts as 0."""
    hold_until_s: float | None = None
    """In ``boot_s``: the end of the hour, None where it is over."""

    def to_map(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Terms:
    """Makes ``ahead_s`` and ``held_s`` of a ``Moment`` from the machine's two clocks."""

    at: ClockReading
    """The last reading that was kept."""
    hold_s: float
    jumps: list[float] = field(default_factory=list)
    """Steps of the wall clock, in s, that are not logged yet."""
    changed: bool = True
    """The reading is not saved yet."""

    @classmethod
    def begin(cls, saved: ClockReading | None, now: ClockReading, hold_s: float) -> "Terms":
        """Of a new life; ``saved`` is of the last one."""
        if saved is None:
            return cls(now, hold_s)
        if saved.boot_id and saved.boot_id == now.boot_id and now.boot_s >= saved.boot_s:
            terms = cls(saved, hold_s)
            terms.read(now.wall_s, now.boot_s)
            return terms
        gap_s = now.wall_s - saved.wall_s
        counts_s = max(0.0, gap_s)
        ahead_s = saved.ahead_s + gap_s - counts_s
        due_s = saved.wall_s - saved.ahead_s if saved.due_s is None else saved.due_s
        begun = ClockReading(now.wall_s, now.boot_s, now.boot_id, ahead_s, due_s, gap_s, now.boot_s + hold_s)
        return cls(begun, hold_s, [gap_s] if not -_TOLERANCE_S <= gap_s <= _LONG_S else [])

    def read(self, wall_s: float, boot_s: float) -> tuple[float, float]:
        """(ahead_s, held_s) of this moment."""
        at = self.at
        passed_s = boot_s - at.boot_s
        step_s = wall_s - at.wall_s - passed_s
        if abs(step_s) > _TOLERANCE_S + passed_s * _DRIFT:
            self._jumped(step_s, wall_s, boot_s)
        elif passed_s > _ANCHOR_S:
            self._keep(replace(at, wall_s=wall_s, boot_s=boot_s))
        at = self.at
        if at.hold_until_s is None or at.due_s is None:
            return at.ahead_s, 0.0
        if boot_s >= at.hold_until_s:
            self._keep(replace(at, due_s=None, gap_s=0.0, hold_until_s=None))
            return at.ahead_s, 0.0
        return at.ahead_s, max(0.0, wall_s - at.ahead_s - at.due_s)

    def _jumped(self, step_s: float, wall_s: float, boot_s: float) -> None:
        at = replace(self.at, wall_s=wall_s, boot_s=boot_s)
        self.jumps.append(step_s)
        if at.hold_until_s is None or boot_s >= at.hold_until_s:
            self._keep(replace(at, ahead_s=at.ahead_s + step_s))
            return
        gap_s = at.gap_s + step_s
        counts_s = max(0.0, gap_s) - max(0.0, at.gap_s)
        self._keep(replace(at, ahead_s=at.ahead_s + step_s - counts_s, gap_s=gap_s, hold_until_s=boot_s + self.hold_s))

    def _keep(self, at: ClockReading) -> None:
        self.at = at
        self.changed = True
