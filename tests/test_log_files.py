"""Logs are read while they are written and rotated: each event once, in order, none left out."""

import os
from pathlib import Path

import pytest

from bridges.log_files import ProcessLog, names
from broker.home.logs import Log

LONG = "x" * 100_000
"""Some fifty events fill a file."""


@pytest.fixture
def written(tmp_path: Path) -> Log:
    return Log("broker", tmp_path)


def numbers(log: ProcessLog, least: str = "debug") -> list[int]:
    return [event["number"] for event in log.new(least)]


def test_a_log_is_followed_over_one_rotation_and_over_several(tmp_path: Path, written: Log) -> None:
    written.info("first", number=0)
    log = ProcessLog(str(tmp_path), "broker")
    assert [event["number"] for event in log.newest(10, "debug")] == [0]
    read: list[int] = []
    for count in (1, 60, 170, 1):  # none, one and three rotations between two looks
        start = len(read) + 1
        for number in range(start, start + count):
            written.info("more", number=number, text=LONG)
        read += numbers(log)
    assert read == list(range(1, 233)) and numbers(log) == []
    assert len(list(tmp_path.iterdir())) == 5


def test_the_newest_events_come_from_as_many_files_as_they_need(tmp_path: Path, written: Log) -> None:
    for number in range(120):
        (written.warning if number % 50 == 7 else written.info)("event", number=number, text=LONG)
    log = ProcessLog(str(tmp_path), "broker")
    assert [event["number"] for event in log.newest(3, "info")] == [117, 118, 119]
    assert [event["number"] for event in log.newest(2, "warning")] == [57, 107]
    assert [event["number"] for event in log.newest(0, "debug")] == list(range(120))
    log.close()


def test_half_a_line_waits_for_its_other_half(tmp_path: Path) -> None:
    path = tmp_path / "tcp.log"
    path.write_bytes(b'{"number": 1}\n{"num')
    log = ProcessLog(str(tmp_path), "tcp")
    assert [event["number"] for event in log.newest(0, "debug")] == [1]
    with path.open("ab") as f:
        f.write(b'ber": 2}\n')
    assert numbers(log) == [2]


def test_a_log_that_is_not_there_yet_is_begun_when_it_comes(tmp_path: Path) -> None:
    log = ProcessLog(str(tmp_path), "broker")
    assert (names(str(tmp_path)), log.newest(5, "debug"), numbers(log)) == ([], [], [])
    Log("broker", tmp_path).error("late", number=1)
    assert numbers(log, "error") == [1] and names(str(tmp_path)) == ["broker"]


def test_a_line_that_is_no_event_is_one_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "start.log").write_text("No module named zmq\n")
    (event,) = ProcessLog(str(tmp_path), "start").newest(0, "error")
    assert event["event"] == "No module named zmq"


def test_a_log_whose_files_have_gone_is_begun_anew(tmp_path: Path, written: Log) -> None:
    written.info("first", number=0)
    log = ProcessLog(str(tmp_path), "broker")
    log.newest(0, "debug")
    os.unlink(tmp_path / "broker.log")
    assert numbers(log) == []
    Log("broker", tmp_path).info("second", number=1)
    assert numbers(log) == [1]
