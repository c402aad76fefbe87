"""Durable sends, by each way in. A send counts only when its reply said ``ok``: it is committed with synchronous=FULL."""

import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.report import Skip
from bench.service import Service, has_module
from broker.client import Client, connect

TEXT = "x" * 256
BOX = "bench-box"
"""Who gets the mail."""
STRANGER = "bench-bxo"
"""A name that nobody registers and that resembles some: each send to it looks for near-misses."""
_WINDOW = 1024
_CHUNK = 256
_TIMEOUT_S = 30.0


@dataclass(slots=True)
class Senders:
    """The clients of one service: a ZeroMQ one, and a token for the TCP door where there is one."""

    service: Service
    client: Client
    tcp_token: str | None

    @classmethod
    def open(cls, service: Service) -> "Senders":
        connect(BOX, settings=service.settings).close()  # a registered recipient is the usual case
        client = connect("bench-zmq", settings=service.settings)
        if not has_module("bridges.tcp"):
            return cls(service, client, None)
        service.wait_for_door()
        reply = one_shot(service.port, {"action": "register", "instance_id": "bench-tcp", "auth_token": ""})
        return cls(service, client, str(reply["session_token"]))

    def close(self) -> None:
        self.client.close()

    def token(self) -> str:
        if self.tcp_token is None:
            raise Skip("bridges.tcp is not there yet")
        return self.tcp_token


def pipelined(senders: Senders, count: int, to: str = BOX) -> float:
    """Sends/s of one ZeroMQ client that keeps 1,024 requests on the way, 256 B each."""
    messages = [(to, TEXT)] * count
    began = time.perf_counter()
    replies = senders.client.send_many(messages)
    taken_s = time.perf_counter() - began
    acknowledge(senders, replies, count)
    return count / taken_s


def single(senders: Senders, count: int) -> tuple[float, float]:
    """Microseconds (p50, p99) of one send after the other over ZeroMQ, each waiting for its reply."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        senders.client.send(BOX, TEXT)
        times.append((time.perf_counter() - began) * 1e6)
        senders.service.acknowledged += 1
    times.sort()
    return statistics.median(times), times[min(len(times) - 1, int(len(times) * 0.99))]


def lasting_tcp(senders: Senders, count: int) -> float:
    """Sends/s over one lasting TCP connection, newline-delimited JSON, 1,024 requests on the way."""
    lines = [json.dumps(tcp_send(senders.token(), n)).encode() + b"\n" for n in range(count)]
    received = bytearray()
    answered = position = 0
    with socket.create_connection(("127.0.0.1", senders.service.port), _TIMEOUT_S) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        while answered < count:
            while position < count and position - answered <= _WINDOW - _CHUNK:
                s.sendall(b"".join(lines[position : position + _CHUNK]))
                position = min(count, position + _CHUNK)
            part = s.recv(1 << 18)
            if not part:
                raise ConnectionError(f"the door closed after {answered} replies: {bytes(received[-200:])!r}")
            received += part
            answered += part.count(b"\n")
        taken_s = time.perf_counter() - began
    replies = [json.loads(line) for line in received.splitlines()]
    assert [r["id"] for r in replies] == list(range(count)), "replies out of order"
    acknowledge(senders, replies, count)
    return count / taken_s


def one_shot_tcp(senders: Senders, count: int, clients: int) -> float:
    """Requests/s of the legacy form: connect, send an object, recv once, close. Each client does one after the other."""
    requests = [tcp_send(senders.token()) for _ in range(count)]
    with ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        replies = list(pool.map(partial(one_shot, senders.service.port), requests))
        taken_s = time.perf_counter() - began
    acknowledge(senders, replies, count)
    return count / taken_s


def command(senders: Senders, count: int) -> float:
    """Median milliseconds of the whole process ``ipc send``."""
    if not has_module("bridges.cli"):
        raise Skip("bridges.cli is not there yet")
    ipc(senders.service, "register", "bench-cli")
    times = []
    for _ in range(count):
        began = time.perf_counter()
        ipc(senders.service, "send", BOX, TEXT)
        times.append((time.perf_counter() - began) * 1e3)
        senders.service.acknowledged += 1
    return statistics.median(times)


def ipc(service: Service, *arguments: str) -> None:
    """Run the shell command to its end. Raises Skip with what it said if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "bridges.cli", *arguments],
        env=command_env(service),
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise Skip(f"ipc {arguments[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[:200]}")


def command_env(service: Service) -> dict[str, str]:
    """The environment of this process without its IPC settings, with the service's."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith("IPC_")}
    return {**rest, **service.env, "IPC_NAME": "bench-cli"}


def tcp_send(token: str, number: int | None = None) -> dict[str, Any]:
    request: dict[str, Any] = {
        "action": "send",
        "from_id": "bench-tcp",
        "to_id": BOX,
        "message": {"content": TEXT},
        "message_id": secrets.token_hex(12),
        "session_token": token,
    }
    return request if number is None else {"id": number, **request}


def one_shot(port: int, request: dict[str, Any]) -> dict[str, Any]:
    """One legacy exchange as existing scripts do it: an object without a newline, one recv, then the client closes."""
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as s:
        s.sendall(json.dumps(request).encode())
        reply: dict[str, Any] = json.loads(s.recv(65536))
    return reply


def acknowledge(senders: Senders, replies: list[dict[str, Any]], wanted: int) -> None:
    """Count the replies that said ok. Raises RuntimeError with the first that did not."""
    accepted = sum(1 for r in replies if r.get("status") == "ok")
    senders.service.acknowledged += accepted
    if accepted != wanted:
        refused = next((r for r in replies if r.get("status") != "ok"), {})
        raise RuntimeError(f"{wanted - accepted} of {wanted} sends were refused, first with {refused}")
