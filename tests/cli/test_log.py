"""``ipc log``: a readable stream of what the service's processes noted."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import IO

import pytest

from broker.home.logs import Log
from tests.conftest import Service
from tests.shell import IPC, Shell


@pytest.fixture
def folder(shell: Shell) -> Path:
    """Of logs in a data folder without a service."""
    path = shell.data / "logs"
    path.mkdir(parents=True)
    return path


def following(shell: Shell, *words: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([*IPC, "log", "-f", *words], env=shell.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def next_line(output: IO[bytes]) -> str:
    return output.readline().decode()


def test_an_event_is_one_line_in_local_time_with_readable_fields(shell: Shell, folder: Path) -> None:
    fields = {"pid": 7, "name": "fred", "why": "too many at once", "keys": [1], "left": None}
    event = {"time": "2026-01-31T23:30:00.120Z", "level": "warning", "event": "refused", **fields}
    (folder / "broker.log").write_text(json.dumps(event) + "\n")
    told = 'refused  pid=7 name=fred why="too many at once" keys=[1] left=null'
    assert shell.ok("log", TZ="UTC-3") == f"2026-02-01 02:30:00.120 warning broker     {told}\n"


def test_events_of_all_processes_are_in_the_order_of_their_times(shared: Service, shared_shell: Shell) -> None:
    events = [json.loads(line) for line in shared_shell.ok("log", "--json").splitlines()]
    times = [event["time"] for event in events if "time" in event]
    assert times == sorted(times) and {"supervisor", "broker", "tcp"} <= {event["log"] for event in events}
    assert {json.loads(line)["log"] for line in shared_shell.ok("log", "tcp", "--json").splitlines()} == {"tcp"}


def test_level_and_lines_choose(shell: Shell, folder: Path) -> None:
    log = Log("broker", folder)
    for number in range(5):
        log.info("plain", number=number)
    log.error("bad", number=5)
    assert "bad" in shell.ok("log", "--level", "warning") and "plain" not in shell.ok("log", "--level", "warning")
    assert [json.loads(line)["number"] for line in shell.ok("log", "--lines", "2", "--json").splitlines()] == [4, 5]


def test_text_of_others_in_a_log_can_not_steer_the_terminal(shell: Shell, folder: Path) -> None:
    Log("broker", folder).info("refused", name="\x1b[31mred\u202e\nnext line\u200b", **{"\x1b]0;title\x07": {"k\x9b": "v\x1b"}})
    shown = shell.ok("log")
    assert shown.count("\n") == 1 and not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]", shown)
    assert "\\x1b[31mred\\u202e\\nnext line\\u200b" in shown


def test_a_traceback_is_told_by_its_last_line(shell: Shell, folder: Path) -> None:
    Log("broker", folder).exception(ValueError("no such thing"))
    assert 'traceback="ValueError: no such thing"' in shell.ok("log")
    assert "Traceback" not in shell.ok("log", "--level", "error") and "ValueError" in shell.ok("log", "--json")


def test_an_unknown_log_is_refused_with_those_that_there_are(shell: Shell, folder: Path) -> None:
    Log("broker", folder).info("begun")
    assert 'No log "brokr"; there are: broker' in shell.fails(2, "log", "brokr")


def test_following_goes_over_rotations_and_takes_new_files_in(shell: Shell, folder: Path) -> None:
    log = Log("broker", folder)
    log.info("first")
    with following(shell) as process:
        assert process.stdout is not None
        assert "first" in next_line(process.stdout)
        for number in range(70):
            log.info("long", number=number, text="x" * 90_000)
        for number in range(70):
            assert f"number={number} " in next_line(process.stdout)
        Log("notify", folder).error("broke")
        assert "error   notify     broke" in next_line(process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130 and process.stderr is not None and process.stderr.read() == b""


def test_following_ends_with_its_reader_although_nothing_happens(shell: Shell, folder: Path) -> None:
    Log("broker", folder).info("first")
    with following(shell, "--json") as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(next_line(process.stdout))["event"] == "first"
        process.stdout.close()
        assert (process.wait(10), process.stderr.read()) == (0, b"")


def test_a_closed_pipe_is_no_error_of_ours(shell: Shell, folder: Path) -> None:
    log = Log("broker", folder)
    for number in range(3000):
        log.info("event", number=number, text="x" * 100)
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*IPC, "log"], env=shell.env, stdout=write, stderr=subprocess.PIPE, timeout=20)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
