"""The process that wakes an idle Codex CLI by its queue (bridges.waking.QueueWay).

Codex runs no process of ours beside its sessions, so the hook of a session's start leaves one behind: ``ipc monitor SESSION
--queue``. It ends with the host's process.
"""

from __future__ import annotations

import os

from bridges.waking import program_of
from broker.home.environment import HOME

QUEUE_LOOK_S = 20.0
"""Seconds that a queued notice has to begin a turn: the host looks at its queue every 10 s (0.171.0)."""


def can_queue(pid: int) -> bool:
    """True if the process runs a program named codex. False without /proc."""
    return os.path.basename(program_of(pid)) == "codex"


def stand_by(home: str, session: str) -> None:
    """Leave a process behind that wakes the session. A second process for the same session ends at once."""
    import subprocess

    from bridges.start_command import ipc_command

    null = subprocess.DEVNULL
    subprocess.Popen(  # noqa: S603 (our own program)
        [*ipc_command(), "monitor", session, "--queue"],
        cwd=home,
        env={**os.environ, HOME: home},
        stdin=null,
        stdout=null,
        stderr=null,
        start_new_session=True,
    )
