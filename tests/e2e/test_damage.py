"""A database that is damaged while the service runs: the broker ends, the next one repairs, everyone is told."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.conftest import Service


def overwrite_from_the_second_page(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as f:
        f.seek(4096)
        f.write(b"\xa5" * (size - 4096))


def overwrite_one_page(path: Path, table: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        pages = [r[0] for r in db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (table,))]
    with path.open("r+b") as f:
        f.seek((pages[len(pages) // 2] - 1) * 4096)
        f.write(b"\xa5" * 4096)


@pytest.mark.deep
@pytest.mark.parametrize("folded", [True, False])
def test_damage_met_at_work_is_repaired_by_the_next_start_and_told_to_all(service: Service, home: Path, folded: bool) -> None:
    service.connect("claude")  # registered, so it is told
    service.connect("fred").send_many([("claude", "x" * 1000)] * 300)
    if folded:
        assert service.queued("claude") == 300
    service.stop()  # orderly: the next start has no reason to look
    overwrite_one_page(home / "ipc.db", "message")
    service.start()
    got: list[str] = []
    notices: list[str] = []
    with service.connect("claude") as claude:  # its check meets the page; it asks again by itself
        while mail := claude.check(limit=50):
            got += [m.content for m in mail if m.sender == "fred"]
            notices += [m.content for m in mail if m.sender == "system"]
        repaired = claude.request("status")["repaired"]
    assert 280 < len(got) < 300
    assert repaired["lost"] == (300 - len(got) if folded else None), "of the tail nobody knows what was lost with its message"
    assert repaired["kept_as"] in notices[-1]
    assert (home / repaired["kept_as"]).exists()
    assert any(line["event"] == "database_repaired" for line in service.log("broker"))


@pytest.mark.deep
def test_a_service_whose_database_is_no_database_any_more_begins_anew(service: Service, home: Path) -> None:
    service.connect("fred").send("claude", "x")
    service.stop()
    (home / "ipc.db").write_bytes(b"\xa5" * 8192)
    service.start()
    assert service.connect("fred").send("fred", "works again")["status"] == "ok"
    assert (next(home.glob("ipc.db.broken-*"))).read_bytes() == b"\xa5" * 8192


@pytest.mark.deep
def test_doctor_repairs_only_what_is_stopped(service: Service, home: Path) -> None:
    service.connect("fred").send_many([("claude", "x" * 2000)] * 200)
    doctor = [sys.executable, "-m", "bridges.cli", "doctor", "--repair"]
    with service.environment():
        refused = subprocess.run(doctor, capture_output=True, text=True)
        assert (refused.returncode, "ipc down" in refused.stderr) == (1, True)
        service.stop()
        sound = subprocess.run(doctor, capture_output=True, text=True)
        assert (sound.returncode, "is sound" in sound.stdout) == (0, True), sound.stderr
        overwrite_from_the_second_page(home / "ipc.db")
        repaired = subprocess.run(doctor, capture_output=True, text=True)
        assert (repaired.returncode, "was damaged" in repaired.stdout) == (0, True), repaired.stderr
    service.start()
    assert service.connect("fred").send("fred", "x")["status"] == "ok"
