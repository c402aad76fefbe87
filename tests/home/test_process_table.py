"""What the system says of processes, asked of real ones."""

import os
import subprocess
import sys

import pytest

from broker.home.process_table import is_alive, process_started, youngest_child_s

needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="there is no /proc")
_PARENT = (
    "import subprocess, sys; sys.stdin.readline(); "
    "subprocess.Popen(['sleep', '60']); print('now', flush=True); sys.stdin.readline()"
)


def test_a_process_is_alive_until_it_has_ended() -> None:
    process = subprocess.Popen(["sleep", "60"])
    started = process_started(process.pid)
    assert is_alive(process.pid, started)
    process.kill()
    process.wait()
    assert is_alive(process.pid, started) is False


@needs_proc
def test_the_youngest_child_is_the_one_that_began_last() -> None:
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdin is not None and parent.stdout is not None
        try:
            assert youngest_child_s(parent.pid) is None
            parent.stdin.write("\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == "now\n"
            age_s = youngest_child_s(parent.pid)
            assert age_s is not None and -1 < age_s < 30
            with open(f"/proc/{parent.pid}/task/{parent.pid}/children", encoding="ascii") as f:
                os.kill(int(f.read()), 9)
        finally:
            parent.kill()
