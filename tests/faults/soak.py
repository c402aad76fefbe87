"""A day's mail in minutes: does anything grow?

One agent sends numbered messages as fast as another reads and acknowledges them; read mail is swept after seconds. Memory,
descriptors, database, WAL and large files are sampled at each tenth of the way; from the half on they must be flat.

``python -m tests.faults.soak --messages N``
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.service import Service, environment, running
from broker.client import Client, connect
from broker.settings import Settings
from tests.faults import report

_CHUNK = 2000
_AHEAD = 20_000
_FLAT = 1.35
"""The largest sample of the second half may be so many times the largest of the first."""


def read(messages: int) -> int:
    """Read and acknowledge so many numbered messages; 1 if one is missing, doubled or out of order."""
    wanted = 0
    with connect("reader") as me:
        while wanted < messages:
            for mail in me.check(wait=10.0, limit=1000):
                if mail.sender != "writer":
                    continue
                number = int(mail.content.partition(" ")[0].rstrip("."))
                if number != wanted:
                    print(f"wanted {wanted}, got {number}", flush=True)
                    return 1
                wanted += 1
    return 0


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


def run(messages: int) -> dict[str, Any]:
    samples: list[dict[str, float]] = []
    problems: list[str] = []
    with running(IPC_READ_TTL="5", IPC_DEDUPE="5") as service, environment(service.env):
        command = [sys.executable, "-m", "tests.faults.soak", "--read", str(messages)]
        reader = subprocess.Popen(command, cwd=Path(__file__).parents[2])
        began_s = time.monotonic()
        with connect("writer", settings=Settings.load()) as writer:
            _write(writer, messages, lambda: samples.append(sample(service)), reader)
        if reader.wait(300) != 0:
            problems.append("the reader missed or doubled a message")
        seconds = time.monotonic() - began_s
        samples.append(sample(service))
    half = len(samples) // 2
    for name in samples[-1]:
        first, second = (max(s.get(name, 0.0) for s in part) for part in (samples[:half], samples[half:]))
        if second > first * _FLAT + 8:
            problems.append(f"{name} grew from {first} to {second}")
    return {
        "messages": messages,
        "seconds": round(seconds, 1),
        "per_second": round(messages / seconds),
        "first_half": {n: max(s.get(n, 0.0) for s in samples[:half]) for n in samples[-1]},
        "second_half": {n: max(s.get(n, 0.0) for s in samples[half:]) for n in samples[-1]},
        "problems": problems,
    }


def _write(writer: Client, messages: int, note: Any, reader: "subprocess.Popen[bytes]") -> None:
    sent, next_note = 0, 0
    while sent < messages and reader.poll() is None:
        count = min(_CHUNK, messages - sent)
        texts = [f"{n}. " + ("y" * 12_000 if n % 5000 == 0 else "x" * 200) for n in range(sent, sent + count)]
        replies = writer.send_many([("reader", t) for t in texts], timeout_s=300)
        assert all(r["status"] == "ok" for r in replies), next(r for r in replies if r["status"] != "ok")
        sent += count
        if sent >= next_note:
            note()
            next_note += max(1, messages // 20)
        while writer.request("status")["queued"] > _AHEAD and reader.poll() is None:
            time.sleep(0.02)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description="Much mail; does anything grow?")
    parser.add_argument("--messages", type=int, default=100_000, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--read", type=int, metavar="N", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.read:
        return read(options.read)
    found = run(options.messages)
    print(json.dumps(found, indent=1))
    if options.json:
        report.keep(options.json, "soak", found)
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
