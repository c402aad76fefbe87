"""Namespaces of Linux for this process and all that it starts: no network but loopback, and mounts that nobody else sees."""

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

from bench.systems import Skip

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
_RECURSIVE, _PRIVATE = 0x4000, 0x40000
_SET_FLAGS = 0x8914
_UP, _RUNNING = 0x1, 0x40


def isolate() -> None:
    """As root, or where unprivileged users have namespaces. Call it before there is a second thread. Raises Skip."""
    user, group = os.getuid(), os.getgid()
    _call("unshare", _NEW_MOUNTS | _NEW_NETWORK | (0 if user == 0 else _NEW_USER))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    _call("mount", b"none", b"/", None, _RECURSIVE | _PRIVATE, None)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh22x", b"lo", _UP | _RUNNING))


def mount_small(folder: Path, mib: int) -> None:
    """A file system in memory, of that size, on ``folder``; it goes with this process at the latest. Raises Skip."""
    _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={mib}m,mode=700".encode())


def unmount(folder: Path) -> None:
    """Also while it is in use: it goes with its last user."""
    _call("umount2", os.fsencode(folder), 2)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        raise Skip(f"{name}: {os.strerror(ctypes.get_errno())}")
