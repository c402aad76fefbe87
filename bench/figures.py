"""``python -m bench.figures``: take the figures of README.md, docs/performance.md and docs/scale.md from a run.

What stands between ``<!-- figures: NAME -->`` and ``<!-- end of figures -->`` is of a run. ``speed`` is written anew, and so
are the tables of sites.
``targets`` is a table by hand whose first column names targets: its columns *wanted*, *measured* and *met?* are filled in.
"""

import argparse
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.machine import WHEN
from bench.report import AGAIN, Results, Verdict, pivot
from bench.service import ROOT
from bench.sites import ENGINE, LINK, MANY, NAMES, OUTAGE, SEALING
from bench.targets import judge

PAGES = ("README.md", "docs/performance.md", "docs/scale.md")
RESULTS = "bench/results/results.json"
_BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n)(.*?)(\n<!-- end of figures -->)", re.S)
_VALUE = re.compile(r"\[([^\]|]+)\|([^\]]+)\]")
_UNITS: dict[str, Callable[[float], str]] = {
    "ms": lambda us: f"{us / 1e3:.2f} ms",
    "short ms": lambda us: f"{us / 1e3:.1f} ms",
    "whole ms": lambda ms: f"{ms:.0f} ms",
    "/s": lambda rate: f"{rate:,.0f}",
    "MB": lambda mb: f"{mb:.0f} MB",
    "count": lambda n: f"{n:.0f}",
}
"""How a value of a row reads in a sentence."""
SPEED = (
    (
        "A send in turn is on disk after [sends.stream.1x1.p50|ms]; Redis Streams with a sync each takes "
        "[sends.redis-always.1x1.p50|ms], NATS JetStream [sends.nats-always.1x1.p50|ms].",
    ),
    (
        "16 clients with 64 in flight send [sends.stream.16x64|/s] a second, Redis [sends.redis-always.16x64|/s], "
        "NATS [sends.nats-always.16x64|/s].",
    ),
    (
        "A receiver that waits has a message after [push.p50|ms]; at half of the top rate 99 % arrive within "
        "[latency.50%.here.p99|short ms].",
    ),
    (
        "`ipc send` takes [program.send|whole ms] as a whole process, a hook that finds nothing [program.hook|whole ms].",
        "From nothing running, an agent has the answer of `initialize` after [cold.initialize|whole ms], "
        "that of its first tool after [cold.call|whole ms].",
    ),
    (
        "The service takes [memory.service|MB], with ten agents at rest [memory.whole.rested|MB].",
        "An installation is [install.packages|count] packages, [install.mb|MB].",
    ),
)
"""A line of sentences each; a sentence is left out where the run has no value for it. In brackets a row's key and how its
median reads."""


def speed(results: Results, _text: str) -> str:
    """A list, and where the figures come from."""
    lines = [" ".join(filter(None, (fill(template, results) for template in templates))) for templates in SPEED]
    cores = results.machine.get("CPUs", "").partition(",")[0]
    whole = not any(name.startswith(AGAIN) and name != f"{AGAIN}sites" for name in results.machine)
    of_one = f"{'All' if whole else 'What is compared is'} of one run on {cores} cores"
    lines.append(f"{of_one}; [docs/performance.md](docs/performance.md) has the rest, and how to repeat it.")
    return "\n".join(f"- {line}" for line in lines if line)


def fill(template: str, results: Results) -> str:
    """The sentence with the run's medians, or nothing."""
    if any(results.median(key) is None for key, _unit in _VALUE.findall(template)):
        return ""
    return _VALUE.sub(lambda found: _UNITS[found[2]](results.median(found[1]) or 0.0), template)


def targets(results: Results, text: str) -> str:
    """The table with the run held against the targets of today. Raises LookupError with a name that no target has."""
    known = {verdict.what: verdict for verdict in judge(results, complete=True)}
    heads, _rule, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    for line in lines:
        if line[0] not in known:
            raise LookupError(f"no target of the run is called {line[0]!r}")
        _what, wanted, measured, met, *_then = known[line[0]].cells()
        for head, value in (("wanted", wanted), ("measured", measured), ("met?", met)):
            if head in heads:
                line[heads.index(head)] = value
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(line)} |" for line in lines)])


def table(name: str, results: Results, text: str) -> str:
    """A whole table of the run; where it was not measured, what stands there."""
    rows = [row for row in results.rows.values() if row.table == name]
    return pivot(rows) if rows else text


def when(part: str, results: Results, text: str) -> str:
    """A sentence: when a part was measured, and how busy the machine was."""
    if not any(key.startswith(f"{part}.") for key in results.rows):
        return text
    control = f"control {min(results.control):.2f} to {max(results.control):.2f}" if results.control else ""
    own = "; ".join(filter(None, [f"{WHEN} {results.machine.get(WHEN, '')}", control]))
    told = results.machine.get(f"{AGAIN}{part}", own)
    meaning = "Control 1: two busy processes have a core each; 2: they share one; more: others work, too."
    return f"These are of one run: {told}. {meaning}"


BLOCKS: dict[str, Callable[[Results, str], str]] = {
    "speed": speed,
    "targets": targets,
    "when": partial(when, "sites"),
    "link": partial(table, LINK),
    "outage": partial(table, OUTAGE),
    "engine": partial(table, ENGINE),
    "sealing": partial(table, SEALING),
    "many": partial(table, MANY),
    "names": partial(table, NAMES),
}


def renew(page: str, results: Results) -> str:
    """The page with the figures of the run."""
    return _BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]](results, found[3]) + found[4], page)


def unexplained(page: str, verdicts: list[Verdict]) -> list[str]:
    """Targets that were missed and that no table of the page speaks of."""
    return [v.what for v in verdicts if v.met is False and f"| {v.what} |" not in page]


def outlived(page: str, verdicts: list[Verdict]) -> list[str]:
    """Targets that a table of the page speaks of as missed, and that were met."""
    return [v.what for v in verdicts if v.met and f"| {v.what} |" in page]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.figures", description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, default=ROOT / RESULTS, help=f"default {RESULTS}")
    results = Results.from_json(parser.parse_args(argv).results.read_text(encoding="utf-8"))
    pages = {ROOT / name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
    for path, text in pages.items():
        renewed = renew(text, results)
        if renewed != text:
            path.write_text(renewed, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(ROOT)}: renewed\n")
    text, verdicts = "".join(pages.values()), judge(results, complete=True)
    for what in unexplained(text, verdicts):
        sys.stdout.write(f"missed, and docs/performance.md does not say why: {what}\n")
    for what in outlived(text, verdicts):
        sys.stdout.write(f"met, so its line in docs/performance.md may go: {what}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
