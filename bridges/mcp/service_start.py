"""The start of the service by a child of the relay, which answers its host meanwhile.

The child is a copy of the relay, made by fork: nothing has to be imported twice, and what a start imports is gone with it.
"""

from __future__ import annotations

import os
import time

from broker.home.local_sockets import connected_quickly
from broker.home.paths import mcp_socket, python
from broker.protocol.errors import IpcError, SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

_SOCKET_S = 3.0
"""Seconds after the service's start that its socket may be missing. Then a process of our own takes its place."""
LISTENS, ABSENT = "+", "-"
"""What came of a start: the shared process's socket takes connections, or it has none. Anything else says what went wrong."""


class ServiceStart:
    """One start. ``fd`` is readable when it is over."""

    def __init__(self, home: str) -> None:
        self.fd, theirs = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            _run_child(home, theirs)
        os.close(theirs)

    def result(self) -> str:
        """LISTENS, ABSENT, or what went wrong, for a person. Call it once."""
        said = b""
        while piece := os.read(self.fd, 4096):
            said += piece
        os.close(self.fd)
        os.waitpid(self._pid, 0)
        return said.decode("utf-8", "replace") or "its start was killed"


def _run_child(home: str, out: int) -> None:
    """Start the service, write what came of it, and end this process."""
    said = "its start failed"
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)  # the pipes to the host are the relay's alone: their ends tell
        os.dup2(nothing, 1)
        said = _started(home)
    except IpcError as e:
        said = e.text
    except (SettingsError, OSError) as e:
        said = str(e)
    finally:
        os.write(out, said.encode("utf-8", "replace")[:4096])
        os._exit(0)


def _started(home: str) -> str:
    from broker.home.endpoints import socket_answers
    from broker.home.locks import is_supervised
    from broker.home.settings import Settings
    from broker.service.launcher import ensure_running

    path = mcp_socket(home)
    settings = Settings.load(home=home)
    ensure_running(settings, answers=lambda s: _listens(path) or socket_answers(s))
    until_s = time.monotonic() + (_SOCKET_S if is_supervised(settings.home) else 0)
    while not (there := _listens(path)) and time.monotonic() < until_s:
        time.sleep(0.01)
    return LISTENS if there else ABSENT


def _listens(path: str) -> bool:
    """True if the socket takes a connection, which is closed at once. It makes the supervisor start who serves it."""
    found = connected_or_none(path)
    if found is not None:
        found.close()
    return found is not None


def connected_or_none(path: str) -> _socket.socket | None:
    try:
        return connected_quickly(path)
    except OSError:
        return None


def own_process() -> _socket.socket:
    """Start a process for this agent alone, where no supervisor offers the socket. It ends with our connection."""
    import socket

    ours, theirs = socket.socketpair()
    with theirs:
        command = [*python(), "-m", "bridges.mcp", "--serve", "--connected", str(theirs.fileno())]
        os.set_inheritable(theirs.fileno(), True)
        nothing = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1)]
        os.posix_spawn(command[0], command, os.environ, file_actions=nothing)
    return ours


def reap() -> None:
    """Let processes of our own that have ended go."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
