"""The guard fails a run that leaves a process behind or goes where the user's own service listens."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BAD = """
import os, socket, subprocess

def test_leaves_a_process():
    subprocess.Popen(["sleep", "67"], start_new_session=True)

def test_leaves_a_process_that_only_its_data_folder_tells():
    env = {"PATH": os.environ["PATH"], "IPC_HOME": os.environ["TMPDIR"] + "/ipc-x"}
    subprocess.Popen(["sleep", "68"], start_new_session=True, env=env)

def test_connects():
    socket.socket().connect(("127.0.0.1", 9876))
"""
GOOD = """
import os

def test_sees_no_home_of_the_user():
    assert os.environ["HOME"] == os.environ["TMPDIR"] and os.environ["IPC_HOME"].startswith(os.environ["HOME"])
    assert os.environ["IPC_PORT"] == "0"
"""


def run(folder: Path, text: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.guard", "-p", "no:cacheprovider", "-c", "/dev/null", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "AGENT_IPC_TEST_ENDING_S": "0.2"}
    return subprocess.run([*command, str(folder)], env=environment, capture_output=True, text=True)


@pytest.mark.deep
def test_a_run_that_touches_what_is_not_its_own_fails(tmp_path: Path) -> None:
    done = run(tmp_path, BAD, "-n", "1")
    assert done.returncode == 1, done.stdout
    assert "sleep 67 (of test_it.py::test_leaves_a_process (call))" in done.stdout and "sleep 68 (of ?)" in done.stdout
    assert "the user's own service" in done.stdout and "2 passed" in done.stdout


def test_a_run_that_touches_nothing_passes(tmp_path: Path) -> None:
    done = run(tmp_path, GOOD, "-n", "0")
    assert done.returncode == 0, done.stdout
