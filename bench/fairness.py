"""A quiet agent beside a flood: how long its sends take, and what the flood keeps of its rate, by every door.

The quiet one sends a message each few milliseconds, the flood has 256 in flight without a pause. On few processors the flood's
own client takes one of them, so the quiet one is measured beside a process that only counts, too: that is what the machine
takes, and the rest is the broker's.
"""

import os
import time
from array import array
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from bench.doors.ways import LastingTcp, Stream, UnixSocket, Zeromq
from bench.fleet import Fleet, Job, burst, wait_until
from bench.openloop import SIZE, Load, precise_sleep
from bench.percentiles import percentile
from bench.report import Results
from bench.service import Service
from bench.systems import Address, Poster

ALONE = "A quiet agent without a flood, 256 B: time from when a send was due to the acknowledgement"
BESIDE = "The same beside a flood of 256 in flight, and the flood's rate"
NOTES = {
    ALONE: "Open loop. *A processor busy*: beside a process that only counts, as a flood's client takes a processor, too; "
    "*all processors busy*: beside one for each of them.",
    BESIDE: "The first door is the flood's, the second the quiet agent's. Ratios are those of one round.",
}
BOOKS = "Books of the floods"
DOORS = (Stream, Zeromq, UnixSocket, LastingTcp)
NAMES = {"stream": "Unix socket", "zeromq": "ZeroMQ", "unix": "JSON on a Unix socket", "tcp": "TCP"}
MIXED = (("stream", "tcp"), ("tcp", "stream"), ("zeromq", "unix"), ("unix", "zeromq"))
PAIRS = (*((key, key) for key in NAMES), *MIXED)
"""The flood's door and the quiet agent's."""
MACHINES = {
    "idle": ("idle", 0),
    "busy": ("a processor busy", 1),
    "full": ("all processors busy", len(os.sched_getaffinity(0))),
}
"""Titles, and how many processes count meanwhile. A flood's client takes a processor, and the broker or a door the next."""
TEXT = "x" * SIZE
_IN_FLIGHT = 256
_RATE = 300.0
"""Sends a second of the quiet agent."""
_LEAD_S = 0.1
"""The flood runs so long before the quiet agent begins and after it has ended."""
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """A job for the fleet and its arguments."""

    job: Job
    arguments: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Alone:
    """What a door gave without the other agent: the flood's rate a second; the quiet agent's p99 (µs) by ``MACHINES``."""

    rate: float
    p99: dict[str, float]


def quiet(address: Address, load: Load) -> Generator[None, float, "array[float]"]:
    """Job: post each message when it is due, whether those before are answered or not. µs from being due to the answer."""
    precise_sleep()
    poster: Poster = address.open()
    try:
        begin_s = (yield) + _LEAD_S
        return drive(poster, [begin_s + offset_s for offset_s in load.due_s()])
    finally:
        poster.close()


def drive(poster: Poster, due_s: Sequence[float]) -> "array[float]":
    latencies_us: array[float] = array("d")
    clock, posted = time.perf_counter, 0
    while len(latencies_us) < len(due_s):
        if posted < len(due_s) and due_s[posted] <= clock():
            poster.post(TEXT)
            posted += 1
            continue
        wait_s = due_s[posted] - clock() if posted < len(due_s) else _ANSWER_S
        if posted == len(latencies_us):
            wait_until(due_s[posted])
        elif count := poster.answered(max(0.0, wait_s)):
            now_s = clock()
            latencies_us.extend((now_s - due) * 1e6 for due in due_s[len(latencies_us) : len(latencies_us) + count])
        elif posted == len(due_s):
            raise TimeoutError("a quiet agent's send is not answered")
    return latencies_us


def count(seconds: float) -> Generator[None, float, int]:
    """Job: keep a processor busy."""
    begin_s = yield
    wait_until(begin_s)
    number = 0
    while time.perf_counter() < begin_s + seconds:
        number += 1
    return number


class Fairness:
    """Rounds of quiet agents and floods, each round at a service of its own: floods fill the disk."""

    def __init__(self, results: Results, fleet: Fleet, seconds: float) -> None:
        self._results = results
        self._fleet = fleet
        self._load = Load(_RATE, max(5, int(_RATE * seconds)))
        self._all_s = self._load.due_s()[-1] + 2 * _LEAD_S
        results.notes.update(NOTES)

    def round(self, number: int) -> None:
        service = Service()
        try:
            service.start()
            ways = {door.key: door(service) for door in DOORS}
            places = {key: (way.address(0), way.address(1)) for key, way in ways.items()}
            alone = {key: self._alone(service, key, *place) for key, place in places.items()}
            for flood, other in PAIRS if number % 2 == 0 else PAIRS[::-1]:
                self._beside(service, f"{flood}-{other}", places[flood][0], places[other][1], alone[flood], alone[other])
            self._results.add(
                "books.fairness", BOOKS, "fairness", "difference", "", float(service.stored() - service.acknowledged)
            )
        finally:
            service.stop()

    def _alone(self, service: Service, door: str, floods: Address, mine: Address) -> Alone:
        """The flood before anybody else has asked, then the quiet agent on an idle machine and on busy ones."""
        line = NAMES[door]
        rate = self._run(service, self._flood(floods))[1]
        self._results.add(f"fairness.{door}.flood", ALONE, line, "the flood alone", "/s", rate)
        asking, counting = Task(quiet, (mine, self._load)), Task(count, (self._all_s,))
        p99 = {
            key: self._note(f"{door}.{key}", ALONE, line, title, self._run(service, asking, *[counting] * processes)[0])
            for key, (title, processes) in MACHINES.items()
        }
        return Alone(rate, p99)

    def _beside(self, service: Service, key: str, floods: Address, mine: Address, flood: Alone, other: Alone) -> None:
        """``flood`` and ``other``: what the two doors gave alone in this round."""
        line = ", ".join(NAMES[door] for door in key.split("-"))
        times, rate = self._run(service, Task(quiet, (mine, self._load)), self._flood(floods))
        p99 = self._note(key, BESIDE, line, "quiet", times)
        add = self._results.add
        for machine, (title, _processes) in MACHINES.items():
            add(
                f"fairness.{key}.{machine}", BESIDE, line, f"p99 / that without a flood, {title}", "x", p99 / other.p99[machine]
            )
        add(f"fairness.{key}.flood", BESIDE, line, "flood", "/s", rate)
        add(f"fairness.{key}.kept", BESIDE, line, "of its rate alone", "%", 100 * rate / flood.rate)

    def _flood(self, address: Address) -> Task:
        return Task(burst, (address, self._all_s, _IN_FLIGHT, SIZE, 10_000_000))

    def _run(self, service: Service, *tasks: Task) -> tuple["array[float]", float]:
        """(µs of the quiet agent's sends, messages a second of the flood)"""
        begin_s, found = self._fleet.run(*((task.job, task.arguments) for task in tasks))
        times: array[float] = array("d")
        rate = 0.0
        for task, result in zip(tasks, found, strict=True):
            if task.job is quiet:
                times = result
                service.acknowledged += len(times)
            elif task.job is burst:
                warm, done = result
                rate = done.acknowledged / (done.ended_s - begin_s)
                service.acknowledged += warm + done.acknowledged
        return times, rate

    def _note(self, key: str, table: str, line: str, column: str, times: "array[float]") -> float:
        """Returns the p99."""
        ordered = sorted(times)
        for percent in (50, 99):
            value = percentile(ordered, percent)
            self._results.add(f"fairness.{key}.p{percent}", table, line, f"{column}, p{percent}", "µs", value)
        return value
