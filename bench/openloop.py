"""Open-loop load: messages leave when they are due, not when the last was answered, and time counts from then.

So a stall is seen by every message that was due in it, not by one alone (no coordinated omission).
"""

import ctypes
import gc
import random
import sys
import time
from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.doors.zeromq import BOX, WireSender
from bench.fleet import wait_until
from bench.systems import refused

SIZE = 256
PROBE_BOX = "bench-probed"
"""Who gets the probe's mail."""
_PROBE_PAUSE_S = 0.002
_FRAME = 256
_STAMP = 20
"""Characters that say when a message was due; spaces fill them, ``x`` the rest."""
_PR_SET_TIMERSLACK = 29
_SLACK_NS = 1000


@dataclass(frozen=True, slots=True)
class Load:
    """``count`` messages due at random instants, ``rate`` a second on average (a Poisson process; the same every time)."""

    rate: float
    count: int

    def due_s(self, seed: int = 1) -> "array[float]":
        """Seconds after the start at which each is due, ascending."""
        pick, due, now_s = random.Random(seed), array("d"), 0.0  # noqa: S311 (no secret)
        for _ in range(self.count):
            now_s += pick.expovariate(self.rate)
            due.append(now_s)
        return due


def stamp(due_s: float, size: int = SIZE) -> str:
    """A body that says when it was due, in seconds after the beginning."""
    return f"{due_s:<{_STAMP}.9f}".ljust(size, "x")


def read_stamp(text: str) -> float:
    return float(text[:_STAMP])


_BODY = "x" * SIZE
_MOST_UNANSWERED = 4096
"""A broker takes so many requests of one connection, and refuses what goes far beyond."""


def next_batch(due_s: Sequence[float], position: int, now_s: float) -> int:
    """How many messages from ``position`` on are due by now, at most a frame's worth."""
    end = position
    while end < len(due_s) and end - position < _FRAME and due_s[end] <= now_s:
        end += 1
    return end - position


def send(endpoint: str, token: str, load: Load, box: str = BOX) -> Generator[None, float, "tuple[array[float], array[float]]"]:
    """Job: send the load when it is due.

    Returns (the µs from being due to the durable acknowledgement, the µs from being due to being sent, of each).
    """
    precise_sleep()
    sender = WireSender(endpoint, token, box=box)
    try:
        # before the order to begin: made after it, a long load was late from its first message on
        offsets_s, late_us = load.due_s(), array("d")
        texts = [stamp(t) for t in offsets_s]
        with without_collector():
            begin_s = yield
            return drive(sender, array("d", (begin_s + t for t in offsets_s)), texts, late_us), late_us
    finally:
        sender.close()


def drive(
    sender: WireSender, due_s: "array[float]", texts: Sequence[str] = (), late_us: "array[float] | None" = None
) -> "array[float]":
    """Send each message at its time; an answer never holds the next one up. Raises RuntimeError with a refusal.

    ``texts`` are the bodies, if it matters what they are. ``late_us`` gets the µs by which each left too late.
    """
    clock, latencies_us = time.perf_counter, array("d")
    position = 0
    while len(latencies_us) < len(due_s):
        now_s = clock()
        full = position - len(latencies_us) >= _MOST_UNANSWERED  # what is due meanwhile waits, and its time counts
        count = 0 if full else next_batch(due_s, position, now_s)
        if count:
            sender.send(list(texts[position : position + count]) or [_BODY] * count)
            if late_us is not None:
                now_s = clock()
                late_us.extend((now_s - t) * 1e6 for t in due_s[position : position + count])
            position += count
        elif not full and position < len(due_s):
            sender.pipe.wait(max(0.0, due_s[position] - now_s))
        if full or position == len(due_s) or sender.pipe.wait(0):
            replies, now_s = sender.receive(), clock()
            for reply in replies:
                if reply["status"] != "ok":
                    raise refused(reply)
                latencies_us.append((now_s - due_s[reply["id"]]) * 1e6)
    return latencies_us


