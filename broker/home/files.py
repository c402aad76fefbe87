"""Private files and folders: written whole, read only where they are safe to believe, mode 0600 and 0700.

Three rules, one function each:

    write_private   a file is there whole or not at all; its mode does not depend on the umask
    read_private    a file that holds a secret: no link, of this user alone, mode 0600 or less
    read_trusted    a file that decides what a program does, and holds no secret: this user's or root's, not writable by others

Hooks and commands import this module, so it imports neither typing nor pathlib (see broker.home.paths).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

AnyPath = str | os.PathLike[str]
Identity = tuple[int, int]


class FolderError(OSError):
    """A folder or a file that others could read or write, or that another user owns."""


def private_folder(path: AnyPath, *, may_be_link: bool = True, way_out: str = "Set IPC_HOME to a folder of your own") -> None:
    """Create the folder with mode 0700, or make sure that this user alone can use it. The umask is not trusted.

    A link must belong to this user or root: another user's could lead to any folder. Raises FolderError.
    """
    make_folder(path)
    fd = _open_folder(path, may_be_link, way_out)
    try:
        found = os.fstat(fd)
        if found.st_uid != os.getuid():
            raise FolderError(f"{path} belongs to another user. {way_out}")
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)


def _open_folder(path: AnyPath, may_be_link: bool, way_out: str) -> int:
    """A descriptor of the folder itself, whatever takes its name meanwhile."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_NOFOLLOW)
    except PermissionError:
        whose = "can't be read" if os.lstat(path).st_uid == os.getuid() else "belongs to another user"
        raise FolderError(f"{path} {whose}. {way_out}") from None
    except OSError:
        found = os.lstat(path)
        if not stat.S_ISLNK(found.st_mode):
            raise
        if not may_be_link or found.st_uid not in (os.getuid(), 0):
            raise FolderError(f"{path} is a link, which somebody else may have made. {way_out}") from None
        return os.open(path, flags)


def make_folder(path: AnyPath) -> None:
    """Create the folder and its parents, mode 0700. Neither they nor what is put in them are lost with the power."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(os.path.abspath(path))
    make_folder(parent)
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise
    with contextlib.suppress(PermissionError):  # a folder that may be passed but not read
        sync_folder(parent)


def sync_folder(path: AnyPath) -> None:
    """Have the kernel write the names in a folder to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def identity(path: AnyPath) -> Identity | None:
    """(device, inode) of what has the name now, links followed; None if nothing has."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def write_private(
    path: AnyPath, content: str | bytes, *, mode: int = 0o600, replace: bool = True, durable: bool = False
) -> None:
    """Write a file whole or not at all; with ``replace`` false, an existing file stays as it is.

    ``durable``: a loss of power after the return leaves the new file. Text is UTF-8. Raises OSError, and leaves nothing behind.
    """
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as f:
            os.fchmod(fd, mode)
            f.write(content.encode() if isinstance(content, str) else content)
            if durable:
                f.flush()
                os.fsync(fd)
        if replace:
            os.replace(temporary, path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            os.unlink(temporary)
        if durable:
            sync_folder(folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read_private(path: AnyPath) -> str:
    """The text of a file that holds secrets.

    Raises FileNotFoundError, and FolderError for a link, for another user's file, and for one that others may read or write.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.ELOOP, errno.EMLINK):
            raise FolderError(f"{path} is a link, and a file with keys must be none") from None
        raise
    with os.fdopen(fd, encoding="utf-8", errors="replace") as f:
        found = os.fstat(fd)
        if found.st_uid != os.getuid():
            raise FolderError(f"{path} belongs to another user")
        if not stat.S_ISREG(found.st_mode):
            raise FolderError(f"{path} is no file")
        if found.st_mode & 0o077:
            raise FolderError(f"{path} can be read by others; run: chmod 600 {quoted(path)}")
        return f.read()


def read_trusted(path: AnyPath) -> str:
    """The text of a file that decides what this program does. A link is followed: people link their settings.

    Raises FileNotFoundError, UnicodeDecodeError, and PermissionError with words for a file that a user other than this one and
    root owns or may write.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(fd, encoding="utf-8") as f:
        found = os.fstat(fd)
        if hasattr(os, "getuid") and found.st_uid not in (os.getuid(), 0):
            raise PermissionError(f"{path} belongs to another user")
        # many systems give new files the user's own group, with the right to write
        if found.st_mode & 0o002 or (found.st_mode & 0o020 and found.st_gid not in (os.getgid(), os.getegid())):
            raise PermissionError(f"{path} can be written by others; run: chmod go-w {quoted(path)}")
        return f.read()


def owner_key(home: AnyPath) -> str:
    """The key that proves its reader to own the data folder; made at first use, mode 0600. Raises FolderError."""
    return _own_secret(os.path.join(home, "owner.key"))


def answer_key(home: AnyPath) -> str:
    """The key that signs links by which a person answers (bridges.answer_tokens); likewise."""
    return _own_secret(os.path.join(home, "answers.key"))


def _own_secret(path: str) -> str:
    try:
        return read_private(path).strip()
    except FileNotFoundError:
        import secrets

        write_private(path, secrets.token_urlsafe(32) + "\n", replace=False)
        return read_private(path).strip()


def quoted(path: AnyPath) -> str:
    """The path as a shell wants it."""
    import shlex

    return shlex.quote(os.fspath(path))
