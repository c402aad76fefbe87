"""The end of a body: with a disk that takes nothing, and where a child lives on behind the host's program."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bridges import started_bodies
from bridges.started_bodies import StartedBody
from broker.home.locks import hold
from broker.home.process_table import process_started

NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); from bridges import started_bodies as s; "


def keep_body(home: Path, pid: int, **fields: bool) -> StartedBody:
    (home / "resume").mkdir(exist_ok=True)
    given = {"session": "s1", "name": "web", "host": "claude", "started": process_started(pid)}
    body = StartedBody(**given, newest=1, attempt=1, pid=pid, at_s=time.time(), until_s=time.time() + 60, **fields)
    started_bodies.save(str(home), body)
    return body


@pytest.mark.parametrize(
    ("act", "status"),
    [
        ("print(s.end({home!r}, s.of_session({home!r}, 's1'), 'x'))", -signal.SIGTERM),
        ("print(bool(s.Opening({home!r}, 's1', lambda *_, **__: None).__enter__()))", -signal.SIGTERM),
        ("print(s.note_begin({home!r}, s.of_session({home!r}, 's1')))", None),
    ],
)
def test_a_disk_that_takes_nothing_saves_no_body_and_breaks_no_hook(home: Path, act: str, status: int | None) -> None:
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as host:
        keep_body(home, host.pid)
        words = [sys.executable, "-c", NO_ROOM + act.format(home=str(home))]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, done.stderr) == (0, "") and done.stdout.split()[-1] in ("True", "False")
        assert host.poll() == status or host.wait(10) == status
        host.kill()


def test_a_child_that_holds_the_lock_behind_a_program_that_has_ended_is_ended_with_the_body(home: Path) -> None:
    (home / "resume").mkdir()
    held = hold(started_bodies.held_path(str(home), "s1", 1))
    assert held is not None
    host = subprocess.Popen(
        ["sh", "-c", "sleep 600 & read line"], stdin=subprocess.PIPE, start_new_session=True, pass_fds=[held]
    )
    os.close(held)
    body = keep_body(home, host.pid)
    host.communicate(b"\n")
    assert not body.runs() and started_bodies.lives(str(home), body)
    assert started_bodies.end(str(home), body, "the session was opened in a terminal")
    assert not started_bodies.lives(str(home), body)
