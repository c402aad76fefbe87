"""Whether a process is an agent's host, or was started by one, as far as the system tells.

A host is known as the process of a session, by its program's name, and by what it sets for the commands that it runs. A process
of the same user can get round each of these. So this tells a person's shell from an agent's, and is no proof.
"""

from __future__ import annotations

import os

from broker.home.environment import HOST_MARKS, HOST_PROGRAMS
from broker.home.process_table import environment_of, lineage, stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_TERMINAL = 4
"""Which field of ``stat`` is the controlling terminal; 0 stands for none."""


def at_own_terminal() -> bool:
    """True if this process has a terminal and no host has started it. Without /proc its environment alone tells of a host."""
    if os.path.isdir("/proc/self"):
        return has_terminal(os.getpid()) and not under_host(os.getpid())
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return not any(os.environ.get(mark) for mark in HOST_MARKS)


def has_terminal(pid: int) -> bool:
    """True if the process has a controlling terminal. False without /proc."""
    _name, fields = stat(pid)
    return bool(fields) and fields[_TERMINAL] != "0"


def under_host(pid: int, is_session: Callable[[int], bool] = lambda _pid: False) -> bool:
    """True if a host is the process or an ancestor of it. ``is_session``: whether a session is known to run there."""
    return any(_is_host(one, is_session) for one in lineage(pid))


def _is_host(pid: int, is_session: Callable[[int], bool]) -> bool:
    if stat(pid)[0] in HOST_PROGRAMS or is_session(pid):
        return True
    try:
        environment = environment_of(pid)
    except OSError:  # another user's, such as sshd
        return False
    return any(environment.get(mark) for mark in HOST_MARKS)
