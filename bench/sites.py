"""Part ``sites``: what NATS costs below the doors, on one node and on three, and what it carries for many sites."""

import asyncio
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack

from bench.fleet import Fleet, burst, wait_until
from bench.many_sites import WINDOW, ManySites, publish
from bench.nats_nodes import client_module, connect, find_server
from bench.percentiles import percentile
from bench.report import Results
from bench.rivals.nats import SUBJECT, NatsServer
from bench.sends import SMALL
from bench.systems import Skip

ENGINE = f"Sites: the nodes alone, {SMALL} B, on the disk of each node before it is acknowledged"
NOTE = (
    "What a door can't be faster than. *Until read*: one message at a time, from publishing until a reader in the same process "
    "has it. One node: R1; three: a leader and two followers, R3, of which two must have it."
)
_PUSHES = 200
_MOST = 1_000_000


class Engine:
    """One node and a cluster of three, by turns."""

    def __init__(self, results: Results, fleet: Fleet, seconds: float = 1.0, pushes: int = _PUSHES) -> None:
        self._results = results
        self._fleet = fleet
        self._seconds = seconds
        self._pushes = pushes
        results.notes[ENGINE] = NOTE

    def measure(self, rounds: int) -> None:
        with ExitStack() as stack:
            systems = [NatsServer("always", nodes) for nodes in (1, 3)]
            for system in systems:
                stack.callback(system.stop)
                system.start()
            for number in range(rounds):
                for system in systems if number % 2 == 0 else systems[::-1]:
                    self._rates(system)
                    self._until_read(system)

    def _rates(self, system: NatsServer) -> None:
        job = (burst, (system.ways()[0].address(0), self._seconds, 1, SMALL, _MOST))
        begin_s, ((_warm, done),) = self._fleet.run(job)
        self._add(system, "1", "in turn", "/s", done.acknowledged / (done.ended_s - begin_s))
        for percent in (50, 99):
            self._add(system, f"p{percent}", f"in turn, p{percent}", "ms", percentile(sorted(done.latencies_us), percent) / 1e3)
        begin_s, ((count, ended_s),) = self._fleet.run((windows, (system.nodes.urls, self._seconds)))
        self._add(system, f"{WINDOW}", f"windows of {WINDOW}", "/s", count / (ended_s - begin_s))

    def _until_read(self, system: NatsServer) -> None:
        _begin_s, (times_us,) = self._fleet.run(system.push(self._pushes))
        for percent in (50, 99):
            ms = percentile(sorted(times_us), percent) / 1e3
            self._add(system, f"read.p{percent}", f"until read, p{percent}", "ms", ms)

    def _add(self, system: NatsServer, key: str, column: str, unit: str, value: float) -> None:
        count = len(system.nodes.nodes)
        line = "1 node, R1" if count == 1 else f"{count} nodes, R{count}"
        self._results.add(f"sites.engine.r{count}.{key}", ENGINE, line, column, unit, value)


def windows(urls: Sequence[str], seconds: float) -> Generator[None, float, tuple[int, float]]:
    """Job: publish as a door does. Returns (messages acknowledged, when the last of them was)."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(connect(urls))
    jetstream, window = connection.jetstream(timeout=10), [(SUBJECT, b"x" * SMALL)] * WINDOW
    try:
        loop.run_until_complete(publish(jetstream, window[:1]))
        wait_until((yield))
        end_s, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < end_s or not count:
            loop.run_until_complete(publish(jetstream, window))
            count += len(window)
        return count, time.perf_counter()
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


def measure(results: Results, fleet: Fleet, rounds: int, *, quick: bool) -> None:
    """The nodes alone, then many sites. Where nats-server or its client is missing, one line says so."""
    try:
        find_server()
        errors = client_module().errors.Error
    except Skip as reason:
        results.skip("sites", ENGINE, "nats-server", str(reason))
        return
    try:
        Engine(results, fleet, *((0.02, 5) if quick else ())).measure(rounds)
        ManySites(results, *((20, 200, 400, 0.2) if quick else ())).measure()
    except errors as error:
        raise RuntimeError(f"nats-server: {error}") from error
