"""Who is at the other end of a loopback connection and what has arrived there, and who holds a port.

From Linux's /proc and socket options. Elsewhere who it is is not known.
"""

import contextlib
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

_TCP_CLOSE = 7
"""State number of a connection that is gone, from linux/tcp_states.h."""


def peer_uid(address: tuple[str, int], local: tuple[str, int]) -> int | None:
    """The OS user of the process connected from ``address`` to ``local``, or None where it can't be known."""
    for row in _rows():
        if row[1] == _hex(address) and row[2] == _hex(local):
            return int(row[7])
    return None


def is_stranger(connection: socket.socket) -> bool:
    """True if a Unix socket's other end is known to be an OS user that is neither ours nor root (unix(7), SO_PEERCRED)."""
    if not hasattr(socket, "SO_PEERCRED"):
        return False  # the folder's mode keeps strangers out
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return uid not in (os.getuid(), 0)


def port_holder(port: int) -> str:
    """``NAME (pid N)`` of the process that listens on a port, as far as this user may see it."""
    inodes = {row[9] for row in _rows() if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for fd in process.iterdir():
                target = os.readlink(fd)
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    name = (process.parent / "comm").read_text().strip()
                    return f"{name} (pid {process.parent.name})"
    return "another process"


def _rows() -> Iterator[list[str]]:
    """Columns of /proc/net/tcp: 1 local, 2 remote, 3 state, 7 uid, 9 inode (proc(5))."""
    try:
        with open("/proc/net/tcp", encoding="ascii") as table:
            next(table)
            for line in table:
                yield line.split()
    except (OSError, StopIteration):
        return


def _hex(address: tuple[str, int]) -> str:
    packed = socket.inet_aton(address[0])
    number = struct.unpack("<I" if sys.byteorder == "little" else ">I", packed)[0]
    return f"{number:08X}:{address[1]:04X}"


def has_ended(s: socket.socket, *, private: bool) -> bool:
    """True if the other end is gone, or the connection broke."""
    gone = not private and s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSE
    return gone or bool(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def unread_bytes(s: socket.socket) -> int:
    """What was sent and has not reached the other end's kernel."""
    return int(struct.unpack("i", fcntl.ioctl(s.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
