"""Load that does not wait: each message is charged from the instant it was due."""

import threading
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack
import pytest
import zmq

from bench import fairness, openloop
from bench.doors.zeromq import WireSender
from bench.openloop import Load, next_batch, read_stamp, stamp

ALL = 40


def test_messages_are_due_at_the_same_instants_every_time_and_at_the_rate_on_average() -> None:
    due_s = Load(rate=1000.0, count=20_000).due_s()
    assert due_s == Load(rate=1000.0, count=20_000).due_s()
    assert list(due_s) == sorted(due_s)
    assert due_s[-1] == pytest.approx(20.0, rel=0.05)


def test_all_that_is_due_goes_out_together_and_nothing_before_its_time() -> None:
    due_s = [1.0, 2.0, 2.5, 9.0]
    assert next_batch(due_s, 0, now_s=0.5) == 0
    assert next_batch(due_s, 0, now_s=2.5) == 3
    assert next_batch(due_s, 3, now_s=3.0) == 0
    assert next_batch(due_s, 4, now_s=99.0) == 0


def test_a_body_says_when_it_was_due() -> None:
    body = stamp(123456.123456789)
    assert len(body.encode()) == 256
    assert read_stamp(body) == pytest.approx(123456.123456789, abs=1e-9)


@pytest.fixture
def stalled(tmp_path: Path) -> Iterator[str]:
    """The endpoint of a server that answers nothing until it has all, and then all at once."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    endpoint = f"ipc://{tmp_path}/stalled.sock"
    router.bind(endpoint)

    def serve() -> None:
        held: list[int] = []
        while len(held) < ALL and router.poll(10_000):
            route, frame = router.recv_multipart()
            held += [request["id"] for request in msgpack.unpackb(frame)]
        router.send_multipart([route, msgpack.packb([{"id": n, "status": "ok"} for n in held])])

    thread = threading.Thread(target=serve)
    thread.start()
    yield endpoint
    thread.join()
    router.close(1000)
    context.term()


@pytest.mark.parametrize("drive", [openloop.drive, fairness.drive])
def test_a_stall_is_charged_to_every_message_that_was_due_in_it(
    stalled: str, drive: "Callable[[WireSender, array[float]], array[float]]"
) -> None:
    """A client that waited for answers would never send the second one here."""
    begin_s = time.perf_counter()
    due_s = array("d", (begin_s + n * 0.002 for n in range(ALL)))
    sender = WireSender(stalled, "token")
    try:
        latencies_us = drive(sender, due_s)
    finally:
        sender.close()
    answered_s = [due + us / 1e6 for due, us in zip(due_s, latencies_us, strict=True)]
    assert len(answered_s) == ALL
    assert max(answered_s) - min(answered_s) < 1e-9  # all at once: the first has waited longest by what it was due earlier
    assert list(latencies_us) == sorted(latencies_us, reverse=True)
