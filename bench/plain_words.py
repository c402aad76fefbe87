"""``python -m bench.plain_words``: what reading plain words costs in processor time, in this process and as a new one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from nlparse import parse

CASES = Path(__file__).parents[1] / "tests" / "nlparse" / "cases"
KNOWN = ["claude", "fred", "barney", "wilma"]
SIZE = 65536
"""Bytes of a long text."""
STARTS = 10
LONG = ("msg fred: x", "msg fred and ", "say to ", "mesage ", "fred: a\nb ", 'msg fred "', "tell fred          ", "é to ")


def timed_us(call: Callable[[], object]) -> float:
    """Processor time, so that a busy machine does not count."""
    start = time.thread_time()
    call()
    return (time.thread_time() - start) * 1e6


def children_s() -> float:
    """Processor time of the processes that were started and ended."""
    spent = os.times()
    return spent.children_user + spent.children_system


def main() -> None:
    lines = [json.loads(line) for path in sorted(CASES.glob("*.jsonl")) for line in path.read_text("utf-8").split("\n") if line]

    def read(case: dict[str, object]) -> Callable[[], object]:
        return lambda: parse(str(case["text"]), me="claude", known=KNOWN, last_from="fred")

    costs = [timed_us(read(case)) for case in lines]  # each text once: nothing of it is cached
    print(f"a line: median {median(costs):.0f} µs, 99 % under {quantiles(costs, n=100)[-1]:.0f} µs ({len(costs)} lines)")
    long = [min(timed_us(read({"text": (piece * SIZE)[:SIZE]})) for _ in range(3)) for piece in LONG]
    print(f"64 KiB of anything: at most {max(long) / 1000:.1f} ms ({len(long)} texts)")
    command = [sys.executable, "-m", "nlparse", "msg fred: hi", "--known", "fred"]
    begun = children_s()
    for _ in range(STARTS):
        subprocess.run(command, capture_output=True, check=True)
    print(f"a new process: {(children_s() - begun) / STARTS * 1000:.0f} ms")


if __name__ == "__main__":
    main()
