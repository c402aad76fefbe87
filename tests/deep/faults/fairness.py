"""What one flooding agent does to another's latency.

A quiet agent, a process of its own, sends one message after the other; its p50 and p99 are taken alone, beside another process
that floods with all that its window holds, beside one that pipelines searches over a large archive, and, to know what sharing
the processor costs by itself, beside one that only counts. The conditions take turns within one run, since the machine's own
mood is larger than what is measured.

``python -m tests.deep.faults.fairness --rounds N``: with the default rate limit, and without. With ``--door tcp`` quiet
and flood are two connections at the TCP door, which share its one connection to the broker.
"""

import argparse
import json
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.service import Service, environment
from broker.client.sync import Client, connect
from broker.home.endpoints import endpoint
from broker.home.settings import Settings
from tests.deep.faults import report
from tests.deep.faults.soakers import ZeroMQ

_SENDS = 600
_ARCHIVE = 20_000
_BURST = 1000
_SETTLE_S = 1.5
"""Until the other has registered and filled its window."""
CONDITIONS = {"alone": "", "beside a busy program": "count", "beside a flood": "flood", "beside searches": "search"}


def count(_me: Client) -> None:
    """Use the processor and nothing else."""
    while True:
        pass


def flood(me: Client) -> None:
    """Send without end, a thousand in flight; on standard output what became of them, a line a burst."""
    while True:
        replies = me.send_many([("sink", "x" * 256)] * _BURST)
        print(json.dumps(Counter(reply.get("code", "ok") for reply in replies)), flush=True)


def search(me: Client) -> None:
    """Pipeline searches that find much."""
    line = ZeroMQ(endpoint(Settings.load()), me.token)
    while True:
        line.send([{"id": n, "action": "search", "query": "word", "limit": 200} for n in range(64)])
        codes: Counter[str] = Counter()
        while codes.total() < 64:
            codes.update(reply.get("code", "ok") for reply in line.receive())
        print(json.dumps(codes), flush=True)


def quiet(me: Client) -> None:
    """Send in turn; on standard output the milliseconds of each."""
    times = []
    for _ in range(_SENDS):
        began_s = time.perf_counter()
        me.send("quiet-sink", "x" * 256)
        times.append((time.perf_counter() - began_s) * 1000)
        time.sleep(0.0005)  # an agent that thinks, not another flood
    print(json.dumps(times))


class Line:
    """A lasting connection to the TCP door."""

    def __init__(self, me: Client) -> None:
        port = json.loads((Settings.load().home / "run" / "tcp.json").read_text())["port"]
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._replies = self._socket.makefile("rb")
        self._token = me.token

    def send(self, to: str, count: int) -> None:
        body = {"action": "send", "to_id": to, "message": {"content": "x" * 256}, "session_token": self._token}
        self._socket.sendall((json.dumps(body).encode() + b"\n") * count)

    def reply(self) -> str:
        return str(json.loads(self._replies.readline()).get("code", "ok"))


def flood_tcp(me: Client) -> None:
    """Send without end over the port, so many in flight as the door takes."""
    line = Line(me)
    line.send("sink", _WINDOW)
    while True:
        told: Counter[str] = Counter()
        while told.total() < _BURST:
            told.update(line.reply() for _ in range(_WINDOW // 4))
            line.send("sink", _WINDOW // 4)
        print(json.dumps(told), flush=True)


def quiet_tcp(me: Client) -> None:
    """Send in turn over the port."""
    line = Line(me)
    times = []
    for _ in range(_SENDS):
        began_s = time.perf_counter()
        line.send("quiet-sink", 1)
        line.reply()
        times.append((time.perf_counter() - began_s) * 1000)
        time.sleep(0.0005)
    print(json.dumps(times))


ROLES: dict[str, Callable[[Client], None]] = {"count": count, "flood": flood, "search": search, "quiet": quiet}
ROLES |= {"flood-tcp": flood_tcp, "quiet-tcp": quiet_tcp}
_WINDOW = 256


def measure(rounds: int, rate_limit: str, door: str) -> dict[str, Any]:
    """Medians over the rounds of p50 and p99 in each condition, and what the flood got."""
    rows: dict[str, list[tuple[float, float]]] = {what: [] for what in CONDITIONS}
    flood_got: Counter[str] = Counter()
    flooded_s = 0.0
    service = Service(IPC_RATE_LIMIT=rate_limit)
    (service.home / "config.toml").write_text("[instances.search]\nrate_limit = 0\n")  # it has an archive to fill
    try:
        with environment(service.env):
            service.start()
            _fill(service.settings)
            for _ in range(rounds):
                for what, role in CONDITIONS.items():
                    began_s = time.monotonic()
                    times, told = _beside(role, door)
                    rows[what].append((statistics.median(times), times[int(len(times) * 0.99)]))
                    if role == "flood":
                        flood_got += told
                        flooded_s += time.monotonic() - began_s
    finally:
        service.stop()
    found: dict[str, Any] = {
        what: {
            "p50_ms": round(statistics.median(v[0] for v in values), 3),
            "p99_ms": round(statistics.median(v[1] for v in values), 3),
        }
        for what, values in rows.items()
    }
    found["p99_ratio"] = round(found["beside a flood"]["p99_ms"] / found["alone"]["p99_ms"], 2)
    found["flood_per_second"] = {code: round(number / flooded_s) for code, number in flood_got.items()}
    return found


def _beside(role: str, door: str) -> tuple[list[float], Counter[str]]:
    """(the quiet agent's milliseconds, ascending; what the other was answered)"""
    other_door = door if role == "flood" else ""
    if not role:
        return sorted(json.loads(_start("quiet" + door).communicate()[0])), Counter()
    other = _start(role + other_door)
    try:
        time.sleep(_SETTLE_S)
        times = sorted(json.loads(_start("quiet" + door).communicate()[0]))
    finally:
        told = _end(other)
    return times, told


def _fill(settings: Settings) -> None:
    """Give the searcher its archive."""
    with connect("search", settings=settings) as me:
        for start in range(0, _ARCHIVE, _BURST):
            me.send_many([("archive", f"word {n} and what else one writes") for n in range(start, start + _BURST)])


def _start(role: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.deep.faults.fairness", "--role", role]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True)


def _end(process: "subprocess.Popen[str]") -> Counter[str]:
    """Kill it; what it has told, added up."""
    process.send_signal(signal.SIGKILL)
    told: Counter[str] = Counter()
    for line in process.communicate()[0].splitlines():
        if line.endswith("}"):  # the last one may be cut
            told.update(json.loads(line))
    return told


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deep.faults.fairness", description="A flood beside a quiet agent.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--role", choices=list(ROLES), help=argparse.SUPPRESS)
    parser.add_argument("--door", choices=["wire", "tcp"], default="wire", help="where quiet and flood come in")
    options = parser.parse_args(argv)
    if options.role:
        with connect(options.role.removesuffix("-tcp")) as me:
            ROLES[options.role](me)
        return 0
    found = {}
    for name, limit in (("default rate limit", "2000"), ("no rate limit", "0")):
        found[name] = measure(options.rounds, limit, "-tcp" if options.door == "tcp" else "")
        print(name, json.dumps(found[name], indent=1), flush=True)
    if options.json:
        report.keep(options.json, "fairness", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
