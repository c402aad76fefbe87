"""A day's mail in minutes: does anything grow?

Pairs of agents, by ZeroMQ and by lasting TCP connections, send numbered messages at a steady rate, read them in order and
acknowledge them; some are large, some expire unread, read mail is swept after seconds. Beside them a probe sends one message
after the other. Memory, descriptors, database, WAL, large files and the probe's p99 are sampled over ten parts of the way: the
largest of the second five must be like that of the first. What is kept follows the rate, so the rate is held.

``python -m tests.deep.faults.soak --messages N``
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from bench.percentiles import percentile
from bench.service import Service, running
from broker.client.sync import Client, connect
from broker.home.endpoints import endpoint
from tests.deep.faults import report
from tests.deep.faults.soakers import BRIEF_S, SLEEPER, Pair, read, write

PAIRS = (("zmq", 0.4), ("zmq", 0.4), ("tcp", 0.2))
"""Ways, and the share of the messages that goes by each."""
PARTS = 10
RATE = 12_000.0
"""Messages a second in all, about half of what two cores carry: ten million take a quarter of an hour."""
_PROBE_S = 0.02
_SAMPLE_S = 0.5
_FLAT = 1.15
"""The largest sample of the second half may be so many times the largest of the first, and ``_SLACK`` more."""
_SLACK = 4.0
_END_S = 30.0


def sample(service: Service) -> dict[str, float]:
    """MiB and counts of the service as it is."""
    found: dict[str, float] = {}
    for name, pid in service.pids().items():
        found[f"{name} MiB"] = round(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20, 1)
        found[f"{name} descriptors"] = len(os.listdir(f"/proc/{pid}/fd"))
    for name in ("ipc.db", "ipc.db-wal"):
        path = service.home / name
        found[f"{name} MiB"] = round(path.stat().st_size / 2**20, 1) if path.exists() else 0.0
    found["large files"] = len(list((service.home / "large-messages").glob("*")))
    return found


class Part:
    """A tenth of the way: the largest of its samples, the probe's times, how long it took."""

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}
        self.probe_ms: list[float] = []
        self.began_s = time.monotonic()

    def add(self, found: dict[str, float]) -> None:
        for name, value in found.items():
            self.largest[name] = max(value, self.largest.get(name, 0.0))

    def close(self, messages: int) -> dict[str, float]:
        seconds, times = time.monotonic() - self.began_s, sorted(self.probe_ms)
        told = {"seconds": round(seconds, 1), "messages a second": round(messages / seconds)}
        if times:
            told |= {f"probe p{q} ms": round(percentile(times, q), 2) for q in (50, 99)}
        return {**told, **self.largest}


def run(messages: int, rate: float = RATE) -> dict[str, Any]:
    """What was seen, ``problems`` with the mail, and what ``grew``. ``rate`` 0: as fast as it goes."""
    began_s = time.monotonic()
    with ExitStack() as stack:
        service = stack.enter_context(running(IPC_READ_TTL="5", IPC_DEDUPE="5"))
        service.wait_for_door()
        pairs = list(_pairs(service, messages, rate, stack))
        probe = stack.enter_context(connect("probe", settings=service.settings))
        stack.enter_context(connect(SLEEPER, settings=service.settings))
        processes = _start(pairs, stack)
        parts, problems = _watch(service, pairs, processes, probe, sum(pair.messages for pair in pairs))
        if not problems:
            problems += _unswept(probe)
    halves = parts[: len(parts) // 2], parts[len(parts) // 2 :]
    first, second = ({n: max(p.get(n, 0.0) for p in half) for n in parts[-1]} for half in halves)
    for name in ("seconds", "messages a second"):
        del first[name], second[name]
    grew = [f"{n} from {first[n]:g} to {second[n]:g}" for n in first if second[n] > first[n] * _FLAT + _SLACK]
    seconds = time.monotonic() - began_s
    told = {"messages": messages, "seconds": round(seconds, 1), "per_second": round(messages / seconds)}
    return {**told, "parts": parts, "first_half": first, "second_half": second, "problems": problems, "grew": grew}


def _pairs(service: Service, messages: int, rate: float, stack: ExitStack) -> Iterator[Pair]:
    spawn = multiprocessing.get_context("spawn")
    for number, (way, share) in enumerate(PAIRS):
        address = endpoint(service.settings) if way == "zmq" else f"127.0.0.1:{service.port}"
        writer, reader = (
            stack.enter_context(connect(f"{role}-{number}", settings=service.settings)) for role in ("writer", "reader")
        )
        done = spawn.Value("q", 0)
        count = max(1, round(messages * share))
        yield Pair(way, address, writer.token, reader.name, reader.token, count, rate * share, done)


def _start(pairs: list[Pair], stack: ExitStack) -> list[BaseProcess]:
    spawn = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    for pair in pairs:
        for work in (read, write):
            process = spawn.Process(target=work, args=(pair,), name=f"{work.__name__} {pair.reader}")
            process.start()
            stack.callback(process.kill)
            processes.append(process)
    return processes


def _watch(
    service: Service, pairs: list[Pair], processes: list[BaseProcess], probe: Client, messages: int
) -> tuple[list[dict[str, float]], list[str]]:
    """Sample until all is read; (what each tenth gave, what went wrong)."""
    parts: list[dict[str, float]] = []
    part, part_from, sample_s = Part(), 0, 0.0
    while True:
        began_s = time.monotonic()
        probe.request("send", to_id=SLEEPER, message={"content": "p" * 200}, ttl_s=BRIEF_S)
        now_s = time.monotonic()
        part.probe_ms.append((now_s - began_s) * 1000)
        failed = [p.name for p in processes if p.exitcode]
        done = sum(pair.done.value for pair in pairs)
        if now_s >= sample_s or done == messages:
            part.add(sample(service))
            sample_s = now_s + _SAMPLE_S
        if failed or done * PARTS >= messages * (len(parts) + 1):
            parts.append(part.close(done - part_from))
            print(f"{done:,} of {messages:,}", json.dumps(parts[-1]), flush=True)
            part, part_from = Part(), done
        if failed or done == messages:
            return parts, [f"{name} failed" for name in failed]
        time.sleep(_PROBE_S)


def _unswept(probe: Client) -> list[str]:
    """All has been read or has expired; what is left was forgotten by the sweep. Senders are told of what expired."""
    end_s = time.monotonic() + _END_S
    while True:
        waiting = {row["id"]: row["queued"] for row in probe.request("status")["instances"] if row["queued"]}
        left = {name: queued for name, queued in waiting.items() if name != "probe" and not name.startswith("writer-")}
        if not left:
            return []
        if time.monotonic() > end_s:
            return [f"neither read nor expired: {left}"]
        time.sleep(0.1)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deep.faults.soak", description="Much mail; does anything grow?")
    parser.add_argument("--messages", type=int, default=200_000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--rate", type=float, default=RATE, metavar="R", help="messages a second, 0: as fast as it goes")
    options = parser.parse_args(argv)
    found = run(options.messages, options.rate)
    print(json.dumps({k: v for k, v in found.items() if k != "parts"}, indent=1))
    if options.json:
        report.keep(options.json, "soak", found)
    return 1 if found["problems"] or found["grew"] else 0


if __name__ == "__main__":
    sys.exit(main())
