"""Client processes, and the books of what they sent."""

import os
import sqlite3
import time
from collections.abc import Generator, Iterator

import pytest

from bench.doors.ways import Prototype
from bench.fleet import Fleet, wait_until
from bench.report import Results
from bench.rivals.percall import PerCallServer
from bench.sends import Sends, Shape
from bench.systems import Skip, System

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet() as running:
        yield running


def who(delay_s: float) -> Generator[None, float, tuple[int, float, float]]:
    """Job: (process id, when it was told to begin, when it did)."""
    time.sleep(delay_s)
    begin_s = yield
    wait_until(begin_s)
    return os.getpid(), begin_s, time.perf_counter()


def unprepared() -> Generator[None, float, None]:
    raise Skip("no such thing here")
    yield


def failing() -> Generator[None, float, None]:
    yield
    raise ValueError("in the middle")


def test_clients_are_processes_and_none_begins_before_all_are_ready(fleet: Fleet) -> None:
    asked_s = time.perf_counter()
    begin_s, found = fleet.run((who, (0.0,)), (who, (0.2,)), (who, (0.0,)))
    assert len({pid for pid, _told_s, _began_s in found} | {os.getpid()}) == 4
    assert begin_s - asked_s > 0.2
    assert all(told_s == begin_s and began_s >= begin_s for _pid, told_s, began_s in found)


def test_a_client_that_cannot_prepare_stops_the_others_and_says_why(fleet: Fleet) -> None:
    with pytest.raises(Skip, match="no such thing here"):
        fleet.run((who, (0.0,)), (unprepared, ()))


def test_a_failure_comes_with_its_traceback_and_the_processes_go_on(fleet: Fleet) -> None:
    with pytest.raises(RuntimeError, match="ValueError: in the middle"):
        fleet.run((who, (0.0,)), (failing, ()))
    assert len(fleet.run((who, (0.0,)), (who, (0.0,)))[1]) == 2


def dying() -> Generator[None, float, None]:
    yield
    os._exit(1)


def test_a_client_that_dies_ends_the_job_and_the_next_has_new_ones(fleet: Fleet) -> None:
    with pytest.raises(RuntimeError, match="a client process has ended"):
        fleet.run((who, (0.0,)), (dying, ()))
    assert len(fleet.run((who, (0.0,)), (who, (0.0,)))[1]) == 2


@pytest.fixture(scope="module")
def prototype() -> Iterator[System]:
    system = Prototype()
    try:
        system.start()
        yield system
    finally:
        system.stop()


def test_every_acknowledged_message_of_every_client_is_counted_and_stored(fleet: Fleet, prototype: System) -> None:
    results = Results()
    sends = Sends(results, fleet, 0.02, (Shape(1, 1), Shape(3, 8)))
    sends.enter(prototype)
    sends.round(0)
    sends.round(1)
    sends.close_books()
    assert [len(results.rows[f"sends.prototype.{shape}"].values) for shape in ("1x1", "3x8")] == [2, 2]
    assert results.median("acked.prototype") == prototype.acknowledged > 0
    assert results.median("books.prototype") == 0


def test_a_way_that_fails_has_a_line_that_says_so_and_the_others_go_on(fleet: Fleet, prototype: System) -> None:
    results, rival = Results(), PerCallServer()
    sends = Sends(results, fleet, 0.01, (Shape(1, 1), Shape(2, 1)))
    sends.enter(prototype)
    rival.start()
    sends.enter(rival)
    rival.stop()
    sends.round(0)
    sends.round(1)
    sends.close_books()
    failed = [row for key, row in results.rows.items() if key.startswith("failed.")]
    assert [(row.line, "ConnectionRefusedError" in row.skipped) for row in failed] == [
        (f"sends: {rival.ways()[0].title}", True)
    ]
    assert [len(results.rows[f"sends.prototype.{shape}"].values) for shape in ("1x1", "2x1")] == [2, 2]
    assert "books.percall" not in results.rows


def test_the_books_show_a_message_that_nobody_acknowledged(fleet: Fleet, prototype: System) -> None:
    results = Results()
    sends = Sends(results, fleet, 0.01, ())
    sends.enter(prototype)
    assert isinstance(prototype, Prototype)
    with sqlite3.connect(prototype.folder / "prototype.db") as db:
        db.execute("INSERT INTO message (recipient, created_s, content) VALUES ('x', 0, '')")
    db.close()
    sends.close_books()
    assert results.median("books.prototype") == 1
