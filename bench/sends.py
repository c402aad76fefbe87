"""Durable sends: every way in, every rival, in bursts that take turns. A send counts only once it is acknowledged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from bench.fleet import Fleet, burst
from bench.percentiles import percentile
from bench.report import Results, Row
from bench.systems import FAILURES, Skip, System, Way

SMALL = 256
RATES = "Durable sends, 256 B"
TIMES = "Durable sends in turn, 256 B: time from sending to the acknowledgement"
SIZES = "Durable sends of larger bodies"
BOOKS = "Books: stored less acknowledged, at the end (0 = every acknowledged message is there once)"
NOTES = {
    RATES: "Messages a second, median [min-max] of the rounds; each client is a process with a connection of its own. "
    "An empty cell: that way can't have more than one request under way.",
    SIZES: "Bodies over 10 KiB are markdown files of their own here, on disk before the acknowledgement.",
}
LARGE_BYTES = ((4096, "4 KiB"), (65536, "64 KiB"))
_LARGE_MOST = 1_000
"""Messages of a burst of large bodies, a client: they fill memory and disk of every system."""
ORDER = ("prototype", "stream", "zeromq", "redis-always", "nats-always", "nats-default", "percall", "tcp", "tcp-unix", "unix")
"""Ways whose figures are divided by each other go one right after the other; the rest follows."""
LARGE_WAYS = ("prototype", "stream", "tcp", "unix", "redis-always", "nats-always", "nats-default")


@dataclass(frozen=True, slots=True)
class Shape:
    """How many clients, and how many requests each has under way at once."""

    clients: int
    in_flight: int

    @property
    def key(self) -> str:
        return f"{self.clients}x{self.in_flight}"

    @property
    def title(self) -> str:
        who = "1 client" if self.clients == 1 else f"{self.clients} clients"
        return f"{who}, {'in turn' if self.in_flight == 1 else f'{self.in_flight} in flight'}"


SHAPES = (Shape(1, 1), Shape(1, 256), Shape(16, 1), Shape(16, 64), Shape(64, 1), Shape(64, 16))
LARGE_SHAPES = (Shape(1, 16), Shape(16, 4))
ALL_LARGE_SHAPES = (Shape(1, 1), Shape(1, 16), Shape(16, 1), Shape(16, 4), Shape(64, 1), Shape(64, 4))


class Sends:
    """The systems that run, and a round of bursts through all their ways."""

    def __init__(
        self,
        results: Results,
        fleet: Fleet,
        seconds: float,
        shapes: Sequence[Shape] = SHAPES,
        beside: Callable[[], None] = lambda: None,
        *,
        full: bool = False,
    ) -> None:
        """``beside`` runs right after the sends in turn: what they are divided by must see the same moment. ``full``: large
        bodies by every way and in every shape, too."""
        self._results = results
        self._fleet = fleet
        self._seconds = seconds
        self._shapes = shapes
        self._beside = beside
        self._full = full
        self._ways: list[Way] = []
        results.notes.update(NOTES)

    def enter(self, system: System) -> None:
        """Take a started system's ways in."""
        for way in system.ways():
            try:
                way.address(0)
            except Skip as reason:
                self.absent(way, str(reason))
            else:
                self._ways.append(way)
                self._lay_out(way)

    def _lay_out(self, way: Way) -> None:
        """The cells of the way, empty, so that tables keep the order in which the ways came."""
        for shape in self._shapes:
            if shape.in_flight == 1 or way.pipelines:
                key = f"sends.{way.key}.{shape.key}"
                self._results.rows[key] = Row(key, RATES, way.title, shape.title, "/s")
        for shape in ALL_LARGE_SHAPES if self._full else LARGE_SHAPES:
            for _size, name in LARGE_BYTES:
                if self._has_large(way, shape):
                    key = f"sends.{way.key}.{name}.{shape.key}"
                    self._results.rows[key] = Row(key, SIZES, way.title, f"{name}, {shape.title}", "/s")

    def _has_large(self, way: Way, shape: Shape) -> bool:
        return (self._full or way.key in LARGE_WAYS) and (shape.in_flight == 1 or way.pipelines)

    def absent(self, way: Way, reason: str) -> None:
        self._results.skip(f"sends.{way.key}", RATES, way.title, reason)

    def round(self, number: int) -> None:
        """Every way with every shape once. The order turns round from round to round, so that no way always comes first."""
        ways = sorted(self._ways, key=lambda way: ORDER.index(way.key) if way.key in ORDER else len(ORDER))
        ways = ways if number % 2 == 0 else ways[::-1]
        for shape in self._shapes:
            for way in ways:
                if shape.in_flight == 1 or way.pipelines:
                    self._attempt(way, partial(self._small, way, shape))
                if shape.key == "1x1" and way.key == "stream":
                    self._beside()
        for shape in ALL_LARGE_SHAPES if self._full else LARGE_SHAPES:
            for size, name in LARGE_BYTES:
                for way in ways:
                    if self._has_large(way, shape):
                        self._attempt(way, partial(self._large, way, shape, size, name))

    def _attempt(self, way: Way, measure: Callable[[], None]) -> None:
        """A way that fails is measured no more; the others go on."""
        if way not in self._ways:
            return
        try:
            measure()
        except (Skip, *FAILURES) as error:
            self._ways.remove(way)
            self._results.failed(f"sends: {way.title}", error)

    def close_books(self) -> None:
        """Ask every system what it holds."""
        for system in dict.fromkeys(way.system for way in self._ways):
            titles = " / ".join(way.title for way in self._ways if way.system is system)
            difference = float(system.stored() - system.acknowledged)
            self._results.add(f"books.{system.key}", BOOKS, titles, "difference", "", difference)
            self._results.add(f"acked.{system.key}", BOOKS, titles, "acknowledged", "", float(system.acknowledged))

    def _small(self, way: Way, shape: Shape) -> None:
        rate, times = self._burst(way, shape, SMALL, 1_000_000)
        add = self._results.add
        key = f"sends.{way.key}.{shape.key}"
        add(key, RATES, way.title, shape.title, "/s", rate)
        if shape.in_flight == 1 and shape.clients <= 16:
            who = shape.title.removesuffix(", in turn")
            for percent in (50, 99):
                add(f"{key}.p{percent}", TIMES, way.title, f"{who}, p{percent}", "µs", percentile(times, percent))

    def _large(self, way: Way, shape: Shape, size: int, name: str) -> None:
        rate, _times = self._burst(way, shape, size, _LARGE_MOST)
        self._results.add(f"sends.{way.key}.{name}.{shape.key}", SIZES, way.title, f"{name}, {shape.title}", "/s", rate)

    def _burst(self, way: Way, shape: Shape, size: int, most: int) -> tuple[float, list[float]]:
        """(messages a second, the µs of each in ascending order)"""
        jobs = [
            (burst, (way.address(number), self._seconds, shape.in_flight, size, max(most, shape.in_flight)))
            for number in range(shape.clients)
        ]
        begin_s, found = self._fleet.run(*jobs)
        way.system.acknowledged += sum(warm + done.acknowledged for warm, done in found)
        total = sum(done.acknowledged for _warm, done in found)
        ended_s = max(done.ended_s for _warm, done in found)
        return total / (ended_s - begin_s), sorted(us for _warm, done in found for us in done.latencies_us)
