"""Death at every step of a work on files: each call that changes a name, or waits for the disk, is one."""

import os
import signal
from collections.abc import Callable, Iterator

_STEPS = ("rename", "replace", "unlink", "link", "mkdir", "rmdir", "fsync")


def deaths(prepare: Callable[[], None], work: Callable[[], object]) -> Iterator[int]:
    """For N = 1, 2, … prepare, then let a process of its own die before the Nth step of ``work``; ends when it has fewer."""
    nth = 0
    while True:
        nth += 1
        prepare()
        pid = os.fork()
        if pid == 0:
            _die_at(nth)
            try:
                work()
            except BaseException:
                os._exit(1)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, f"step {nth}: the work failed"
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        yield nth


def _die_at(nth: int) -> None:
    left = nth

    def wrap(name: str) -> None:
        original = getattr(os, name)

        def wrapped(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **options)

        setattr(os, name, wrapped)

    for name in _STEPS:
        wrap(name)
