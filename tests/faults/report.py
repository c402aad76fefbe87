"""Results of the long runs, one key a run, and the tables that are made of them."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "reliability.json"


def keep(path: Path, name: str, found: dict[str, Any]) -> None:
    """Put one run's result beside the others."""
    try:
        results = json.loads(path.read_text())
    except FileNotFoundError:
        results = {}
    results[name] = found
    path.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


def fill(page: Path) -> None:
    raise SystemExit("nothing to report yet")
