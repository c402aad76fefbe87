"""Unix sockets of this machine, and who listens at them: what another OS user offers is never spoken to.

The path of a socket can be computed by anyone, and where the data folder's is too long the socket is in /tmp. So a client
asks the kernel who answers before it says a word. No more is imported here than a hook can afford (see broker.home.paths).
"""

from __future__ import annotations

import _socket
import os
import sys

from broker.protocol.errors import IpcError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2
"""macOS: unix(4); the credentials begin with a version and the user, 4 bytes each."""


def connected(path: str, timeout_s: float | None = None) -> socket.socket:
    """A connection to the socket at ``path``, where a process of this OS user listens.

    Raises OSError where nobody listens, and IpcError ``unavailable`` where somebody else does.
    """
    import socket

    found = connected_quickly(path, timeout_s)
    s = socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, found.detach())
    s.settimeout(timeout_s)
    return s


def connected_quickly(path: str, timeout_s: float | None = None) -> _socket.socket:
    """The same without Python's part of a socket, whose module takes 4 ms to import (enum, selectors)."""
    s = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        s.settimeout(timeout_s)
        s.connect(path)
        check_peer(s, path)
    except BaseException:
        s.close()
        raise
    return s


def check_peer(connection: _socket.socket, path: str) -> None:
    """Raise IpcError ``unavailable`` if another OS user listens at the other end of a client's connection."""
    uid = peer(connection)[1]
    if uid is not None and uid != os.getuid():
        raise IpcError("unavailable", detail=f"user {uid} of this machine listens at {path}, not you. {WAY_OUT}")


WAY_OUT = "Set IPC_HOME to a folder of your own with a short path, or XDG_RUNTIME_DIR to a folder of your own"


def peer(connection: _socket.socket) -> tuple[int, int | None]:
    """(process, OS user) at the other end of a Unix socket; of a client's connection, who began to listen there.

    The process is 0 and the user None where the system does not tell.
    """
    if hasattr(_socket, "SO_PEERCRED"):  # Linux: struct ucred, three ints
        found = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
        return int.from_bytes(found[:4], sys.byteorder), int.from_bytes(found[4:8], sys.byteorder)
    if sys.platform == "darwin":
        uid = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76)[4:8]
        pid = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, 4)
        return int.from_bytes(pid, sys.byteorder), int.from_bytes(uid, sys.byteorder)
    return 0, None
