"""Clients of the door that speaks JSON: over one lasting connection, TCP or Unix, and by a connection a request."""

import json
import os
import select
import socket
import time
from typing import Any

from bench.doors.zeromq import BOX
from bench.systems import Burst, refused

_TIMEOUT_S = 30.0
Place = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


def dial(place: Place) -> socket.socket:
    if isinstance(place, str):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(_TIMEOUT_S)
        s.connect(place)
        return s
    s = socket.create_connection(place, _TIMEOUT_S)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class LastingSender:
    """One connection, newline-delimited JSON. The door answers in order."""

    def __init__(self, place: Place, name: str, token: str) -> None:
        self._socket = dial(place)
        self._name, self._token = name, token
        self._prefix = f"{time.time_ns() // 1000:x}-{os.getpid():x}"
        self._next = 0
        self._half = b""

    def close(self) -> None:
        self._socket.close()

    def post(self, text: str) -> None:
        self._socket.sendall(self._line(text))

    def answered(self, seconds: float) -> int:
        if not select.select([self._socket], [], [], seconds)[0]:
            return 0
        part = self._socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the door closed")
        *lines, self._half = (self._half + part).split(b"\n")
        for line in lines:
            reply = json.loads(line)
            if reply.get("status") != "ok":
                raise refused(reply)
        return len(lines)

    def _line(self, text: str) -> bytes:
        self._next += 1
        request = {
            "id": self._next,
            "action": "send",
            "from_id": self._name,
            "to_id": BOX,
            "message": {"content": text},
            "message_id": f"{self._prefix}-{self._next:08x}",
            "session_token": self._token,
        }
        return json.dumps(request).encode() + b"\n"

    def send_for(self, seconds: float, in_flight: int, size: int, most: int) -> Burst:
        text, chunk, first = "x" * size, max(1, in_flight // 4), self._next + 1
        sent_s: list[float] = []
        burst, received = Burst(), bytearray()
        clock = time.perf_counter
        now_s = clock()
        end_s = now_s + seconds
        while True:
            while len(sent_s) < most and len(sent_s) - burst.acknowledged < in_flight and (now_s < end_s or not sent_s):
                room = min(chunk, in_flight - len(sent_s) + burst.acknowledged, most - len(sent_s))
                self._socket.sendall(b"".join(self._line(text) for _ in range(room)))
                sent_s += [now_s] * room
            if burst.acknowledged == len(sent_s):
                break
            part = self._socket.recv(1 << 18)
            if not part:
                raise ConnectionError(f"the door closed after {bytes(received[-200:])!r}")
            received += part
            now_s, count = clock(), part.count(b"\n")
            burst.latencies_us.extend((now_s - t) * 1e6 for t in sent_s[burst.acknowledged : burst.acknowledged + count])
            burst.acknowledged += count
        burst.ended_s = now_s
        for number, line in enumerate(received.splitlines(), first):  # looked at when the clock has stopped
            reply = json.loads(line)
            if reply.get("status") != "ok" or reply.get("id") != number:
                raise refused(reply)
        return burst


class OneShotSender:
    """As existing scripts do it: connect, send an object without a newline, recv once, close."""

    def __init__(self, place: Place, name: str, token: str) -> None:
        self._place, self._name, self._token = place, name, token

    def close(self) -> None:
        pass

    def send_for(self, seconds: float, in_flight: int, size: int, most: int) -> Burst:
        burst = Burst()
        clock = time.perf_counter
        body = {"from_id": self._name, "to_id": BOX, "message": {"content": "x" * size}, "session_token": self._token}
        now_s = clock()
        end_s = now_s + seconds
        while burst.acknowledged < most and (now_s < end_s or not burst.acknowledged):
            began_s = now_s
            reply = one_shot(self._place, {"action": "send", **body})
            if reply.get("status") != "ok":
                raise refused(reply)
            now_s = clock()
            burst.latencies_us.append((now_s - began_s) * 1e6)
            burst.acknowledged += 1
        burst.ended_s = now_s
        return burst


def one_shot(place: Place, request: dict[str, Any]) -> dict[str, Any]:
    """One exchange on a connection of its own."""
    with dial(place) as s:
        s.sendall(json.dumps(request).encode())
        reply: dict[str, Any] = json.loads(s.recv(65536))
    return reply
