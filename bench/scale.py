"""What sends and checks cost as the broker fills: with queued mail, mailboxes, connections and recipients."""

import random
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import zmq

from bench import proc
from bench.doors.zeromq import WireSender
from bench.report import Results
from bench.sends import SMALL
from bench.service import Service, running
from broker.client.sync import Client, Connection, connect
from broker.home.endpoints import endpoint

QUEUED = "Scale: messages queued"
MAILBOXES = "Scale: mailboxes"
CONNECTIONS = "Scale: connections open"
BROADCAST = "Scale: broadcast"
NOTES = {
    QUEUED: "256 B over 100 mailboxes. Sends: one client with 1,024 in flight. Checks: one after the other, up to 10 messages.",
    MAILBOXES: "Each registered, 10 messages waiting in it. Sends go to a mailbox at random, checks are of one at random. "
    "*Pipelined*: 4,000 sends after a rest. *Without a pause*: 10 s of them, so that what is put off has to be done meanwhile.",
    CONNECTIONS: "All from one process; one of them sends 1,024 in flight, then each in its turn sends one message and waits.",
}
_BOXES = 100
_PROBE = 4_000
_CHECKS = 100
_AT_ONCE = 20_000
_SUSTAINED = 2
"""Rounds of sends without a pause."""
_REGISTERED_AT_ONCE = 32
"""So few that the answer comes before the client asks again: a second registration would end the first one's session."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A filled service and one client."""

    line: str
    service: Service
    client: Client
    boxes: dict[str, str]
    """Tokens by name."""


class Scale:
    """The curves; ``most`` caps every size, so that a short run takes the same path. ``seconds`` of sends without a pause."""

    def __init__(self, results: Results, most: int = 1_000_000, repeats: int = 5, seconds: float = 10.0) -> None:
        self._results = results
        self._most = most
        self._repeats = repeats
        self._seconds = seconds
        results.notes.update(NOTES)
        self.difference = 0

    def measure(self) -> None:
        allow_connections()
        self.queued()
        self.mailboxes()
        self.connections()
        self.broadcast()

    def sizes(self, *sizes: int) -> list[int]:
        return [size for size in sizes if size <= self._most] or [self._most]

    def queued(self) -> None:
        with running() as service:
            boxes = register(service, [f"box-{n}" for n in range(_BOXES)])
            with connect("bench-fill", settings=service.settings) as client:
                for size in self.sizes(1_000, 10_000, 100_000, 1_000_000):
                    fill(service, client, list(boxes), size - service.acknowledged)
                    line = f"{size:,}"
                    self._probe("queued", QUEUED, line, service, client, boxes)
                    self._memory("queued", QUEUED, line, service)
                    self._add("queued", QUEUED, line, "database", "MB", service.database_bytes() / 1e6)
            for _ in range(min(3, self._repeats)):
                service.halt()
                self._add("queued", QUEUED, line, "start to the first answer", "ms", start_ms(service))
            self._add("queued", QUEUED, line, "broker RSS after that start", "MB", proc.resident_mb(service.pids()["broker"]))
            self._close_books(service)

    def mailboxes(self) -> None:
        """All sizes side by side, so that the machine's mood meets all of them; who is not measured has come to rest."""
        sizes = self.sizes(10, 100, 1_000, 10_000)
        with ExitStack() as stack:
            stands = [stack.enter_context(self._stand(size)) for size in sizes]
            for stand in stands:
                proc.at_rest_s(stand.service.pid())
            for number in range(self._repeats):
                for stand in stands if number % 2 == 0 else stands[::-1]:
                    self._probe("mailboxes", MAILBOXES, stand.line, stand.service, stand.client, stand.boxes)
                    proc.at_rest_s(stand.service.pid())
            for stand in stands:
                self._memory("mailboxes", MAILBOXES, stand.line, stand.service)
        ends = [sizes[0], sizes[-1]]
        for number in range(min(self._repeats, _SUSTAINED)):
            for size in ends if number % 2 == 0 else ends[::-1]:
                with self._stand(size) as stand:  # a new one: what the last one puts off takes minutes
                    self._sustain(stand)

    @contextmanager
    def _stand(self, size: int) -> "Iterator[Stand]":
        """A service with so many mailboxes, ten messages in each."""
        with running(IPC_UNCLAIMED_LIMIT="100000") as service:
            boxes = register(service, [f"box-{n}" for n in range(size)])
            with connect("bench-fill", settings=service.settings) as client:
                fill(service, client, list(boxes), 10 * size)
                yield Stand(f"{size:,}", service, client, boxes)
            self._close_books(service)

    def _sustain(self, stand: "Stand") -> None:
        """Send without a pause, so long that what is put off has to be done meanwhile."""
        pick = random.Random(2)  # noqa: S311 (no secret)
        picked, count = pick.choices(list(stand.boxes), k=_AT_ONCE), 0
        began_s = now_s = time.perf_counter()
        while now_s - began_s < self._seconds:
            fill(stand.service, stand.client, picked, _AT_ONCE)
            count += _AT_ONCE
            now_s = time.perf_counter()
        column = "send, pipelined, without a pause"
        self._add("mailboxes", MAILBOXES, stand.line, column, "µs", (now_s - began_s) / count * 1e6)

    def connections(self) -> None:
        with running() as service:
            address = endpoint(service.settings)
            tokens = register(service, ["bench-box", "bench-many"])
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            context.set(zmq.MAX_SOCKETS, 4096)
            senders: list[WireSender] = []
            try:
                for size in self.sizes(1, 10, 100, 1_000):
                    while len(senders) < size:
                        senders.append(WireSender(address, tokens["bench-many"], context))
                        senders[-1].request(action="whoami")
                    line = f"{size:,}"
                    for _ in range(self._repeats):
                        self._pipelined_and_in_turn(service, senders, line)
                    self._memory("connections", CONNECTIONS, line, service)
            finally:
                for sender in senders:
                    sender.close()
                context.term()
            self._close_books(service)

    def _pipelined_and_in_turn(self, service: Service, senders: list[WireSender], line: str) -> None:
        count = min(_PROBE, self._most)
        began_s = time.perf_counter()
        burst = senders[0].send_for(60.0, 1024, SMALL, count)
        self._add("connections", CONNECTIONS, line, "send, pipelined", "µs", (burst.ended_s - began_s) / count * 1e6)
        picked = [senders[n % len(senders)] for n in range(max(_CHECKS, min(len(senders), 200)))]
        times = sorted(sender.send_for(0.0, 1, SMALL, 1).latencies_us[0] for sender in picked)
        self._add("connections", CONNECTIONS, line, "send, in turn, p50", "µs", statistics.median(times))
        service.acknowledged += count + len(picked)

    def broadcast(self) -> None:
        for size in self.sizes(10, 100, 1_000):
            with running() as service:
                register(service, [f"box-{n}" for n in range(size)])
                with connect("bench-all", settings=service.settings) as client:
                    for _ in range(self._repeats):
                        began_s = time.perf_counter()
                        reply = client.broadcast("x" * SMALL)
                        taken_us = (time.perf_counter() - began_s) * 1e6
                        assert reply["count"] == size
                        service.acknowledged += 1
                        self._add("broadcast", BROADCAST, f"{size:,} recipients", "one broadcast", "µs", taken_us)
                        self._add("broadcast", BROADCAST, f"{size:,} recipients", "a delivery", "µs", taken_us / size)
                self._close_books(service)

    def _probe(self, key: str, table: str, line: str, service: Service, client: Client, boxes: dict[str, str]) -> None:
        """Costs at this size: sends (what they add is taken out again by the checks, as far as it goes) and checks."""
        names, pick = list(boxes), random.Random(1)  # noqa: S311 (no secret)
        connection = Connection(service.settings, autostart=False)
        try:
            for _ in range(self._repeats):
                count = min(_PROBE, self._most)
                began_s = time.perf_counter()
                fill(service, client, pick.choices(names, k=count), count)
                self._add(key, table, line, "send, pipelined", "µs", (time.perf_counter() - began_s) / count * 1e6)
                times = []
                for name in pick.choices(names, k=min(_CHECKS, self._most)):
                    times.append(timed(partial(check, connection, boxes[name])))
                self._add(key, table, line, "check, p50", "µs", statistics.median(times))
        finally:
            connection.close()

    def _memory(self, key: str, table: str, line: str, service: Service) -> None:
        self._add(key, table, line, "broker RSS", "MB", proc.resident_mb(service.pids()["broker"]))

    def _add(self, key: str, table: str, line: str, column: str, unit: str, value: float) -> None:
        self._results.add(f"scale.{key}.{line.partition(' ')[0].replace(',', '')}.{column}", table, line, column, unit, value)

    def _close_books(self, service: Service) -> None:
        self.difference += service.stored() - service.acknowledged


