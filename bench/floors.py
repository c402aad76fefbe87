"""What the machine itself costs: a synced append, and a ZeroMQ round trip between two processes."""

import multiprocessing
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import msgpack
import zmq

_APPEND_BYTES = 4096


def synced_append_us(folder: Path, count: int) -> float:
    """Median microseconds of a 4 KiB append with fdatasync to a file in ``folder``."""
    block = os.urandom(_APPEND_BYTES)
    times = []
    fd, path = tempfile.mkstemp(dir=folder)
    try:
        for _ in range(count):
            began = time.perf_counter()
            os.write(fd, block)
            os.fdatasync(fd)
            times.append(time.perf_counter() - began)
    finally:
        os.close(fd)
        os.unlink(path)
    return statistics.median(times) * 1e6


def round_trip_us(folder: Path, count: int) -> float:
    """Median microseconds of a DEALER-ROUTER round trip over ipc, MessagePack both ways, the ROUTER in a second process."""
    endpoint = f"ipc://{folder / 'echo.sock'}"
    echo = multiprocessing.get_context("spawn").Process(target=_echo, args=(endpoint,), daemon=True)
    echo.start()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.linger = 0
    try:
        dealer.connect(endpoint)
        request = {"action": "send", "to_id": "b", "message": {"content": "x" * 256}, "id": 1}
        for _ in range(min(count, 50)):
            _exchange(dealer, request)
        times = []
        for _ in range(count):
            began = time.perf_counter()
            _exchange(dealer, request)
            times.append(time.perf_counter() - began)
        return statistics.median(times) * 1e6
    finally:
        dealer.send(b"")
        echo.join(5)
        dealer.close()
        context.term()


def _exchange(dealer: "zmq.Socket[bytes]", request: dict[str, Any]) -> None:
    dealer.send(msgpack.packb([request]))
    if not dealer.poll(10_000):
        raise TimeoutError("the echo process does not answer")
    msgpack.unpackb(dealer.recv())


def _echo(endpoint: str) -> None:
    """Answer each frame with a short map until an empty frame comes."""
    router = zmq.Context().socket(zmq.ROUTER)
    router.bind(endpoint)
    while True:
        route, frame = router.recv_multipart()
        if not frame:
            return
        request = msgpack.unpackb(frame)[0]
        router.send_multipart([route, msgpack.packb([{"id": request["id"], "status": "ok"}])])
