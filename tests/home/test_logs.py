"""The service's logs: lines of JSON, levels, rotation."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from broker.home import logs
from broker.home.logs import Log


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_line_says_when_what_and_who_and_its_fields_stand_beside(tmp_path: Path) -> None:
    Log("door", tmp_path).info("it_began", port=1, path=Path("/x"), half="\ud800", name="é")
    (line,) = lines(tmp_path / "door.log")
    assert (line["level"], line["event"], line["port"], line["path"], line["name"]) == ("info", "it_began", 1, "/x", "é")
    assert line["time"].endswith("Z") and line["pid"] and (tmp_path / "door.log").stat().st_mode & 0o777 == 0o600


def test_an_exception_has_its_traceback_and_the_reference_that_is_returned(tmp_path: Path) -> None:
    log = Log("door", tmp_path)
    try:
        {}["missing"]
    except KeyError as e:
        reference = log.exception(e, door="tcp")
    (line,) = lines(tmp_path / "door.log")
    assert line["ref"] == reference and line["door"] == "tcp" and line["traceback"].endswith("KeyError: 'missing'")


@pytest.mark.parametrize(
    ("level", "written"), [("debug", 3), ("info", 3), ("warning", 2), ("error", 1)], ids=lambda value: str(value)
)
def test_what_is_below_the_level_is_not_written(tmp_path: Path, level: str, written: int) -> None:
    log = Log("door", tmp_path, level)
    for say in (log.error, log.warning, log.info):
        say("event")
    assert len(lines(tmp_path / "door.log")) == written


def test_a_log_without_a_folder_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Log("door").error("event")
    assert list(tmp_path.iterdir()) == []


def test_a_full_file_is_kept_four_times_and_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_FILE_BYTES", 1000)
    log = Log("door", tmp_path)
    for number in range(100):
        log.info("event", number=number)
    kept = [tmp_path / f"door.log{end}" for end in (".4", ".3", ".2", ".1", "")]
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    numbers = [line["number"] for path in kept for line in lines(path)]
    assert numbers == list(range(numbers[0], 100)) and all(path.stat().st_size <= 1000 for path in kept)


def test_lines_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    log = Log("door", tmp_path)
    threads = [threading.Thread(target=lambda: [log.info("event", text="x" * 500) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(tmp_path / "door.log")) == 800


def test_a_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    Log("door", tmp_path / "missing").error("event")
