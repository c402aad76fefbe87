"""Whether a host that closed its end had taken what was written to it.

End of file alone does not tell: the kernel closes the pipes of a killed host, too. Two things tell: bytes that lie unread in
the pipe, and whether the process that started us still lives.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import stat
import struct
import termios

_STARTED_BY = os.getppid()


def unread(fd: int) -> bool:
    """True if bytes written to this pipe or socket are unread at its other end, or never will be read."""
    mode = os.fstat(fd).st_mode
    try:
        if stat.S_ISFIFO(mode):
            return _count(fd, termios.FIONREAD) > 0
        if stat.S_ISSOCK(mode):
            s = _socket.socket(fileno=os.dup(fd))
            try:
                return s.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR) != 0 or _count(fd, termios.TIOCOUTQ) > 0
            finally:
                s.close()
    except OSError:
        return True
    return False


def _count(fd: int, request: int) -> int:
    raw = fcntl.ioctl(fd, request, struct.pack("i", 0))
    count: int = struct.unpack("i", raw)[0]
    return count


def host_lives() -> bool:
    """False once the process that started us has ended."""
    return os.getppid() == _STARTED_BY
