"""``python -m tests.deep.fuzz --inputs N --seed S [--only NAME]``: hostile inputs into every parser.

Exit status 1 with the first input that got out what it must not. ``--json FILE`` keeps the counts.
"""

import argparse
import json
import secrets
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.deep.faults import report
from tests.deep.fuzz.inputs import Inputs
from tests.deep.fuzz.targets import TARGETS


def run(seed: str, inputs: int, only: str | None = None) -> dict[str, Any]:
    """Feed each target its share; counts, seconds and what was found."""
    shares = {name: share for name, (_, share) in TARGETS.items() if only in (None, name)}
    counts: dict[str, int] = {}
    problems: list[str] = []
    began_s = time.monotonic()
    for name, share in shares.items():
        target = TARGETS[name][0](Inputs(f"{seed}/{name}"))
        counts[name] = 0
        try:
            for _ in range(max(1, inputs * share // sum(shares.values()))):
                next(target)
                counts[name] += 1
        except Exception:  # whatever comes out of a parser here is the finding
            problems.append(f"{name}, input {counts[name] + 1}: {traceback.format_exc()[-3000:]}")
        finally:
            target.close()  # type: ignore[attr-defined]
        print(f"{name}: {counts[name]} inputs, {len(problems)} problems", flush=True)
    return {
        "seed": seed,
        "inputs": sum(counts.values()),
        "by_parser": counts,
        "seconds": round(time.monotonic() - began_s, 1),
        "problems": problems,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deep.fuzz", description="Hostile inputs into every parser.")
    parser.add_argument("--inputs", type=int, default=20_000, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--only", choices=TARGETS)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    found = run(options.seed, options.inputs, options.only)
    print(json.dumps({k: v for k, v in found.items() if k != "problems"}, indent=1))
    print("\n".join(found["problems"]))
    if options.json:
        report.keep(options.json, "fuzz", found)
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
