"""The measurements run and account for every message. No test here looks at a time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Rows of one quick run by what they measure."""
    file = tmp_path_factory.mktemp("bench") / "rows.json"
    done = run_bench("--quick", "--json", str(file))
    assert done.returncode == 0, done.stderr
    table = json.loads(file.read_text(encoding="utf-8"))
    assert all(f"| {row['what']} | " in done.stdout for row in table["rows"])
    assert {"CPUs", "Python", "SQLite", "kernel"} <= table["machine"].keys()
    return {row["what"]: row for row in table["rows"]}


def test_every_part_has_a_row(rows: dict[str, dict[str, Any]]) -> None:
    assert {"floors", "single", "pipelined", "tcp", "oneshot", "cli", "footprint"} <= {row["part"] for row in rows.values()}


def test_a_row_has_a_value_or_says_why_not(rows: dict[str, dict[str, Any]]) -> None:
    assert all(bool(row["values"]) != bool(row["skipped"]) for row in rows.values())


def test_broker_parts_are_never_skipped(rows: dict[str, dict[str, Any]]) -> None:
    assert not [r for r in rows.values() if r["skipped"] and r["part"] in ("floors", "single", "pipelined", "footprint")]


def test_every_acknowledged_send_is_stored_once(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["sends acknowledged"]["median"] > 0
    assert rows["sends: stored - acknowledged"]["median"] == 0
    assert rows["footprint: stored - acknowledged"]["median"] == 0


def test_unknown_part_is_refused_with_the_known_ones() -> None:
    done = run_bench("sneds")
    assert done.returncode == 2
    assert "known: floors, single" in done.stderr