def receive(endpoint: str, token: str, count: int) -> Generator[None, float, "tuple[float, array[float]]"]:
    """Job: subscribe, take ``count`` pushed messages and acknowledge them.

    Returns (when the last one came, the µs from being due to being here, of each).
    """
    client = WireSender(endpoint, token)
    try:
        answer = client.request(action="subscribe", window=10_000)
        if answer["status"] != "ok":
            raise refused(answer)
        with without_collector():
            begin_s = yield
            latencies_us: array[float] = array("d")
            seen: set[str] = set()
            while len(latencies_us) < count:
                maps, now_s = client.receive(), time.perf_counter()
                ids: list[str] = []
                for mail in pushed(maps):
                    ids.append(mail["id"])
                    if mail["id"] not in seen:
                        latencies_us.append((now_s - begin_s - read_stamp(mail["message"]["content"])) * 1e6)
                seen.update(ids)
                if ids:
                    client.tell(action="ack", ids=ids)
            ended_s = time.perf_counter()
        client.request(action="unsubscribe")  # answered after the acknowledgements
        return ended_s, latencies_us
    finally:
        client.close()


def probe(endpoint: str, token: str, seconds: float) -> Generator[None, float, "array[float]"]:
    """Job: for so long a message each 2 ms, each after the answer to the one before, to another mailbox than the load's.

    Returns the µs that each took. What stops the broker for longer than the pause is seen by at least one of them.
    """
    precise_sleep()
    sender = WireSender(endpoint, token, box=PROBE_BOX)
    try:
        with without_collector():
            begin_s = yield
            wait_until(begin_s)
            latencies_us: array[float] = array("d")
            while (sent_s := time.perf_counter()) < begin_s + seconds:
                sender.send([_BODY])
                reply = sender.receive()[0]
                if reply["status"] != "ok":
                    raise refused(reply)
                latencies_us.append((time.perf_counter() - sent_s) * 1e6)
                time.sleep(_PROBE_PAUSE_S)
            return latencies_us
    finally:
        sender.close()


@contextmanager
def without_collector() -> Iterator[None]:
    """Python's collector does not stop this process, whose messages would be late by that."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def push(endpoint: str, token: str, receiver: str, count: int) -> Generator[None, float, "array[float]"]:
    """Job: one message after the other to a receiver that waits, both ends in this process. Returns the µs of each."""
    sender, waiting = WireSender(endpoint, token), WireSender(endpoint, receiver)
    try:
        answer = waiting.request(action="subscribe", window=10_000)
        if answer["status"] != "ok":
            raise refused(answer)
        wait_until((yield))
        latencies_us: array[float] = array("d")
        for _ in range(count):
            began_s = time.perf_counter()
            sender.send([stamp(began_s)])
            while not (mail := pushed(waiting.receive())):
                pass
            latencies_us.append((time.perf_counter() - began_s) * 1e6)
            reply = sender.receive()[0]
            if reply["status"] != "ok":
                raise refused(reply)
            waiting.request(action="ack", ids=[one["id"] for one in mail])
        waiting.request(action="unsubscribe")
        return latencies_us
    finally:
        sender.close()
        waiting.close()


def pushed(maps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [mail for one in maps if one.get("push") == "mail" for mail in one["messages"]]


def flood(endpoint: str, token: str, count: int, in_flight: int, box: str = BOX) -> Generator[None, float, None]:
    """Job: ``count`` stamped messages as fast as they are taken."""
    sender = WireSender(endpoint, token, box=box)
    try:
        wait_until((yield))
        sent = answered = 0
        while answered < count:
            room = min(in_flight - (sent - answered), count - sent, max(1, in_flight // 4))
            if room > 0:
                sender.send([stamp(time.perf_counter())] * room)
                sent += room
                continue
            for reply in sender.receive():
                if reply["status"] != "ok":
                    raise refused(reply)
                answered += 1
    finally:
        sender.close()


def precise_sleep() -> None:
    """Ask Linux to wake this process when it asked to be woken, not up to 50 µs later."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, _SLACK_NS, 0, 0, 0)
