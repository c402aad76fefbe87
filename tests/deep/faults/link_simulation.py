"""The link between brokers in a simulated world: sites, carrier, doors, disk and clock are a seed's.

Agents of two to four sites write to each other. The carrier loses, doubles and delays; its streams are made anew, purged, lose
their tail or single messages. Doors die or are stopped between any two of their steps, so that an old one goes on beside a new
one. Brokers are killed before and after a commit, find their disk full, and are set back to older copies of their databases.
Marks are lost, repeated from long ago, or of an epoch that nobody began. Now and then the faults stop: then all that was
accepted must have arrived once and in order, or have ended with a word to its sender, and nothing may wait.

A step is one request of an agent, one entry or mark that a door carries, one move of a door, or one fault.

``python -m tests.deep.faults.link_simulation --steps N --seed S [--carrier log|direct]``. The same seed takes the same steps.
"""

import argparse
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from broker.protocol.errors import IpcError
from tests.deep.faults import link_faults, report
from tests.deep.faults.link_world import World
from tests.deep.faults.model import Wrong

CARRIERS = ("log", "direct")


def run(seed: str, steps: int, carrier: str) -> dict[str, Any]:
    """So many steps; the counts, and the first thing that can't be if there was one."""
    shared = "/dev/shm"  # noqa: S108 (a private folder is made in it)
    home = Path(tempfile.mkdtemp(prefix="ipc-", dir=shared if os.path.isdir(shared) else None))
    began_s, problem = time.process_time(), None
    world = World(seed, carrier, home)
    world.fault_now = link_faults.draw
    try:
        while world.steps < steps:
            world.step()
        world.settle()
    except (Wrong, IpcError, LookupError) as e:
        told = "\n".join(world.tail)
        repeat = f"--seed {seed} --carrier {carrier} --steps {steps}"
        problem = f"seed {seed}, {carrier}, step {world.steps}: {e!r}\nThe last steps, {repeat} repeats them:\n{told}"
        if os.environ.get("RAISE"):
            raise
    finally:
        world.close()
        shutil.rmtree(home)
    return {
        "seed": seed,
        "carrier": carrier,
        "steps": world.steps,
        "seconds": round(time.process_time() - began_s, 1),
        "faults": dict(sorted(world.network.tried.items())),
        "counts": dict(sorted(world.judge.counts.items())),
        "problem": problem,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.deep.faults.link_simulation", description="The link between brokers in a simulated world."
    )
    parser.add_argument("--steps", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--carrier", choices=CARRIERS, default="log")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    found = run(options.seed, options.steps, options.carrier)
    print(json.dumps({k: v for k, v in found.items() if k != "problem"}, indent=1, ensure_ascii=False))
    if found["problem"]:
        print(found["problem"])
    if options.json:
        report.keep(options.json, "link simulation", found)
    return 1 if found["problem"] else 0


if __name__ == "__main__":
    sys.exit(main())
