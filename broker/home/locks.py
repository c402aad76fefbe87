"""Locks on files and folders, by flock(2): the kernel drops them with the process that holds them.

A supervisor locks the data folder itself, which can't be replaced beside the database in it, and run/supervisor.lock, which is
all that versions before 0.4 know of. A broker locks the database and run/broker.lock. Hooks import this module.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from broker.home.files import AnyPath

_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)


class lock:
    """Hold the exclusive locks of files or folders in a ``with`` block, which is given False if another has one of them.

    A file is made if there is none, mode 0600. A file system that locks no folders gives True: the locks of files decide there.
    """

    def __init__(self, *paths: AnyPath, wait: bool = False) -> None:
        self._paths = paths
        self._wait = wait
        self._held: list[int] = []

    def __enter__(self) -> bool:
        try:
            for path in self._paths:
                fd = hold(path, wait=self._wait)
                if fd is None:
                    self.__exit__()
                    return False
                self._held.append(fd)
        except BaseException:
            self.__exit__()
            raise
        return True

    def __exit__(self, *_: object) -> None:
        while self._held:
            os.close(self._held.pop())


def hold(path: AnyPath, *, wait: bool = False) -> int | None:
    """Lock the file or folder until the returned descriptor is closed; None if another open file has it."""
    fd = _open_to_lock(path)
    try:
        while _flock(fd, wait) and not _is(fd, path):  # it was replaced before we had it
            os.close(fd)
            fd = _open_to_lock(path)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def is_held(path: AnyPath) -> bool:
    """True while an open file holds the exclusive lock. Nothing is made or written."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as e:
        if e.errno not in _NO_LOCKS:
            raise
    finally:
        os.close(fd)
    return False


def _open_to_lock(path: AnyPath) -> int:
    flags = os.O_RDONLY if os.path.isdir(path) else os.O_RDWR | os.O_CREAT
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _flock(fd: int, wait: bool) -> bool:
    """False where the file system has no lock for this folder. Raises BlockingIOError."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as e:
        if e.errno not in _NO_LOCKS or not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise
        return False
    return True


def _is(fd: int, path: AnyPath) -> bool:
    """Whether the path still names what is open."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


def supervisor_locks(home: AnyPath) -> tuple[str, str]:
    """What a supervisor holds while it lives: the folder, by a path that never makes a file in its place, and the file."""
    return os.path.join(home, ""), os.path.join(home, "run", "supervisor.lock")


def broker_lock(home: AnyPath) -> str:
    """What a broker holds while it lives, beside the lock on its database."""
    return os.path.join(home, "run", "broker.lock")


def no_service(home: AnyPath) -> lock:
    """The locks of supervisor and broker; who has them all knows that neither runs."""
    return lock(*supervisor_locks(home), broker_lock(home))


def is_supervised(home: AnyPath) -> bool:
    """True if a supervisor lives, of whatever version: what it looks after will come up."""
    return any(is_held(path) for path in supervisor_locks(home))
