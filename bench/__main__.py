"""``python -m bench [PART...]``: measure, and print Markdown."""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import plots
from bench.peers import __main__ as peers
from bench.report import FAILED, TARGETS, Results
from bench.run import DEFAULT, PARTS, Plan, run
from bench.stand import RIVALS
from bench.systems import Skip
from bench.targets import compared_with, judge_again

DESCRIPTION = """Measure durable sends by every door beside the floors of the machine and beside other systems, the latency
under load, whole processes, and how all of it scales. Parts that can be repeated take turns, round after round; the result
is a Markdown table of medians with their spread. Servers are started in temporary folders and stopped."""

EPILOG = "python -m bench peers [--help] is a run of its own: beside systems that do the same job."


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 whether or not targets are met: a number is a finding, not a failure. 1 if a part could not be measured
    to its end; what it had found is there all the same."""
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["peers"]:
        return peers.main(given[1:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: {', '.join(DEFAULT)}")
    parser.add_argument("--against", metavar="NAMES", help=f"rivals, of {','.join(RIVALS)}, or none; default all")
    parser.add_argument("--rounds", type=int, default=5, help="of the parts that take turns (default 5)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak (default 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there, too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write JSON, Markdown and pictures there")
    parser.add_argument(
        "--before", type=Path, metavar="FILE", help="compare with the run of this JSON (default: results.json in --out)"
    )
    parser.add_argument(
        "--merge", action="store_true", help="results.json in --out keeps its other parts; these take their places anew"
    )
    parser.add_argument(
        "--draw", type=Path, metavar="FILE", help="measure nothing: draw this JSON again, into --out or beside it"
    )
    parser.add_argument("--full", action="store_true", help="every door with every size, shape and durability: takes an hour")
    parser.add_argument(
        "--cores", type=int, metavar="N", help="let everything run on N cores: less noise where others work, too"
    )
    parser.add_argument("--quick", action="store_true", help="a moment's load: shows that it works, measures nothing")
    options = parser.parse_args(argv)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    against = tuple(RIVALS) if options.against is None else names(options.against)
    for name in against:
        if name not in RIVALS:
            parser.error(f"unknown rival {name!r}; known: {', '.join(RIVALS)}, none")
    if min(options.rounds, options.minutes, options.cores or 1) <= 0:
        parser.error("--rounds, --minutes and --cores must be positive")
    if options.cores is not None:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])  # what is started inherits it
    if options.draw is not None:
        draw(Results.from_json(options.draw.read_text(encoding="utf-8")), options.out or options.draw.parent)
        return 0
    try:
        before = earlier_run(options.before, options.out)
    except (OSError, ValueError, LookupError, TypeError) as error:
        parser.error(f"no results of an earlier run: {error}")
    if options.merge and (before is None or options.out is None or options.quick or options.against is not None):
        parser.error("--merge needs --out FOLDER with results.json of a whole run, all rivals, and no --quick")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: servers and folders go
    parts = tuple(options.parts) or DEFAULT
    results = run(Plan(parts, against, options.rounds, options.minutes, options.quick, options.full), before)
    stem, failed = "-".join(options.parts) or "results", any(row.table == FAILED for row in results.rows.values())
    absent = sorted({row.line for row in results.rows.values() if row.skipped})
    if options.merge and before is not None and not absent:
        results, stem = merged(before, results, parts), "results"
    sys.stdout.write(results.markdown())
    write(results, options.json, options.out, stem)
    if options.merge and absent:
        sys.stderr.write(f"not merged, but in {stem}.json: without {', '.join(absent)} the parts are not whole\n")
    return 1 if failed or (options.merge and absent) else 0


def names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name not in ("", "none"))


def earlier_run(file: Path | None, out: Path | None) -> Results | None:
    """That of ``file``; without one, what a run of all parts left in ``out``, if there was one."""
    if file is None and out is not None and (out / "results.json").exists():
        file = out / "results.json"
    return Results.from_json(file.read_text(encoding="utf-8")) if file is not None else None


def merged(before: Results, again: Results, parts: Sequence[str]) -> Results:
    """The earlier whole run with these parts as they were measured now."""
    results = Results.from_json(before.to_json())
    results.take_in(again, parts)
    results.verdicts = judge_again(results, before)
    results.notes[TARGETS] = f"{compared_with(before)} Targets of parts that were not measured again stand as they did."
    return results


def write(results: Results, file: Path | None, folder: Path | None, stem: str) -> None:
    """``folder`` gets ``stem``.json, ``stem``.md and pictures of what was measured."""
    if file is not None:
        file.write_text(results.to_json(), encoding="utf-8")
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.json").write_text(results.to_json(), encoding="utf-8")
    (folder / f"{stem}.md").write_text(results.markdown(), encoding="utf-8")
    draw(results, folder)


def draw(results: Results, folder: Path) -> None:
    try:
        plots.draw(results, folder)
    except Skip as reason:
        sys.stderr.write(f"no pictures: {reason}\n")


if __name__ == "__main__":
    sys.exit(main())
