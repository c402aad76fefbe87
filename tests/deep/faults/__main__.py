"""``python -m tests.deep.faults``: kill the service a number of times under load and judge the history.

Prints the seed, which repeats the run's choices (not the machine's timing). Exit status 1 if a rule was broken.
``--json FILE`` keeps the counts there; ``--report FILE`` makes the table of what has been kept.
"""

import argparse
import json
import secrets
import sys
from pathlib import Path

from tests.deep.faults import crash, migration, report
from tests.deep.faults.history import Problem


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.deep.faults", description="Kill the service under load, and count.")
    parser.add_argument("--cycles", type=int, default=50, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--name", default="crash", help="under which the counts are kept (default crash)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the counts there (docs/reliability.json)")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="run nothing, fill FILE's tables from docs/reliability.json"
    )
    options = parser.parse_args(argv)
    if options.report:
        report.fill(options.report)
        return 0
    print(f"seed {options.seed}", flush=True)
    result = crash.run(options.seed, options.cycles, lambda line: print(line, flush=True))
    moved = migration.run()
    result.tried["killed in a migration, at each statement"] = moved["tried"]
    result.recovery_s["killed in a migration, at each statement"] = moved["times"]
    result.problems += [Problem("migration", p) for p in moved["problems"]]
    found = {**result.to_json(), "cycles": sum(result.tried.values()) - moved["tried"]}
    print(json.dumps(found, indent=1))
    if options.json:
        report.keep(options.json, options.name, found)
    return 1 if result.problems else 0


if __name__ == "__main__":
    sys.exit(main())
