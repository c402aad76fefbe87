"""Sends without a pause, beside a short burst: what a burst puts off has to be done within the time that is measured."""

from collections.abc import Callable, Sequence

from bench import proc
from bench.doors.ways import Ipc, Prototype, Stream
from bench.fleet import Fleet, burst
from bench.report import Results
from bench.rivals.redis import RedisServer
from bench.sends import SMALL, Shape
from bench.systems import Skip, System, Way

SHAPE = Shape(16, 64)
TABLE = f"Durable sends without a pause, 256 B: {SHAPE.title}, nobody reads"
NOTE = (
    "Each on a new server of its own, in turn: a burst, a rest, then without a pause. *Processor time* is that of the process "
    "that stores, *after the burst* until it has rested for half a second: with the broker also the index that `search` and "
    "`history` read, which the others do not have."
)
ENOUGH = 3
"""Rounds: each takes half a minute a system."""
_MOST = 10_000_000


class Sustained:
    """Our broker, the prototype and Redis, which syncs as they do."""

    def __init__(
        self, results: Results, fleet: Fleet, against: Sequence[str], seconds: float = 10.0, burst_s: float = 0.25
    ) -> None:
        self._results = results
        self._fleet = fleet
        self._seconds = seconds
        self._burst_s = burst_s
        self._makers: list[Callable[[], System]] = [Prototype, lambda: Ipc("full", (Stream,))]
        if "redis" in against:
            self._makers.append(lambda: RedisServer("always"))
        results.notes[TABLE] = NOTE

    def round(self, number: int) -> None:
        """Each once; the order turns from round to round."""
        for make in self._makers if number % 2 == 0 else self._makers[::-1]:
            system = make()
            (way,) = system.ways()
            try:
                system.start()
                self._measure(way)
            except Skip as reason:
                self._results.skip(f"sustained.{way.key}", TABLE, way.title, str(reason))
            finally:
                system.stop()

    def _measure(self, way: Way) -> None:
        pid, what = way.system.pid(), "processor time a message"
        idle_s = proc.cpu_s(pid)
        rate, count = self._rate(way, self._burst_s)
        busy_s = proc.cpu_s(pid)
        rested_s = proc.at_rest_s(pid)
        self._add(way, f"in a burst of {self._burst_s:g} s", "burst", "/s", rate)
        self._add(way, what, "at once", "µs", (busy_s - idle_s) / count * 1e6)
        self._add(way, f"{what}, after the burst", "later", "µs", (rested_s - busy_s) / count * 1e6)
        rate, count = self._rate(way, self._seconds)
        self._add(way, f"for {self._seconds:g} s", "rate", "/s", rate)
        self._add(way, f"{what}, meanwhile", "meanwhile", "µs", (proc.cpu_s(pid) - rested_s) / count * 1e6)
        difference = float(way.system.stored() - way.system.acknowledged)
        self._add(way, "stored less acknowledged", "books", "", difference)

    def _rate(self, way: Way, seconds: float) -> tuple[float, int]:
        """(messages a second, messages)"""
        jobs = [(burst, (way.address(n), seconds, SHAPE.in_flight, SMALL, _MOST)) for n in range(SHAPE.clients)]
        begin_s, found = self._fleet.run(*jobs)
        count = sum(done.acknowledged for _warm, done in found)
        way.system.acknowledged += count + sum(warm for warm, _done in found)
        return count / (max(done.ended_s for _warm, done in found) - begin_s), count

    def _add(self, way: Way, column: str, key: str, unit: str, value: float) -> None:
        self._results.add(f"sustained.{way.key}.{key}", TABLE, way.title, column, unit, value)
