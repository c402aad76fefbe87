"""What another OS user does, in a child process that gives up root's rights for it."""

import os
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")


def forked(work: Callable[[], Any]) -> Any:
    """What a function returns in a child process, which may give up rights for it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            answer = pickle.dumps(work())
        except BaseException:  # the child must end here, whatever happened, and the test must show it
            answer = pickle.dumps(traceback.format_exc())
        with open(writing, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(answer)  # noqa: S301


def as_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
