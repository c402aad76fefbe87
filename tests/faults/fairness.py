"""What one flooding agent does to another's latency.

A quiet agent sends one message after the other; its p50 and p99 are taken alone, then while another process floods with
everything that fits into frames, in turns within one run, since the machine's own mood is larger than what is measured.

``python -m tests.faults.fairness --rounds N``: with the rate limit as it is by default, and without.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.service import environment, running
from broker.client import connect
from broker.settings import Settings
from tests.faults import report

_SENDS = 400


def flood(name: str) -> None:
    """Send without end, a thousand in flight."""
    with connect(name) as me:
        while True:
            me.send_many([("sink", "x" * 256)] * 2000)


def latency_ms(client: Any) -> list[float]:
    times = []
    for _ in range(_SENDS):
        began_s = time.perf_counter()
        client.send("quiet-sink", "x" * 256)
        times.append((time.perf_counter() - began_s) * 1000)
        time.sleep(0.0005)  # an agent that thinks, not another flood
    return times


def measure(rounds: int, rate_limit: str) -> dict[str, Any]:
    """Medians over the rounds of p50 and p99, alone and beside a flood."""
    rows: dict[str, list[tuple[float, float]]] = {"alone": [], "beside a flood": []}
    with running(IPC_RATE_LIMIT=rate_limit) as service, environment(service.env):
        quiet = connect("quiet", settings=Settings.load())
        for _ in range(rounds):
            for what in rows:
                process = _start_flood() if what != "alone" else None
                try:
                    times = sorted(latency_ms(quiet))
                finally:
                    if process is not None:
                        process.send_signal(signal.SIGKILL)
                        process.wait()
                rows[what].append((statistics.median(times), times[int(len(times) * 0.99)]))
        quiet.close()
    found: dict[str, Any] = {}
    for what, values in rows.items():
        found[what] = {
            "p50_ms": round(statistics.median(v[0] for v in values), 3),
            "p99_ms": round(statistics.median(v[1] for v in values), 3),
        }
    found["p99_ratio"] = round(found["beside a flood"]["p99_ms"] / found["alone"]["p99_ms"], 2)
    return found


def _start_flood() -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.fairness", "--flood", "flood"], cwd=Path(__file__).parents[2]
    )
    time.sleep(0.7)  # it registers and fills its window
    return process


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.fairness", description="A flood beside a quiet agent.")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--flood", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.flood:
        flood(options.flood)
        return 0
    found = {}
    for name, limit in (("default rate limit", "2000"), ("no rate limit", "0")):
        found[name] = measure(options.rounds, limit)
        print(name, json.dumps(found[name], indent=1), flush=True)
    if options.json:
        report.keep(options.json, "fairness", found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
