"""What stands in examples/ works, run as its reader runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.deep
def test_the_team_story_ends_well_though_the_broker_is_killed_twice(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, EXAMPLES / "team.py"], env=env, capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "Every message arrived, each once." in done.stdout
    assert done.stdout.count("the broker is killed") == 2
    assert "to planner: 1 of your messages was not read: #" in done.stdout
    assert "planner  is told that builder is idle" in done.stdout
    assert "You wait for builder: it made the same call of Bash with the same result 5 times in a row" in done.stdout
