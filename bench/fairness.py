"""A quiet agent beside a flood: how long its sends take, and what the flood keeps of its rate, by every door.

The quiet one sends a message each few milliseconds, the flood has 256 in flight without a pause. A flood takes the machine,
too: its client, a door and a broker use all of two processors, and it keeps the disk busy. So the quiet agent is measured

    at rest     on an idle machine,
    counting    beside a process that only counts,
    elsewhere   beside the same flood at another service: all that the machine takes,
    here        beside the flood at its own service: that, and what the broker takes.
"""

import time
from array import array
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from bench.doors.ways import Door, LastingTcp, Stream, UnixSocket, Zeromq
from bench.fleet import Fleet, Job, burst, wait_until
from bench.openloop import SIZE, Load, precise_sleep
from bench.percentiles import percentile
from bench.report import Results
from bench.service import Service, running
from bench.systems import Address, Poster

ALONE = "A quiet agent without a flood, 256 B: time from when a send was due to the acknowledgement"
BESIDE = "The same beside a flood of 256 in flight"
NOTES = {
    ALONE: "Open loop. *Counting*: beside a process that only counts.",
    BESIDE: "The first door is the flood's, the second the quiet agent's. *Elsewhere*: the flood is at another service of the "
    "same machine, so it takes processors and disk, but not this broker. Ratios are those of one round.",
}
BOOKS = "Books of the floods"
DOORS: tuple[type[Door], ...] = (Stream, Zeromq, UnixSocket, LastingTcp)
NAMES = {"stream": "Unix socket", "zeromq": "ZeroMQ", "unix": "JSON on a Unix socket", "tcp": "TCP"}
MIXED = (("stream", "tcp"), ("tcp", "stream"), ("zeromq", "unix"), ("unix", "zeromq"))
PAIRS = (*((key, key) for key in NAMES), *MIXED)
"""The flood's door and the quiet agent's."""
TEXT = "x" * SIZE
_IN_FLIGHT = 256
_RATE = 300.0
"""Sends a second of the quiet agent."""
_LEAD_S = 0.1
"""The flood runs so long before the quiet agent begins and after it has ended."""
_ANSWER_S = 30.0


@dataclass(frozen=True, slots=True)
class Task:
    """A job for the fleet and its arguments, and the service whose books it changes."""

    job: Job
    arguments: tuple[object, ...]
    service: Service | None = None


@dataclass(frozen=True, slots=True)
class Alone:
    """What a door gave without the other agent: the flood's rate a second, the quiet agent's p99 (µs)."""

    rate: float
    rest: float
    counting: float


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
        now_s = clock()
        if posted < len(due_s) and due_s[posted] <= now_s:
            poster.post(TEXT)
            posted += 1
        elif posted == len(latencies_us):
            wait_until(due_s[posted])
        else:
            until_s = due_s[posted] if posted < len(due_s) else due_s[-1] + _ANSWER_S
            if posted == len(due_s) and now_s > until_s:
                raise TimeoutError("a quiet agent's send is not answered")
            answered = poster.answered(max(0.0, until_s - now_s))
            now_s, first = clock(), len(latencies_us)
            latencies_us.extend((now_s - due) * 1e6 for due in due_s[first : first + answered])
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
    """Rounds of quiet agents and floods, each round at services of its own: floods fill the disk."""

    def __init__(self, results: Results, fleet: Fleet, seconds: float) -> None:
        self._results = results
        self._fleet = fleet
        self._load = Load(_RATE, max(5, int(_RATE * seconds)))
        self._all_s = self._load.due_s()[-1] + 2 * _LEAD_S
        results.notes.update(NOTES)

    def round(self, number: int) -> None:
        with running() as here, running() as elsewhere:
            ways = {door.key: (door(here), door(elsewhere)) for door in DOORS}
            asking = {key: Task(quiet, (way.address(1), self._load), here) for key, (way, _other) in ways.items()}
            floods = {key: (self._flood(here, mine), self._flood(elsewhere, other)) for key, (mine, other) in ways.items()}
            alone = {key: self._alone(key, asking[key], floods[key][0]) for key in ways}
            for flood, other in PAIRS if number % 2 == 0 else PAIRS[::-1]:
                self._beside(f"{flood}-{other}", asking[other], floods[flood], alone[flood], alone[other])
            difference = sum(service.stored() - service.acknowledged for service in (here, elsewhere))
            self._results.add("books.fairness", BOOKS, "fairness", "difference", "", float(difference))

    def _alone(self, door: str, asking: Task, flood: Task) -> Alone:
        """The flood before anybody else has asked, then the quiet agent."""
        line = NAMES[door]
        rate = self._run(flood)[1]
        self._results.add(f"fairness.{door}.flood", ALONE, line, "the flood alone", "/s", rate)
        rest = self._note(f"{door}.rest", ALONE, line, "at rest", self._run(asking)[0])
        counting = self._note(f"{door}.counting", ALONE, line, "counting", self._run(asking, Task(count, (self._all_s,)))[0])
        return Alone(rate, rest, counting)

    def _beside(self, key: str, asking: Task, floods: tuple[Task, Task], flood: Alone, other: Alone) -> None:
        """``floods``: here and elsewhere; ``flood`` and ``other``: what the two doors gave alone in this round."""
        line = ", ".join(NAMES[door] for door in key.split("-"))
        elsewhere = self._note(f"{key}.elsewhere", BESIDE, line, "elsewhere", self._run(asking, floods[1])[0])
        times, rate = self._run(asking, floods[0])
        here = self._note(f"{key}.here", BESIDE, line, "here", times)
        add = self._results.add
        add(f"fairness.{key}.ratio", BESIDE, line, "p99 / elsewhere", "x", here / elsewhere)
        add(f"fairness.{key}.counting", BESIDE, line, "p99 / counting", "x", here / other.counting)
        add(f"fairness.{key}.rest", BESIDE, line, "p99 / at rest", "x", here / other.rest)
        add(f"fairness.{key}.flood", BESIDE, line, "the flood here", "/s", rate)
        add(f"fairness.{key}.kept", BESIDE, line, "of its rate alone", "%", 100 * rate / flood.rate)

    def _flood(self, service: Service, way: Door) -> Task:
        return Task(burst, (way.address(0), self._all_s, _IN_FLIGHT, SIZE, 10_000_000), service)

    def _run(self, *tasks: Task) -> tuple["array[float]", float]:
        """(µs of the quiet agent's sends, messages a second of the flood)"""
        begin_s, found = self._fleet.run(*((task.job, task.arguments) for task in tasks))
        times: array[float] = array("d")
        rate = 0.0
        for task, result in zip(tasks, found, strict=True):
            if task.service is None:
                continue
            if task.job is quiet:
                times = result
                task.service.acknowledged += len(times)
            else:
                warm, done = result
                rate = done.acknowledged / (done.ended_s - begin_s)
                task.service.acknowledged += warm + done.acknowledged
        return times, rate

    def _note(self, key: str, table: str, line: str, column: str, times: "array[float]") -> float:
        """Returns the p99."""
        ordered = sorted(times)
        for percent in (50, 99):
            value = percentile(ordered, percent)
            self._results.add(f"fairness.{key}.p{percent}", table, line, f"{column}, p{percent}", "µs", value)
        return value
