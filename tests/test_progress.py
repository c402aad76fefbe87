"""How far a long piece of work is: at a terminal, and only there."""

import subprocess
import sys
from pathlib import Path

import pytest

from bridges.progress import Progress, line
from tests.screens import Screen

WORK = """
import os, sys, time
from bridges.progress import Progress
with Progress(Progress.messages) as tell:
    while not os.path.exists("enough"):
        tell("exporting", 250_000, 1_000_000)
        time.sleep(0.01)
print("250000 messages saved")
"""


@pytest.mark.parametrize(
    ("done", "total", "for_s", "shown"),
    [
        (0, 400, 0.0, "copying [------------------------]   0 %"),
        (100, 400, 0.5, "copying [######------------------]  25 %"),
        (100, 400, 2.0, "copying [######------------------]  25 %  50 messages/s  6 s left"),
        (1, 7300, 1.0, "copying [------------------------]   0 %  1 message/s  2 h left"),
        (400, 400, 4.0, "copying [########################] 100 %  100 messages/s  0 s left"),
        (500, 400, 5.0, "copying [########################] 100 %  100 messages/s  0 s left"),
        (0, 0, 75.0, "copying  1 min"),
        (3000, 0, 3.0, "copying  3 s  3,000 messages  1,000 messages/s"),
    ],
)
def test_a_line_says_part_rate_and_time_left_as_far_as_they_are_known(done: int, total: int, for_s: float, shown: str) -> None:
    assert line("copying", done, total, for_s, Progress.messages) == shown


def test_bytes_are_told_in_mebibytes() -> None:
    assert "25 %  50.0 MiB/s  6 s left" in line("writing", 100 << 20, 400 << 20, 2.0, Progress.bytes)


def test_a_bar_at_a_terminal_is_gone_when_the_work_is_done(tmp_path: Path) -> None:
    with Screen([sys.executable, "-c", WORK], {"PYTHONPATH": str(Path(__file__).parent.parent)}, tmp_path) as screen:
        screen.shows("exporting [######------------------]  25 %")
        (tmp_path / "enough").touch()
        assert screen.ended() == 0
        assert screen.shows("250000 messages saved").strip() == "250000 messages saved"


def test_a_pipe_and_a_dumb_terminal_get_none_of_it(tmp_path: Path) -> None:
    work = WORK.replace('os.path.exists("enough")', "time.monotonic() > end").replace(
        "with P", "end = time.monotonic() + 0.7\nwith P"
    )
    env = {"PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", work], env=env, cwd=tmp_path, capture_output=True, timeout=20)
    assert (done.stdout, done.stderr) == (b"250000 messages saved\n", b"")
    with Screen([sys.executable, "-c", work], {**env, "TERM": "dumb"}, tmp_path) as screen:
        assert screen.ended() == 0
        assert screen.output.strip() == "250000 messages saved"
