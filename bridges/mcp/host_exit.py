"""Whether a host that closed its end had taken what was written to it: end of file alone is no goodbye.

The kernel ends the pipes of a killed host just as a host that leaves does. What tells them apart is what lies unread in the
pipe, and whether the process that started us is still there to read it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import termios

_STARTED_BY = os.getppid()


def unread(fd: int) -> bool:
    """True if bytes that were written to this pipe or socket have not been read at its other end, or never will be."""
    mode = os.fstat(fd).st_mode
    try:
        if stat.S_ISFIFO(mode):
            return _count(fd, termios.FIONREAD) > 0
        if stat.S_ISSOCK(mode):
            with socket.socket(fileno=os.dup(fd)) as s:
                return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or _count(fd, termios.TIOCOUTQ) > 0
    except OSError:
        return True
    return False


def _count(fd: int, request: int) -> int:
    raw = fcntl.ioctl(fd, request, struct.pack("i", 0))
    count: int = struct.unpack("i", raw)[0]
    return count


def host_lives() -> bool:
    """False once the process that started us is gone: it did not leave, it ended."""
    return os.getppid() == _STARTED_BY
