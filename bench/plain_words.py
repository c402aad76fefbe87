"""``python -m bench.plain_words``: what reading plain words costs in processor time, in this process and as a new one.

``python -m bench.plain_words --corpus [FOLDER ...]`` reads a million different lines of real code and documentation (by
default of the packages installed beside this one, of the standard library and of the system), with agents that are named like
modules, and prints those that would have sent or changed something: none of them was meant for the messenger.
"""

import json
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median, quantiles

from nlparse import parse
from nlparse.score import ACTING

CASES = Path(__file__).parents[1] / "tests" / "nlparse" / "cases"
KNOWN = ["claude", "fred", "barney", "wilma"]
SIZE = 65536
"""Bytes of a long text."""
STARTS = 10
MODULES = ["backend", "api", "core", "main", "git", "test", "web", "docs", "claude", "fred"]
SITES = ["*@*", "*@rome", "api@rome", "user@host", "root@localhost", "git@github", "me@home"]
"""Addresses such as code has."""
ENDINGS = {
    ".py",
    ".pyi",
    ".md",
    ".rst",
    ".txt",
    ".toml",
    ".cfg",
    ".js",
    ".ts",
    ".sh",
    ".yml",
    ".yaml",
    ".json",
    ".html",
    ".c",
    ".h",
}
MOST_LINES = 1_000_000
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


def real_lines(folders: list[str]) -> Iterator[str]:
    """Each different line of code and documentation in the folders once, blanks at its ends apart."""
    seen = set()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if (path.suffix not in ENDINGS and path.name != "METADATA") or not path.is_file():
                continue
            for line in path.read_text("utf-8", errors="replace").split("\n"):
                text = line.strip()
                if text and hash(text) not in seen:
                    seen.add(hash(text))
                    yield text


def count_actions(folders: list[str]) -> None:
    lines = acted = 0
    for text in islice(real_lines(folders), MOST_LINES):
        lines += 1
        command = parse(text, me="claude", known=MODULES + SITES, last_from="fred")
        if command.intent in ACTING:
            acted += 1
            print(f"{command.intent:<10} {text[:200]}")
    print(f"{acted} of {lines} lines acted")


def main() -> None:
    if sys.argv[1:2] == ["--corpus"]:
        installed = [sysconfig.get_path("purelib"), sysconfig.get_path("stdlib"), "/usr/lib/python3", "/usr/share/doc"]
        count_actions(sys.argv[2:] or installed)
        return
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
