"""Whether processes of the tests are there."""

import os


def alive(pid: int) -> bool:
    """True while a thread of the process runs.

    A killed process whose main thread has ended is a zombie at once, while its other threads may still hold its sockets: who
    connects then is taken in by a listener that nobody serves.
    """
    try:
        return any(_runs(f"/proc/{pid}/task/{thread}/stat") for thread in os.listdir(f"/proc/{pid}/task"))
    except (FileNotFoundError, ProcessLookupError):
        return False


def _runs(stat: str) -> bool:
    try:
        with open(stat) as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
