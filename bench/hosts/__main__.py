"""``python -m bench.hosts [PART...]``: what mail costs real hosts. Needs them from npm (bench/hosts/machine.py)."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.hosts import tokens, wakes
from bench.hosts.machine import Machine, missing
from bench.hosts.recording_model import RecordingModel
from bench.hosts.turns import TURNS
from bench.percentiles import percentile
from bench.report import Results

TEMPORARY = "/tmp"  # noqa: S108 (a folder of our own is made in it; a socket's path must be short)
WAKES = "How soon mail is in a request of the model"
TOKENS = "Tokens that mail costs a session, its own text left out"


def _tokens(results: Results, home: Path, options: argparse.Namespace) -> None:
    results.notes[TOKENS] = (
        f"Characters that are in the model's requests because of us, {tokens.CHARS_A_TOKEN} to a token. A wake brings its "
        "mail, whose frame is counted, too; last, about how much of it are the host's own words."
    )
    for host, turn in TURNS.items():
        if absent := missing(turn.command[0]):
            results.skip(f"tokens.{host}", TOKENS, turn.title, f"not installed: {', '.join(absent)}")
            continue
        (folder := home / host).mkdir()
        with RecordingModel() as model:
            for cost in tokens.measure(folder, model, host):
                results.add(f"tokens.{host}.{cost.what}", TOKENS, turn.title, cost.what, "", tokens.tokens(cost.text))
                if cost.own:
                    results.add(f"tokens.{host}.own", TOKENS, turn.title, "the host's own of it", "", cost.own)
                if options.texts:
                    sys.stderr.write(f"--- {turn.title}, {cost.what}: {len(cost.text)} characters\n{cost.text}\n")


def _wakes(results: Results, home: Path, options: argparse.Namespace, host: str) -> None:
    results.notes[WAKES] = "From the moment of sending until the model's request that holds the mail. The model is on loopback."
    with RecordingModel() as model:
        for line, times in wakes.HOSTS[host](Machine(home), model, options.count):
            ordered = sorted(times)
            for percent in (50, 99):
                results.add(f"wakes.{line}.p{percent}", WAKES, line, f"p{percent}", "ms", percentile(ordered, percent))
            results.add(f"wakes.{line}.count", WAKES, line, "messages", "", len(times))


PARTS: dict[str, tuple[Callable[[Results, Path, argparse.Namespace], None], tuple[str, ...]]] = {
    "tokens": (_tokens, ("tmux",)),
    **{host: (partial(_wakes, host=host), (host, "tmux")) for host in wakes.HOSTS},
}
"""Each with the programs that it needs."""


def main(argv: list[str] | None = None) -> int:
    """Exit status 0, also where a host is missing: that is said in the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.hosts", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--texts", action="store_true", help="write what was added to the requests on standard error")
    parser.add_argument("--count", type=int, default=30, metavar="N", help="messages for each way (default 30)")
    options = parser.parse_args(argv)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    results = Results()
    for part in options.parts or PARTS:
        measure, programs = PARTS[part]
        if absent := missing(*programs):
            results.skip(part, part, part, f"not installed: {', '.join(absent)}")
            continue
        home = Path(tempfile.mkdtemp(prefix="ipc-", dir=TEMPORARY))
        try:
            measure(results, home, options)
        finally:
            shutil.rmtree(home, ignore_errors=True)
    sys.stdout.write(results.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
