"""Where the processes of one data folder meet: folders, sockets, locks, keys. Everything here is private to the user."""

import contextlib
import errno
import fcntl
import os
import secrets
import shlex
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from broker.home.local_sockets import WAY_OUT, check_peer
from broker.home.paths import read_trusted, socket_folder
from broker.home.settings import Settings

Identity = tuple[int, int]


class FolderError(OSError):
    """A folder that others could write to or that isn't ours."""


def private_folder(path: Path, *, may_be_link: bool = True, way_out: str = "Set IPC_HOME to a folder of your own") -> Path:
    """Create the folder with mode 0700, or make sure that it is ours alone. The umask is not trusted.

    A link must be ours, too: through another's the mode of any folder of ours would be changed. Raises FolderError.
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
    return path


def _open_folder(path: Path, may_be_link: bool, way_out: str) -> int:
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


def make_folder(path: Path) -> None:
    """Create the folder and those above it, mode 0700, so that a loss of power can't take them and what is put in them."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(PermissionError):  # a folder that may be passed but not read
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Have the kernel write down the names in a folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def prepare_home(settings: Settings) -> None:
    """The data folder and its parts, private."""
    for folder in (settings.home, settings.home / "run", settings.home / "logs", settings.home / "sessions"):
        private_folder(folder)
    check_large_folder(settings.large_message_path)
    prepare_sockets(settings)


def check_large_folder(path: Path) -> None:
    """Raise FolderError where the folder for large messages is another user's, or others may write in it: they could put
    another text in a message's place."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return  # it is made when it is needed
    if found.st_uid != os.getuid():
        raise FolderError(f"{path}, the folder for large messages, belongs to another user; set large_message_dir to another")
    if found.st_mode & 0o022:
        raise FolderError(
            f"{path}, the folder for large messages, can be written by others; run: chmod go-w {shlex.quote(str(path))}"
        )


def prepare_sockets(settings: Settings) -> None:
    """The folder of the sockets. In the folder for temporary files somebody else may have made it first: then it is refused."""
    folder = run_folder(settings)
    outside = folder.parent != settings.home
    private_folder(folder, may_be_link=not outside, way_out=WAY_OUT)


def run_folder(settings: Settings) -> Path:
    """Where sockets live: ``run`` in the data folder, or a short folder when that path is too long for a socket."""
    return Path(socket_folder(str(settings.home)))


def clear_socket(settings: Settings, path: str) -> None:
    """Make room for a socket in the run folder. Whoever holds its lock may: a socket that is there is a dead process's."""
    prepare_sockets(settings)
    if os.path.lexists(path) and stat.S_ISSOCK(os.lstat(path).st_mode):
        os.unlink(path)


def endpoint(settings: Settings) -> str:
    """The ZeroMQ endpoint of the broker."""
    return settings.endpoint or f"ipc://{run_folder(settings) / 'broker.sock'}"


class EndpointRefused(OSError):
    """An endpoint that would let strangers in."""


def check_endpoint(settings: Settings) -> None:
    """Raise EndpointRefused for a TCP endpoint that others could use: this one has neither keys nor encryption.

    Beyond loopback none is allowed; the remote door is for that. On loopback every user of the machine can connect, and the
    broker can't tell who it is: a shared secret is needed.
    """
    import ipaddress

    scheme, _, rest = endpoint(settings).partition("://")
    if scheme == "ipc":
        return
    host = rest.rpartition(":")[0].strip("[]")
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if scheme != "tcp" or not loopback:
        raise EndpointRefused(
            f"the endpoint {scheme}://{rest} is refused: use ipc://PATH, or tcp:// on a loopback address. For other machines "
            f'there is the remote door, with keys: IPC_REMOTE=tcp://HOST:PORT (remote = "tcp://..." in config.toml)'
        )
    if not settings.shared_secret:
        raise EndpointRefused(f"the endpoint tcp://{rest} without a shared secret is refused: set IPC_SHARED_SECRET")


