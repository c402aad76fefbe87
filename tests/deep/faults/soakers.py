"""The agents of the soak: writers that keep a window of sends under way, readers to whom mail is pushed and who acknowledge it.

Each pair is two processes. What a reader has read it counts in shared memory, so that its writer stays a bounded way ahead, and
everything that must hold is held by the reader: each number comes once, in order, none is missing.
"""

import itertools
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from typing import Any, Protocol

import zmq

from broker.protocol import frames

FRAME = 250
WINDOW = 4 * FRAME
"""Sends of a writer without answer."""
AHEAD = 20_000
"""Messages that a writer may be ahead of its reader."""
LARGE_EVERY = 5000
BRIEF_EVERY = 100
"""Of a writer's messages: after so many there is one whose text becomes a file, and one for somebody who never reads."""
BRIEF_S = 2
SLEEPER = "sleeper"
_DEADLINE_S = 60.0


class Line(Protocol):
    """A pipelined connection to the service."""

    def send(self, bodies: list[dict[str, Any]]) -> None: ...
    def receive(self) -> list[dict[str, Any]]:
        """Replies and pushes, at least one. Raises TimeoutError."""
        ...


class ZeroMQ:
    """Frames over a DEALER socket."""

    def __init__(self, address: str, token: str) -> None:
        self._token = token
        self._socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(address)

    def send(self, bodies: list[dict[str, Any]]) -> None:
        bodies[0]["session_token"] = self._token
        self._socket.send(frames.encode(bodies))

    def receive(self) -> list[dict[str, Any]]:
        if not self._socket.poll(int(_DEADLINE_S * 1000)):
            raise TimeoutError("the broker does not answer")
        return frames.decode(self._socket.recv())


class Lasting:
    """Lines of JSON over TCP."""

    def __init__(self, address: str, token: str) -> None:
        host, _, port = address.rpartition(":")
        self._token = token
        self._socket = socket.create_connection((host, int(port)), _DEADLINE_S)
        self._rest = b""

    def send(self, bodies: list[dict[str, Any]]) -> None:
        lines = [json.dumps({**body, "session_token": self._token}) + "\n" for body in bodies]
        self._socket.sendall("".join(lines).encode())

    def receive(self) -> list[dict[str, Any]]:
        while True:
            got = self._socket.recv(1 << 18)
            if not got:
                raise ConnectionError("the door has closed the connection")
            *lines, self._rest = (self._rest + got).split(b"\n")
            if lines:
                return [json.loads(line) for line in lines]


LINES: dict[str, type[ZeroMQ] | type[Lasting]] = {"zmq": ZeroMQ, "tcp": Lasting}


@dataclass(frozen=True, slots=True)
class Pair:
    """A writer and its reader: the way they take, their tokens, how many messages go between them, how many a second."""

    way: str
    address: str
    writer_token: str
    reader: str
    reader_token: str
    messages: int
    rate: float
    done: "Synchronized[int]"
    """Messages that have been read and acknowledged."""


def bodies(to: str, start: int, stop: int) -> Iterator[dict[str, Any]]:
    """The sends of these numbers, and the brief ones between them. Ids that are no number of the row are the brief ones'."""
    for number in range(start, stop):
        text = f"{number}. " + ("y" * 12_000 if number % LARGE_EVERY == 0 else "x" * 200)
        yield {"id": number, "action": "send", "to_id": to, "message": {"content": text}, "message_id": f"{to}-{number}"}
        if number % BRIEF_EVERY == 0:
            yield {"id": f"b{number}", "action": "send", "to_id": SLEEPER, "message": {"content": "z"}, "ttl_s": BRIEF_S}


def write(pair: Pair) -> None:
    """Send all of a pair's messages. Raises RuntimeError with the first refusal."""
    line = LINES[pair.way](pair.address, pair.writer_token)
    position = waiting = 0
    began_s = time.monotonic()
    while position < pair.messages or waiting:
        due = int((time.monotonic() - began_s) * pair.rate) if pair.rate else pair.messages
        due = min(due, pair.messages, pair.done.value + AHEAD)
        while waiting < WINDOW and (position + FRAME <= due or position < due == pair.messages):
            some = list(bodies(pair.reader, position, min(position + FRAME, due)))
            line.send(some)
            waiting += len(some)
            position = min(position + FRAME, due)
        if not waiting:  # nothing is due, or the reader is far behind
            time.sleep(0.002)
            continue
        for reply in line.receive():
            if reply["status"] != "ok" or "duplicate" in reply:
                raise RuntimeError(f"{pair.reader}: {reply}")
            waiting -= 1


def read(pair: Pair) -> None:
    """Take all of a pair's messages and acknowledge them. Raises RuntimeError where one is missing, doubled or out of order."""
    line = LINES[pair.way](pair.address, pair.reader_token)
    line.send([{"id": "mine", "action": "subscribe", "window": 5000}])
    wanted = acked = 0
    asked: dict[int, int] = {}
    numbers = itertools.count(1)
    while acked < pair.messages:
        for got in line.receive():
            if "push" not in got:
                if got["status"] != "ok" or got.get("acked", 0) != asked.pop(got["id"], 0):
                    raise RuntimeError(f"{pair.reader}: {got}")
                acked += got.get("acked", 0)
                continue
            for mail in got["messages"]:
                number = int(mail["message"]["content"].partition(".")[0])
                if number != wanted or mail.get("redelivered"):
                    raise RuntimeError(f"{pair.reader} wanted {wanted}, got {mail}")
                wanted += 1
            ack_id = next(numbers)
            asked[ack_id] = len(got["messages"])
            line.send([{"id": ack_id, "action": "ack", "ids": [mail["id"] for mail in got["messages"]]}])
        pair.done.value = acked
