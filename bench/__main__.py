"""``python -m bench [PART...]``: measure, and print Markdown."""

import argparse
import sys
from pathlib import Path

from bench import plots
from bench.report import Results
from bench.run import DEFAULT, PARTS, Plan, run
from bench.stand import RIVALS
from bench.systems import Skip

DESCRIPTION = """Measure durable sends by every door beside the floors of the machine and beside other systems, the latency
under load, whole processes, and how all of it scales. Parts that can be repeated take turns, round after round; the result
is a Markdown table of medians with their spread. Servers are started in temporary folders and stopped."""


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 whether or not targets are met: a number is a finding, not a failure."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=DESCRIPTION)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: {', '.join(DEFAULT)}")
    parser.add_argument("--against", metavar="NAMES", help=f"rivals, of {','.join(RIVALS)}, or none; default all")
    parser.add_argument("--rounds", type=int, default=5, help="of the parts that take turns (default 5)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of the soak (default 10)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there, too")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write results.json, results.md and pictures there")
    parser.add_argument("--draw", type=Path, metavar="FILE", help="measure nothing: draw the pictures of this JSON into --out")
    parser.add_argument("--quick", action="store_true", help="a moment's load: shows that it works, measures nothing")
    options = parser.parse_args(argv)
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    against = tuple(RIVALS) if options.against is None else names(options.against)
    for name in against:
        if name not in RIVALS:
            parser.error(f"unknown rival {name!r}; known: {', '.join(RIVALS)}, none")
    if options.rounds < 1 or options.minutes <= 0:
        parser.error("--rounds and --minutes must be positive")
    if options.draw is not None:
        results = Results.from_json(options.draw.read_text(encoding="utf-8"))
    else:
        plan = Plan(tuple(options.parts) or DEFAULT, against, options.rounds, options.minutes, options.quick)
        results = run(plan)
        sys.stdout.write(results.markdown())
    write(results, options.json, options.out)
    return 0


def names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name not in ("", "none"))


def write(results: Results, file: Path | None, folder: Path | None) -> None:
    if file is not None:
        file.write_text(results.to_json(), encoding="utf-8")
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(results.to_json(), encoding="utf-8")
    (folder / "results.md").write_text(results.markdown(), encoding="utf-8")
    try:
        plots.draw(results, folder)
    except Skip as reason:
        sys.stderr.write(f"no pictures: {reason}\n")


if __name__ == "__main__":
    sys.exit(main())
