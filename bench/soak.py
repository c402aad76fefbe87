"""Steady load for minutes: does the database stop growing once mail expires, and do the slowest sends stay as fast?

``python -m bench soak --minutes 10``. Mail lives for a short time by settings, so that sweeping keeps up with sending or
does not: half of the mail is read and acknowledged, the other half expires unread.
"""

import os
import time
from array import array
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import proc
from bench.doors.zeromq import BOX, WireSender
from bench.fleet import Fleet, Job, wait_until
from bench.openloop import Load, drive, precise_sleep, pushed
from bench.percentiles import percentile
from bench.report import Results
from bench.service import Service, running
from broker.client.sync import connect
from broker.home.endpoints import endpoint

TABLE = "Soak: steady load with short expiry"
_KEEP_S = 60
_RATE = 1_000.0
_SLICE_S = 10.0
_CONTROL = "the disk's own p99"
UNREAD = "bench-unread"


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice of time gave: µs until acknowledged and µs of the disk's own syncs, ascending; the sizes at its end."""

    times: list[float]
    syncs: list[float]
    database_mb: float
    broker_mb: float


def measure(results: Results, fleet: Fleet, minutes: float) -> None:
    """Slices of ten seconds, then the first and the last quarter of them as a whole."""
    keep_s = min(_KEEP_S, max(1, int(minutes * 60 / 5)))
    slice_s = min(_SLICE_S, minutes * 60 / 6)
    results.notes[TABLE] = (
        f"{_RATE:,.0f} messages/s of 256 B, half of them read; read and unread mail kept for {keep_s} s. µs from being due "
        "to the durable acknowledgement (open loop). The disk's own p99: an append + fdatasync ten times a second meanwhile."
    )
    with running(IPC_UNREAD_TTL=str(keep_s), IPC_READ_TTL=str(keep_s), IPC_DEDUPE=str(keep_s)) as service:
        slices = carry(fleet, service, max(4, int(minutes * 60 / slice_s)), slice_s)
    for number, one in enumerate(slices):
        line = f"{number * slice_s:.0f}-{(number + 1) * slice_s:.0f} s"
        for percent in (50.0, 99.0, 99.9):
            results.add(f"soak.{number}.p{percent:g}", TABLE, line, f"p{percent:g}", "µs", percentile(one.times, percent))
        results.add(f"soak.{number}.sync", TABLE, line, _CONTROL, "µs", percentile(one.syncs, 99))
        results.add(f"soak.{number}.database", TABLE, line, "database", "MB", one.database_mb)
        results.add(f"soak.{number}.broker", TABLE, line, "broker RSS", "MB", one.broker_mb)
    quarter = max(1, len(slices) // 4)
    summarize(results, slices[:quarter], "first", "first quarter")
    summarize(results, slices[-quarter:], "last", "last quarter")


def summarize(results: Results, slices: list[Slice], key: str, line: str) -> None:
    times = sorted(us for one in slices for us in one.times)
    for percent in (50.0, 99.0, 99.9):
        results.add(f"soak.{key}.p{percent:g}", TABLE, line, f"p{percent:g}", "µs", percentile(times, percent))
    syncs = sorted(us for one in slices for us in one.syncs)
    results.add(f"soak.{key}.sync", TABLE, line, _CONTROL, "µs", percentile(syncs, 99))
    results.add(f"soak.{key}.database", TABLE, line, "database", "MB", max(one.database_mb for one in slices))
    results.add(f"soak.{key}.broker", TABLE, line, "broker RSS", "MB", max(one.broker_mb for one in slices))


def carry(fleet: Fleet, service: Service, count: int, slice_s: float) -> list[Slice]:
    address, slices = endpoint(service.settings), []
    with (
        connect("bench-due", settings=service.settings) as sender,
        connect(BOX, settings=service.settings) as reader,
        connect(UNREAD, settings=service.settings),
    ):
        for number in range(count):
            load = Load(_RATE / 2, int(_RATE / 2 * slice_s))
            jobs: list[tuple[Job, tuple[Any, ...]]] = [
                (send, (address, sender.token, box, load, number)) for box in (BOX, UNREAD)
            ]
            jobs += [(read, (address, reader.token, load.count)), (sync, (str(service.home), slice_s))]
            _began_s, found = fleet.run(*jobs)
            service.acknowledged += 2 * load.count
            times = sorted(us for times in found[:2] for us in times)
            broker = service.pids()["broker"]
            slices.append(Slice(times, sorted(found[3]), service.database_bytes() / 1e6, proc.resident_mb(broker)))
    return slices


def send(endpoint: str, token: str, box: str, load: Load, seed: int) -> "Generator[None, float, array[float]]":
    """Job: the load to one mailbox. Returns the µs from being due to the acknowledgement, of each."""
    precise_sleep()
    sender = WireSender(endpoint, token, box=box)
    try:
        begin_s = yield
        wait_until(begin_s)
        return drive(sender, array("d", (begin_s + offset for offset in load.due_s(seed))))
    finally:
        sender.close()


def read(endpoint: str, token: str, count: int) -> Generator[None, float, int]:
    """Job: take what is pushed and acknowledge it, until ``count`` messages have come or none comes for a second."""
    client = WireSender(endpoint, token)
    try:
        client.request(action="subscribe", window=10_000)
        yield
        got = 0
        while got < count and client.pipe.wait(1.0):
            ids = [mail["id"] for mail in pushed(client.receive())]
            if ids:
                client.tell(action="ack", ids=ids)
                got += len(ids)
        client.request(action="unsubscribe")
        return got
    finally:
        client.close()


def sync(folder: str, seconds: float) -> Generator[None, float, list[float]]:
    """Job: ten times a second, what the disk takes for itself. Returns the µs of each."""
    path, block = Path(folder) / "control", os.urandom(4096)
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        begin_s = yield
        times = []
        for number in range(max(1, int(seconds * 10))):
            wait_until(begin_s + number * 0.1)
            began_s = time.perf_counter()
            os.write(fd, block)
            os.fdatasync(fd)
            times.append((time.perf_counter() - began_s) * 1e6)
        return times
    finally:
        os.close(fd)
        path.unlink()
