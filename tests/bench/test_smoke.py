"""A whole run in small: every part runs and accounts for every message. No test here looks at a time."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bench.run import TURNS
from broker.home.locks import lock
from tests.bench.running import QUICK, run_bench

STEM = "-".join((*TURNS, "sustained", "fairness", "cold", "scale"))

pytestmark = [pytest.mark.timeout(180), pytest.mark.deep]  # a dozen services come and go


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of one quick run against what needs no installation; parallel workers share it."""
    if worker_id == "master":
        folder = tmp_path_factory.mktemp("bench")
        measure_into(folder)
        return folder
    folder = tmp_path_factory.getbasetemp().parent / "bench"
    folder.mkdir(exist_ok=True)
    with lock(folder / "lock", wait=True):
        if not (folder / f"{STEM}.json").exists():
            measure_into(folder)
    return folder


def measure_into(folder: Path) -> None:
    done = run_bench(*TURNS, "sustained", "fairness", "cold", "scale", *QUICK, "--against", "percall", "--out", str(folder))
    assert done.returncode == 0, done.stderr
    assert done.stdout == (folder / f"{STEM}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def table(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / f"{STEM}.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def rows(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in table["rows"]}


def test_every_part_has_rows(rows: dict[str, Any]) -> None:
    assert {"floor", "sends", "push", "latency", "program", "sustained", "fairness", "cold", "scale"} <= {
        key.partition(".")[0] for key in rows
    }


def test_a_row_has_a_value_or_says_why_not(rows: dict[str, Any]) -> None:
    assert [key for key, row in rows.items() if bool(row["values"]) == bool(row["skipped"])] == []


def test_the_broker_the_prototype_and_the_model_are_never_skipped(rows: dict[str, Any]) -> None:
    ways = ("prototype", "zeromq", "library", "tcp", "unix", "oneshot", "zeromq-normal", "percall")
    assert [way for way in ways if not rows[f"sends.{way}.1x1"]["values"]] == []


def test_every_acknowledged_send_is_stored_once(rows: dict[str, Any]) -> None:
    books = {key: row["median"] for key, row in rows.items() if key.startswith("books.")}
    assert len(books) == 7
    assert set(books.values()) == {0}
    assert {row["median"] for key, row in rows.items() if key.startswith("sustained.") and key.endswith(".books")} == {0}


def test_the_machine_and_how_busy_it_was_are_told(table: dict[str, Any]) -> None:
    assert {"CPUs", "Python", "SQLite", "kernel", "file system"} <= table["machine"].keys()
    assert len(table["control"]) == 2


def test_a_percentile_is_never_below_a_lower_one(rows: dict[str, Any]) -> None:
    for load in ("10%", "50%", "90%"):
        for what in ("here", "acked"):
            values = [rows[f"latency.{load}.{what}.p{p}"]["median"] for p in ("50", "99", "99.9")]
            assert values == sorted(values)


def test_targets_are_held_against_what_was_measured(table: dict[str, Any]) -> None:
    assert table["targets"]
    assert all(isinstance(target["met"], bool) == (target["wanted"][0] in "≥≤") for target in table["targets"])


def test_rivals_that_are_not_installed_have_a_row_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    done = run_bench("sends", *QUICK, "--against", "redis", "--json", str(file), PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    rows = {row["key"]: row for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    for rival in ("redis-always", "redis-everysec"):
        assert "not installed" in rows[f"sends.{rival}"]["skipped"]
    assert rows["sends.zeromq.1x1"]["values"]


def test_a_rival_that_does_not_start_leaves_the_rest(tmp_path: Path) -> None:
    pytest.importorskip("redis")
    (tmp_path / "redis-server").write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    (tmp_path / "redis-server").chmod(0o755)
    file = tmp_path / "rows.json"
    done = run_bench("sends", *QUICK, "--against", "redis", "--json", str(file), PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    rows = {row["key"]: row for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    assert rows["sends.redis-always"]["skipped"] == "redis-server ended with 3"
    assert rows["sends.zeromq.1x1"]["values"]


def test_unknown_parts_and_rivals_are_refused_with_the_known_ones() -> None:
    for arguments, known in ((("sneds",), "known: floors, sends"), (("sends", "--against", "kafka"), "known: nats, redis")):
        done = run_bench(*arguments)
        assert done.returncode == 2
        assert known in done.stderr
