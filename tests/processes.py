"""Whether processes of the tests are there, and how to freeze them."""

import os
import signal
import time

_FROZEN_S = 20.0


def alive(pid: int) -> bool:
    """True while a thread of the process runs.

    A killed process whose main thread has ended is a zombie at once, while its other threads may still hold its sockets: who
    connects then is taken in by a listener that nobody serves.
    """
    return any(state not in "ZX" for state in _states(pid))


def freeze(pid: int) -> None:
    """SIGSTOP, and wait until no thread runs. Its connections stay open, and nothing answers.

    The kernel stops the threads once one of them has taken the signal. On a loaded machine the others go on until then.
    """
    os.kill(pid, signal.SIGSTOP)
    end_s = time.monotonic() + _FROZEN_S
    while any(state not in "TtZX" for state in _states(pid)):
        assert time.monotonic() < end_s, f"process {pid} did not stop within {_FROZEN_S:.0f} s"
        time.sleep(0.001)


def _states(pid: int) -> list[str]:
    """The state of each thread, by its letter in /proc. Empty for a process that is gone."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [state for thread in threads if (state := _state(f"/proc/{pid}/task/{thread}/stat"))]


def _state(stat: str) -> str:
    try:
        with open(stat) as f:
            return f.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
