"""What the machine itself costs: a synced append, SQLite's group commit, a ZeroMQ round trip, MessagePack."""

import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import zmq

from bench.fleet import Fleet, wait_until
from bench.report import Results
from bench.service import TEMPORARY

TABLE = "Floors: what the parts cost on their own"
BATCHES = (1, 16, 64, 256, 1024)
_APPEND_BYTES = 4096
_REQUEST = {"action": "send", "to_id": "bench-box", "message": {"content": "x" * 256}, "message_id": "64-1", "id": 1}


def measure(results: Results, fleet: Fleet, scale: int) -> None:
    """One round; ``scale`` divides the work."""
    sync(results, fleet, scale)
    with tempfile.TemporaryDirectory(prefix="floor-", dir=TEMPORARY) as name:
        for batch in BATCHES:
            rows = max(1, min(300, 16_384 // batch) // scale) * batch
            line = f"SQLite, WAL, synchronous=FULL, {batch:,} row{'s' if batch > 1 else ''} a transaction: a row"
            results.add(f"floor.sqlite.{batch}", TABLE, line, "", "µs", group_commit_us(Path(name), rows, batch))
    count = 20_000 // scale
    results.add("floor.pack", TABLE, "MessagePack, one send of 256 B, pack", "", "µs", pack_us(count))
    results.add("floor.unpack", TABLE, "MessagePack, one send of 256 B, unpack", "", "µs", unpack_us(count))


def sync(results: Results, fleet: Fleet, scale: int, key: str = "floor", note: str = "") -> None:
    """What a send in turn can't go below: a synced write and a round trip."""
    with tempfile.TemporaryDirectory(prefix="floor-", dir=TEMPORARY) as name:
        synced_us = synced_append_us(Path(name), 200 // scale + 5)
        trip_us = round_trip_us(fleet, Path(name), 1000 // scale + 5)
    results.add(f"{key}.fdatasync", TABLE, f"4 KiB append + fdatasync, p50{note}", "", "µs", synced_us)
    results.add(f"{key}.roundtrip", TABLE, f"ZeroMQ round trip between two processes, p50{note}", "", "µs", trip_us)


def synced_append_us(folder: Path, count: int) -> float:
    """Median microseconds of a 4 KiB append with fdatasync to a file in ``folder``."""
    block = os.urandom(_APPEND_BYTES)
    times = []
    fd, path = tempfile.mkstemp(dir=folder)
    try:
        for _ in range(count):
            began_s = time.perf_counter()
            os.write(fd, block)
            os.fdatasync(fd)
            times.append(time.perf_counter() - began_s)
    finally:
        os.close(fd)
        os.unlink(path)
    return statistics.median(times) * 1e6


def group_commit_us(folder: Path, rows: int, batch: int) -> float:
    """Mean microseconds of an inserted row, ``batch`` of them in each durable transaction."""
    path = folder / f"floor-{batch}.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = wal")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, recipient TEXT, content TEXT)")
        block = [("bench-box", "x" * 256)] * batch
        began_s = time.perf_counter()
        for _ in range(rows // batch):
            db.execute("BEGIN IMMEDIATE")
            db.executemany("INSERT INTO message (recipient, content) VALUES (?,?)", block)
            db.execute("COMMIT")
        return (time.perf_counter() - began_s) / rows * 1e6


def pack_us(count: int) -> float:
    began_s = time.perf_counter()
    for _ in range(count):
        msgpack.packb(_REQUEST)
    return (time.perf_counter() - began_s) / count * 1e6


def unpack_us(count: int) -> float:
    frame = msgpack.packb(_REQUEST)
    began_s = time.perf_counter()
    for _ in range(count):
        msgpack.unpackb(frame)
    return (time.perf_counter() - began_s) / count * 1e6


def round_trip_us(fleet: Fleet, folder: Path, count: int) -> float:
    """Median microseconds of a DEALER-ROUTER round trip over ipc, MessagePack both ways, each end in its own process."""
    endpoint = f"ipc://{folder / 'echo.sock'}"
    times: list[float] = fleet.run((echo, (endpoint,)), (ask, (endpoint, count)))[1][1]
    return statistics.median(times) * 1e6


def echo(endpoint: str) -> Generator[None, float, None]:
    """Job: answer each frame with a short map until an empty frame comes."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(endpoint)
    try:
        yield
        while router.poll(30_000):
            route, frame = router.recv_multipart()
            if not frame:
                return
            request = msgpack.unpackb(frame)[0]
            router.send_multipart([route, msgpack.packb([{"id": request["id"], "status": "ok"}])])
    finally:
        router.close(0)
        context.term()


def ask(endpoint: str, count: int) -> Generator[None, float, list[float]]:
    """Job: the seconds of each of ``count`` round trips."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.connect(endpoint)
    try:
        wait_until((yield))
        times = []
        for _ in range(count):
            began_s = time.perf_counter()
            _exchange(dealer, _REQUEST)
            times.append(time.perf_counter() - began_s)
        dealer.send(b"")
        return times[min(50, count // 2) :]
    finally:
        dealer.close(1000)
        context.term()


def _exchange(dealer: "zmq.Socket[bytes]", request: dict[str, Any]) -> None:
    dealer.send(msgpack.packb([request]))
    if not dealer.poll(10_000):
        raise TimeoutError("the echo process does not answer")
    msgpack.unpackb(dealer.recv())
