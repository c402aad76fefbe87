"""What a supervised process does so that it never outlives its supervisor, and is known to live."""

import contextlib
import ctypes
import gc
import os
import resource
import select
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def heard_parent(pipe: int) -> bool:
    """Read what the supervisor wrote to this end of its pipe; False if it is gone.

    A byte is its question whether we live, answered on standard output: from the main loop, which it is about.
    """
    if not os.read(pipe, 64):
        return False
    with contextlib.suppress(OSError):
        os.write(1, b".")
    return True


def answer_parent(pipe: int) -> None:
    """Answer the supervisor if it has asked, from within a long work."""
    if select.select([pipe], [], [], 0)[0]:
        heard_parent(pipe)


def hear_parent_in(
    loop: "asyncio.AbstractEventLoop", stopping: "asyncio.Event", look: "Callable[[], None] | None" = None
) -> None:
    """Answer the supervisor from an event loop, and set ``stopping`` when it is gone. ``look`` is called at each beat."""

    def readable() -> None:
        if not heard_parent(sys.stdin.fileno()):
            stopping.set()
        elif look is not None:
            look()

    loop.add_reader(sys.stdin.fileno(), readable)


def die_with_parent() -> None:
    """On Linux, have the kernel kill this process when its parent dies. Elsewhere standard input's end tells."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(0)


def allow_many_files() -> None:
    """Use as many descriptors as this user may have: many systems begin with 1024, and each connection takes one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def collect_seldom() -> None:
    """Look for garbage in cycles less often than Python does by itself, which would stop a loaded process for 10 to 25 ms.

    What lives by now is not looked at again. Nearly everything else is freed by its reference count at once.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 1_000)