def timed(call: Callable[[], Any]) -> float:
    """Microseconds of a call."""
    began_s = time.perf_counter()
    call()
    return (time.perf_counter() - began_s) * 1e6


def check(connection: Connection, token: str) -> None:
    """Fetch up to ten messages and leave them on lease: acknowledging is a durable write, which sends measure."""
    connection.request("check", session_token=token, limit=10)


def fill(service: Service, client: Client, boxes: list[str], count: int) -> None:
    """Send ``count`` messages, to the boxes in turn. Raises RuntimeError with a refusal."""
    for start in range(0, count, 20_000):
        pairs = [(boxes[n % len(boxes)], "x" * SMALL) for n in range(start, min(count, start + 20_000))]
        for reply in client.send_many(pairs):
            if reply["status"] != "ok":
                raise RuntimeError(f"a send was refused: {reply}")
        service.acknowledged += len(pairs)


def register(service: Service, names: list[str]) -> dict[str, str]:
    """Register names, pipelined. Returns their tokens."""
    connection = Connection(service.settings)
    try:
        tokens: dict[str, str] = {}
        for start in range(0, len(names), _REGISTERED_AT_ONCE):
            some = names[start : start + _REGISTERED_AT_ONCE]
            bodies: list[dict[str, Any]] = [{"action": "register", "instance_id": name, "auth_token": ""} for name in some]
            replies = connection.request_many(bodies, timeout_s=120.0)
            tokens.update((name, reply["session_token"]) for name, reply in zip(some, replies, strict=True))
        return tokens
    finally:
        connection.close()


def start_ms(service: Service) -> float:
    """Milliseconds from no process at all until the broker has answered a first request."""
    began_s = time.perf_counter()
    service.start()
    connection = Connection(service.settings, autostart=False)
    try:
        connection.request("ping")
        return (time.perf_counter() - began_s) * 1e3
    finally:
        connection.close()


def allow_connections() -> None:
    """As many open files as this user may have; the processes that are started inherit it."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
