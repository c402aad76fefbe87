"""The process that wakes an idle session of a host that runs no process of ours beside it.

The hook of a session's start leaves it behind: ``ipc monitor SESSION --WAY``. It ends with the host's process.
"""

from __future__ import annotations

import os

from bridges.waking import program_of
from broker.home.environment import HOME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def can_wake(host: ModuleType, pid: int) -> bool:
    """True if the host of a hook can be woken by its way (``WAKE``). ``pid`` is the host's process."""
    if host.WAKE == "queue":
        return bool(os.path.basename(program_of(pid)) == host.NAME)  # False without /proc
    return host.WAKE == "socket" and bool(os.environ.get(host.SOCKET))


def stand_by(home: str, session: str, way: str) -> None:
    """Leave a process behind that wakes the session. A second process for the same session ends at once."""
    import subprocess

    from bridges.known_hosts.start_command import ipc_command

    null = subprocess.DEVNULL
    subprocess.Popen(  # noqa: S603 (our own program)
        [*ipc_command(), "monitor", session, f"--{way}"],
        cwd=home,
        env={**os.environ, HOME: home},
        stdin=null,
        stdout=null,
        stderr=null,
        start_new_session=True,
    )
