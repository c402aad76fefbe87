"""From the moment a message is due to the moment its receiver has it, at fractions of the highest rate."""

from collections.abc import Sequence
from typing import Any

from bench import openloop
from bench.doors.pipes import stream_address
from bench.doors.zeromq import BOX
from bench.fleet import Fleet, Job
from bench.openloop import Load
from bench.percentiles import percentile
from bench.report import Results
from bench.service import Service
from bench.systems import System
from broker.client.sync import connect

TABLE = "Latency under load: one sender, one waiting receiver, 256 B, durability full, Unix socket of the broker"
NOTE = (
    "µs from the instant a message was due (open loop, Poisson arrivals) until its receiver had it by push, and until its "
    "sender had the durable acknowledgement. The top rate is what the pair carries: stored, pushed and acknowledged. Sent late "
    "is what of that the load's own sender took from the instant that a message was due to giving it to its socket."
)
PUSHES = "Push to a receiver that waits, 256 B: one message at a time, both ends in one process"
PROBE = "Send in turn beside half of the top rate: a message each 2 ms, 256 B, durability full, Unix socket of the broker"
PROBED = "until acknowledged"
PERCENTS = (50.0, 99.0, 99.9)
FRACTIONS = (0.1, 0.5, 0.9)
_IN_FLIGHT = 256
_PUSHES_A_SECOND = 300
_TOO_MUCH = 1.3
"""Of the top rate. That is measured with frames of 64; what is due at random instants comes in smaller ones and costs more."""
_Task = tuple[Job, tuple[Any, ...]]


class Latency:
    """A sender's and a receiver's sessions at one service, and a round of loads between them."""

    def __init__(self, results: Results, fleet: Fleet, service: Service, seconds: float, rivals: Sequence[System] = ()) -> None:
        self._results = results
        self._fleet = fleet
        self._service = service
        self._seconds = seconds
        self._rivals = rivals
        self._address = stream_address(service.settings)
        self._sender = connect("bench-due", settings=service.settings)
        self._receiver = connect(BOX, settings=service.settings)
        self._prober = connect("bench-probe", settings=service.settings)
        results.notes[TABLE] = NOTE

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()
        self._prober.close()

    def round(self) -> None:
        add = self._results.add
        pushes = max(5, int(_PUSHES_A_SECOND * self._seconds))
        job = (openloop.push, (self._address, self._sender.token, self._receiver.token, pushes))
        self._push("push", "**Unix socket of the broker**, durability full", self._service, job, pushes)
        for rival in self._rivals:
            if (theirs := rival.push(pushes)) is not None:
                self._push(f"push.{rival.key}", rival.ways()[0].title, rival, theirs, pushes)
        top = self._top_rate(max(500, int(20_000 * self._seconds)))
        add("latency.top", TABLE, "256 in flight: the top rate", "rate", "/s", top)
        for fraction in FRACTIONS:
            self._note(f"{fraction:.0%}", f"{fraction:.0%} of the top rate", self._load(top * fraction))
        carried = self._carried(self._load(top * _TOO_MUCH))
        add("latency.carried", TABLE, "more due than is carried: what arrives", "rate", "/s", carried)
        self._note("carried", "90% of what is carried then", self._load(min(top, carried) * 0.9))
        self._probe(self._load(top / 2))

    def _load(self, rate: float) -> Load:
        return Load(rate, max(50, int(rate * self._seconds)))

    def _probe(self, load: Load) -> None:
        """What one who sends in turn sees beside half of the top rate: a stall of the broker is its longest send."""
        probe = (openloop.probe, (self._address, self._prober.token, load.count / load.rate))
        sender = (openloop.send, (self._address, self._sender.token, load))
        _begin_s, (_none, _sent, times) = self._run(sender, load.count, probe)
        self._service.acknowledged += len(times)
        for percent, column in ((50.0, "p50"), (99.0, "p99"), (100.0, "longest")):
            self._results.add(f"probe.{column}", PROBE, PROBED, column, "µs", percentile(sorted(times), percent))

    def _push(self, key: str, line: str, system: System, job: tuple[Job, tuple[Any, ...]], count: int) -> None:
        times = sorted(self._fleet.run(job)[1][0])
        system.acknowledged += count
        for percent in PERCENTS[:2]:
            self._results.add(f"{key}.p{percent:g}", PUSHES, line, f"p{percent:g}", "µs", percentile(times, percent))

    def _top_rate(self, count: int) -> float:
        sender = (openloop.flood, (self._address, self._sender.token, count, _IN_FLIGHT))
        begin_s, ((ended_s, _times), _none) = self._run(sender, count)
        return float(count / (ended_s - begin_s))

    def _carried(self, load: Load) -> float:
        """Messages a second that arrive. Below the top rate, the loads near to that are more than can be carried."""
        sender = (openloop.send, (self._address, self._sender.token, load))
        begin_s, ((ended_s, _times), _sent) = self._run(sender, load.count)
        return float(load.count / (ended_s - begin_s))

    def _carry(self, load: Load) -> tuple[list[float], list[float], list[float]]:
        """(µs until here, µs until acknowledged, µs that they left late), each in ascending order."""
        sender = (openloop.send, (self._address, self._sender.token, load))
        _begin_s, ((_ended_s, arrived), (acknowledged, late)) = self._run(sender, load.count)
        assert len(arrived) == len(acknowledged) == len(late) == load.count
        return sorted(arrived), sorted(acknowledged), sorted(late)

    def _run(self, sender: _Task, count: int, *others: _Task) -> tuple[float, list[Any]]:
        """What the receiver returns, then the sender, then the others."""
        self._service.acknowledged += count
        receiver = (openloop.receive, (self._address, self._receiver.token, count))
        return self._fleet.run(receiver, sender, *others)

    def _note(self, key: str, line: str, load: Load) -> None:
        arrived, acknowledged, late = self._carry(load)
        for what, title, times in (("here", "received", arrived), ("acked", "acknowledged", acknowledged)):
            for percent in PERCENTS:
                column = f"{title} p{percent:g}"
                self._results.add(f"latency.{key}.{what}.p{percent:g}", TABLE, line, column, "µs", percentile(times, percent))
        self._results.add(f"latency.{key}.late.p99", TABLE, line, "sent late by p99", "µs", percentile(late, 99.0))
