"""Random schedules, times, clocks that are set, and restarts: no moment twice, none lost, what was missed is one message."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timezone
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from broker.core.terms import ClockReading, Terms
from broker.server.cron import next_cron
from tests.engine import HOUR, Core
from tests.examples import examples

BEGAN_S = 1_800_000_000
SPECS = {"*/7 * * * *": 420, "0 * * * *": 3600, "30 3 * * *": 86_400}
"""Cron times of UTC whose moments are counted otherwise here: seconds apart."""
OFFSETS = {"30 3 * * *": 3 * 3600 + 1800}


def moments(spec: str, after_s: float, upto_s: float) -> Iterator[int]:
    """Moments after the one and up to the other time."""
    if spec == "*/7 * * * *":  # 0, 7 .. 56 of each hour
        first = int(after_s) // 60 + 1
        yield from (m * 60 for m in range(first, int(upto_s) // 60 + 1) if m % 60 % 7 == 0)
        return
    every, offset = SPECS[spec], OFFSETS.get(spec, 0)
    at = (int(after_s) - offset) // every * every + offset + every
    while at <= upto_s:
        yield at
        at += every


@dataclass
class Planned:
    """What should be sent."""

    id: int
    kind: str
    spec: str
    next_s: float
    """Of ``at`` the wall clock's, of ``in`` and ``every`` in seconds that have passed."""
    seen_s: float
    """Of ``cron``: the wall clock when it was looked at last."""


class Schedules(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="ipc-")
        self.core = Core(Path(self.folder.name), env={"IPC_MAILBOX_LIMIT": "0", "IPC_SESSION_TIMEOUT": "1e9"})
        self.core.terms = Terms.begin(None, ClockReading(self.core.wall_s, self.core.mono_s, "boot"), HOUR)
        self._with_cron()
        self.core.register("fred", "claude")
        self.planned: dict[int, Planned] = {}
        self.sent: set[tuple[int, int]] = set()
        self.passed_s = 0.0

    def teardown(self) -> None:
        if hasattr(self, "core"):
            self.core.store.close()
            self.folder.cleanup()

    def _with_cron(self) -> None:
        self.core.engine.next_cron = lambda spec, after_s: next_cron(spec, after_s, timezone.utc)

    def _plan(self, **when: Any) -> dict[str, Any]:
        reply = self.core.ask("fred", "schedule", to_id="claude", message={"content": f"p{len(self.planned)}"}, **when)
        assert reply["status"] == "ok", reply
        row: dict[str, Any] = reply["schedule"]
        return row

    def _note(self, row: dict[str, Any], next_s: float) -> None:
        self.planned[row["id"]] = Planned(row["id"], row["kind"], row["spec"], next_s, self.core.wall_s)

    @rule(seconds=st.integers(1, 3 * 86_400))
    def once_after(self, seconds: int) -> None:
        self._note(self._plan(in_s=seconds), self.passed_s + seconds)

    @rule(seconds=st.integers(1, 3 * 86_400))
    def once_at(self, seconds: int) -> None:
        at_s = self.core.wall_s + seconds
        self._note(self._plan(at_s=at_s), at_s)

    @rule(seconds=st.integers(60, 86_400))
    def each(self, seconds: int) -> None:
        self._note(self._plan(every_s=seconds), self.passed_s + seconds)

    @rule(spec=st.sampled_from(sorted(SPECS)))
    def by_cron(self, spec: str) -> None:
        self._note(self._plan(cron=spec), 0.0)

    @rule(seconds=st.one_of(st.integers(60, 1000), st.integers(60, 2 * 86_400)), down=st.booleans())
    def time_passes(self, seconds: int, down: bool) -> None:
        self._pass(seconds, 0.0, down=down)

    @rule(by_s=st.one_of(st.integers(-7200, 7200), st.integers(-10 * 86_400, 10 * 86_400)), down=st.booleans())
    def clock_is_set(self, by_s: int, down: bool) -> None:
        if abs(by_s) > 10:  # less is within what a clock may differ
            self._pass(60, by_s, down=down)

    @precondition(lambda self: self.planned)
    @rule(data=st.data())
    def one_is_dropped(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.planned)))
        assert self.core.ask("fred", "schedule_drop", schedule_id=number)["dropped"] == 1
        del self.planned[number]

    def _pass(self, seconds: float, by_s: float, *, down: bool) -> None:
        """Time passes, in which the clock may be set; the broker may be killed before, and be back after it."""
        self.core.wall_s += by_s
        if not down:
            self.core.now()  # as the sweeper looks
        self.core.pass_time(seconds)
        self.passed_s += seconds
        if down:
            self.core.restart()
            self._with_cron()
        while self.core.engine.state.chore_s <= self.core.mono_s:
            self.core.keep_house()
        due = {one.id: at for one in self.planned.values() if (at := self._due(one)) is not None}
        assert self._newly_sent() == due
        for number in due:
            self._go_on(self.planned[number])
        for one in self.planned.values():
            one.seen_s = self.core.wall_s
        assert {row["id"] for row in self.core.ask("fred", "schedules")["schedules"]} == self.planned.keys()

    def _newly_sent(self) -> dict[int, int]:
        """By schedule the moment of the one message that came of it."""
        self.core.store._flush()
        ids = [
            row[0].split("-")
            for row in self.core.store._sql.execute("SELECT client_id FROM message WHERE client_id IS NOT NULL")
        ]
        every = [(int(number), int(at)) for _, number, at in ids]
        new = set(every) - self.sent
        assert len(every) == len(set(every))
        assert len(dict(new)) == len(new)
        self.sent |= new
        return dict(new)

    def _due(self, one: Planned) -> int | None:
        """The moment that should be sent now: the earliest that was missed and not sent before."""
        if one.kind == "cron":
            found = moments(one.spec, one.seen_s, self.core.wall_s)
            return next((at for at in found if (one.id, at) not in self.sent), None)
        if one.kind == "at":
            return int(one.next_s) if one.next_s <= self.core.wall_s else None
        return int(BEGAN_S + one.next_s) if one.next_s <= self.passed_s else None

    def _go_on(self, one: Planned) -> None:
        if one.kind in ("at", "in"):
            del self.planned[one.id]
        while one.kind == "every" and one.next_s <= self.passed_s:
            one.next_s += float(one.spec)


Schedules.TestCase.settings = examples(150, stateful_step_count=25, suppress_health_check=list(HealthCheck))
TestSchedules = Schedules.TestCase