def socket_answers(settings: Settings) -> bool:
    """True if something listens at the broker's endpoint. Costs no ZeroMQ and no round trip.

    Raises IpcError ``unavailable`` if it is another OS user's.
    """
    address = endpoint(settings)
    scheme, _, rest = address.partition("://")
    if scheme == "ipc":
        family, target = socket.AF_UNIX, rest
    elif scheme == "tcp":
        host, _, port = rest.rpartition(":")
        family, target = socket.AF_INET, (host, int(port))  # type: ignore[assignment]
    else:
        return True
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(target)
        except OSError:
            return False
        if family == socket.AF_UNIX:
            check_peer(probe, rest)
    return True


def identity(path: str | Path) -> Identity | None:
    """(device, inode) of what has the name now, links followed; None if nothing has."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextlib.contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold an exclusive flock on the file or folder; yields False if someone else has it. The kernel drops it with the process.

    A file is made if there is none. A file system that locks no folders yields True: the locks of files decide there.
    """
    fd = _open_to_lock(path)
    try:
        while _flock(fd, wait) and not _is(fd, path):  # it was replaced before we had it
            os.close(fd)
            fd = _open_to_lock(path)
    except OSError as e:
        os.close(fd)  # now: who tries again and again may keep what this yields
        if not isinstance(e, BlockingIOError):
            raise
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)


def is_held(path: Path) -> bool:
    """True if somebody holds the lock. Nothing is made or written."""
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


_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP)


def _open_to_lock(path: Path) -> int:
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _flock(fd: int, wait: bool) -> bool:
    """False where the file system has no lock for this. Raises BlockingIOError."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as e:
        if e.errno not in _NO_LOCKS or not stat.S_ISDIR(os.fstat(fd).st_mode):
            raise
        return False
    return True


def _is(fd: int, path: Path) -> bool:
    """Whether the path still names what is open."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False


# A supervisor locks the data folder itself, which can't be replaced beside the database that is in it, and run/supervisor.lock,
# which is all that versions before 0.4 know of; a broker locks the database and run/broker.lock.


@contextlib.contextmanager
def no_service(settings: Settings) -> Iterator[bool]:
    """Hold every lock of supervisor and broker; yields False if one of them is held, by whatever version."""
    run = settings.home / "run"
    with contextlib.ExitStack() as held:
        paths = (settings.home, run / "supervisor.lock", run / "broker.lock")
        yield all(held.enter_context(lock(path)) for path in paths)


def is_supervised(settings: Settings) -> bool:
    """True if a supervisor lives, of whatever version: what it looks after will come up."""
    return is_held(settings.home) or is_held(settings.home / "run" / "supervisor.lock")


def owner_key(settings: Settings) -> str:
    """The key that proves its reader to own the data folder; made at first use, mode 0600."""
    path = settings.home / "owner.key"
    with contextlib.suppress(FileNotFoundError):
        return read_trusted(str(path)).strip()
    write_private(path, secrets.token_urlsafe(32) + "\n", replace=False)
    return read_trusted(str(path)).strip()


def write_private(path: Path, text: str, *, replace: bool = True, durable: bool = False) -> None:
    """Write a file of mode 0600 whole or not at all; with ``replace`` false, an existing file stays as it is.

    ``durable``: a loss of power after the return leaves the new file.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)
            if durable:
                f.flush()
                os.fsync(f.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
        if durable:
            sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def read_private(path: Path) -> str:
    """The text of a file that holds secrets. Raises FileNotFoundError, and FolderError for a link, for a file that is another
    user's, and for one that others may read or write."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as e:
        if e.errno in (errno.ELOOP, errno.EMLINK):
            raise FolderError(f"{path} is a link, and a file with keys must be none") from None
        raise
    with os.fdopen(fd, encoding="utf-8", errors="replace") as f:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
            raise FolderError(f"{path} is not a file of yours")
        if found.st_mode & 0o077:
            raise FolderError(f"{path} can be read by others; run: chmod 600 {shlex.quote(str(path))}")
        return f.read()
