"""Waking an idle Codex CLI by its queue: ``codex queue --thread SESSION --message TEXT``.

An idle session takes a queued text as a prompt, and its prompt hook adds the mail. Codex runs no process of ours beside its
sessions, so the hook of a session's start leaves one behind: ``ipc monitor SESSION --queue``. It ends with the host's process.
The host's program and environment are read from its process.
"""

from __future__ import annotations

import os

from broker.home.environment import HOME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bridges.host_sessions import Binding

_DEADLINE_S = 30.0


def can_queue(pid: int) -> bool:
    """True if the process runs a program named codex. False without /proc."""
    return os.path.basename(_program(pid)) == "codex"


def _program(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


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


def queue(binding: Binding, text: str) -> None:
    """Queue the text for the session. Raises OSError with the program's own words if it refused."""
    import subprocess

    from broker.home.process_table import environment_of

    program = _program(binding.pid)
    command = [program, "queue", "--thread", binding.session, "--message", text]
    try:
        done = subprocess.run(  # noqa: S603 (the host's own program)
            command,
            cwd=binding.project,
            env=environment_of(binding.pid),  # where it keeps its sessions depends on it
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as e:
        raise OSError(str(e)) from None
    if done.returncode:
        raise OSError(os.fsdecode(done.stderr)[-500:])
