"""Large bodies: one markdown file each, whole and on disk before the message that names it is committed.

The files of a batch are written as they come, then synced together by ``_THREADS`` threads, which takes half the time of one
sync after the other. After the sync each file gets its name, and the folder is synced once for all.
"""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from broker.core.storage import LargeFile, StoreFull
from broker.home.files import make_folder, sync_folder
from broker.home.message_files import file_stem, is_ours, locate, original
from broker.home.settings import Settings
from broker.protocol.digests import text_digest

_LEFTOVER = re.compile(r"\.[0-9a-f]{16}\.tmp", re.ASCII)
_MARK = "Store: "
_AT_ONCE = 64
"""Files of a batch that wait for their sync, each with a descriptor."""
_THREADS = 4
_SECOND = len("YYYYMMDD-HHMMSS")


class Unsynced(NamedTuple):
    """A file that is written under a temporary name and not synced yet."""

    fd: int
    temporary: Path


class LargeFiles:
    """The folder of large bodies. ``store_id`` marks our files, so that a shared folder's others are never touched."""

    def __init__(self, settings: Settings, store_id: str) -> None:
        self._settings = settings
        self.folder = settings.large_message_path
        self.size_bytes = 0
        """Bytes of the files that messages name. ``grown`` says that some came since the size was last looked at."""
        self.grown = False
        self.store_id = store_id
        self._unsynced: dict[Path, Unsynced] = {}
        """By the name that the file will get."""
        self._named = False
        """True while the folder has new names that are not synced."""
        self._second = ""
        self._numbers: dict[str, int] = {}
        """By name without a number, the last number given in this second."""
        self._threads: ThreadPoolExecutor | None = None

    def write(self, sender: str, recipient: str, created_s: float, message_id: int, content: str) -> LargeFile:
        """Write the file ``YYYYMMDD-HHMMSS_from_to_message.md``; a taken name gets a suffix.

        The time is UTC. The file has its name, and both are on disk, after ``sync``. Raises StoreFull when the disk refuses.
        """
        body = content.encode()
        digest = text_digest(body)
        when = datetime.fromtimestamp(created_s, timezone.utc)
        head = (
            f"# Message from {sender} to {recipient}\n\n"
            f"Timestamp: {when.isoformat(timespec='microseconds')}\nFrom: {sender}\nTo: {recipient}\n"
            f"Size: {len(body)} bytes\nSHA-256: {digest}\n{_MARK}{self.store_id} {message_id}\n\n---\n\n"
        )
        try:
            path = self._write_new(file_stem(f"{when:%Y%m%d-%H%M%S}", sender, recipient), head.encode() + body)
        except OSError as e:
            raise StoreFull(f"{self.folder}: {e.strerror}") from e
        return LargeFile(str(path), len(body), digest)

    def _write_new(self, stem: str, text: bytes) -> Path:
        make_folder(self.folder)
        if len(self._unsynced) >= _AT_ONCE:
            self._name_all()
        path = self._free_name(stem)
        temporary = self.folder / f".{secrets.token_hex(8)}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._unsynced[path] = Unsynced(fd, temporary)
        self.size_bytes += len(text)
        self.grown = True
        try:
            with os.fdopen(fd, "wb", closefd=False) as out:
                out.write(text)
        except BaseException:
            self.remove(str(path))
            raise
        return path

    def _free_name(self, stem: str) -> Path:
        """``stem.md``, or the first of ``stem-2.md`` and so on that is free, as far as is known from the last time."""
        if self._second != stem[:_SECOND]:
            self._second = stem[:_SECOND]
            self._numbers.clear()
        number = self._numbers.get(stem, 0)
        while True:
            number += 1
            path = self.folder / (f"{stem}.md" if number == 1 else f"{stem}-{number}.md")
            if path not in self._unsynced and not os.path.lexists(path):
                self._numbers[stem] = number
                return path

    def sync(self) -> None:
        """Before the commit: the files of the batch, then their names, are put on disk. Raises StoreFull."""
        try:
            self._name_all()
            if self._named:
                sync_folder(self.folder)
                self._named = False
        except OSError as e:
            raise StoreFull(f"{self.folder}: {e.strerror}") from e

    def _name_all(self) -> None:
        if not self._unsynced:
            return
        descriptors = [one.fd for one in self._unsynced.values()]
        if len(descriptors) == 1:
            os.fsync(descriptors[0])
        else:
            self._threads = self._threads or ThreadPoolExecutor(_THREADS, "sync")
            syncs = [self._threads.submit(os.fsync, fd) for fd in descriptors]
            failed = [error for one in syncs if (error := one.exception()) is not None]  # after all: they are closed next
            if failed:
                raise failed[0]
        for path in list(self._unsynced):
            self._link(self._unsynced[path].temporary, path)
            self._forget(path)

    def _link(self, temporary: Path, path: Path) -> None:
        """Give the file its name. A link, unlike a rename, never replaces a file that is there."""
        os.link(temporary, path)
        self._named = True

    def _forget(self, path: Path) -> bool:
        """End what a file that is not on disk yet has; False if it is none."""
        one = self._unsynced.pop(path, None)
        if one is None:
            return False
        os.close(one.fd)
        one.temporary.unlink(missing_ok=True)
        return True

    def read(self, path: str, sha256: str) -> bytes | None:
        """The text of a large message, also of one that this batch has written, which has no name yet."""
        unsynced = self._unsynced.get(Path(path))
        return original(path if unsynced is None else unsynced.temporary, sha256)

    def locate(self, stored: str) -> str | None:
        """Where the file of a stored path is, if it can be one of ours."""
        found = locate(stored, self._settings)
        return None if found is None else str(found)

    def remove(self, stored: str) -> None:
        """Remove the file that a stored path stands for."""
        path = locate(stored, self._settings)
        if path is None:
            return
        with contextlib.suppress(OSError):
            unsynced = self._unsynced.get(path)
            self.size_bytes -= os.stat(path if unsynced is None else unsynced.fd).st_size
        if self._forget(path):
            return
        try:
            os.unlink(path)
        except OSError as e:
            if e.errno not in (errno.ENOENT, errno.EROFS, errno.EACCES):
                raise

    def sweep_orphans(self, file_of: Callable[[int], str | None]) -> list[str]:
        """Remove this store's files that no message names: what a crash left between the file and the commit.

        ``file_of`` has the path of a message's file. Only its last part is compared: the folder may have been moved, or be
        reached by another path than when the file was written.
        """
        removed: list[str] = []
        if not self.folder.is_dir():
            return removed
        for entry in os.scandir(self.folder):
            if not entry.is_file(follow_symlinks=False):
                continue
            leftover = _LEFTOVER.fullmatch(entry.name)
            if (leftover and self.folder.name == "large-messages") or (
                (leftover or is_ours(entry.name)) and self._is_orphan(entry, file_of)
            ):
                os.unlink(entry.path)
                removed.append(entry.name)
        return removed

    def _is_orphan(self, entry: "os.DirEntry[str]", file_of: Callable[[int], str | None]) -> bool:
        with open(entry.path, "rb") as f:
            head = f.read(1024).split(b"\n---\n", 1)[0]
        mark = re.search(rf"\n{_MARK}{re.escape(self.store_id)} (\d{{1,18}})$".encode(), head.rstrip(b"\n"))
        if mark is None:
            return False
        named = file_of(int(mark[1]))
        return named is None or os.path.basename(named) != entry.name
