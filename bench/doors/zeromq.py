"""Clients on the wire: of the broker, over ZeroMQ or its Unix socket, and of the prototype, which speaks the same frames."""

import os
import time
from typing import Any

import msgpack
import zmq

from bench.doors.pipes import open_pipe
from bench.systems import Burst, refused
from broker.client.sync import connect
from broker.home.settings import Settings

BOX = "bench-box"
"""Who gets the mail."""

FRAME = 64
"""Requests of a frame where so many are in flight: as many as a pipeline of Redis' client holds at that window."""


class WireSender:
    """One connection. What there is room for goes out in a frame of at most ``FRAME`` requests, or a quarter of the window."""

    def __init__(
        self, address: str, token: str | None, shared: "zmq.Context[zmq.Socket[bytes]] | None" = None, box: str = BOX
    ) -> None:
        """``address``: see bench.doors.pipes. ``shared``: a ZeroMQ context that the caller ends. ``box``: who gets the mail."""
        self.pipe = open_pipe(address, shared)
        self._token, self._box = token, box
        self._prefix = f"{time.time_ns() // 1000:x}-{os.getpid():x}"
        self._next = 0
        self._told = 0
        """Id of the last single request; they count down, those of sends up."""

    def close(self) -> None:
        self.pipe.close()

    def request(self, **body: Any) -> dict[str, Any]:
        """One request and its reply, whatever it is; what else comes is dropped."""
        self.tell(**body)
        while True:
            for reply in self.receive():
                if reply["id"] == self._told and "push" not in reply:
                    return reply

    def tell(self, **body: Any) -> None:
        """One request whose reply is not waited for."""
        self._told -= 1
        self.pipe.send(msgpack.packb([{"id": self._told, "session_token": self._token, **body}]))

    def receive(self) -> list[dict[str, Any]]:
        """The next frame. Raises TimeoutError."""
        maps: list[dict[str, Any]] = msgpack.unpackb(self.pipe.receive())
        return maps

    def send(self, texts: list[str]) -> None:
        """One frame of sends; their ids count on from the last one's."""
        first, prefix, box = self._next, self._prefix, self._box
        maps: list[dict[str, Any]] = [
            {"id": n, "action": "send", "to_id": box, "message": {"content": text}, "message_id": f"{prefix}-{n:08x}"}
            for n, text in enumerate(texts, first)
        ]
        if self._token is not None:
            maps[0]["session_token"] = self._token
        self._next += len(texts)
        self.pipe.send(msgpack.packb(maps))

    def post(self, text: str) -> None:
        self.send([text])

    def answered(self, seconds: float) -> int:
        if not self.pipe.wait(seconds):
            return 0
        replies = self.receive()
        for reply in replies:
            if reply["status"] != "ok":
                raise refused(reply)
        return len(replies)

    def send_for(self, seconds: float, in_flight: int, size: int, most: int) -> Burst:
        text, frame = "x" * size, max(min(in_flight, FRAME), in_flight // 4)
        first, burst = self._next, Burst()
        sent_s: list[float] = []
        took = burst.latencies_us.append
        clock = time.perf_counter
        now_s = clock()
        end_s = now_s + seconds
        while True:
            while len(sent_s) < most and len(sent_s) - burst.acknowledged < in_flight and (now_s < end_s or not sent_s):
                room = min(frame, in_flight - len(sent_s) + burst.acknowledged, most - len(sent_s))
                self.send([text] * room)
                sent_s += [now_s] * room
            if burst.acknowledged == len(sent_s):
                burst.ended_s = now_s
                return burst
            replies = self.receive()
            now_s = clock()
            for reply in replies:
                if reply["status"] != "ok":
                    raise refused(reply)
                took((now_s - sent_s[reply["id"] - first]) * 1e6)
            burst.acknowledged += len(replies)


class LibrarySender:
    """The client that this project ships: ``send``, or ``send_many`` of as many as are in flight."""

    def __init__(self, settings: Settings, token: str) -> None:
        self._client = connect("", token=token, settings=settings)

    def close(self) -> None:
        self._client.close()

    def send_for(self, seconds: float, in_flight: int, size: int, most: int) -> Burst:
        text, burst = "x" * size, Burst()
        clock = time.perf_counter
        now_s = clock()
        end_s = now_s + seconds
        while burst.acknowledged < most and (now_s < end_s or not burst.acknowledged):
            began_s, count = now_s, min(in_flight, most - burst.acknowledged)
            if count == 1:
                self._client.send(BOX, text)
            else:
                for reply in self._client.send_many([(BOX, text)] * count):
                    if reply["status"] != "ok":
                        raise refused(reply)
            now_s = clock()
            burst.latencies_us.extend([(now_s - began_s) * 1e6] * count)
            burst.acknowledged += count
        burst.ended_s = now_s
        return burst
