"""Large bodies: one markdown file each, written whole before the message that names it is committed."""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from broker.core.port import LargeFile, StoreFull
from broker.runtime import make_folder, sync_folder

_OURS = re.compile(r"\d{8}-\d{6}_[A-Za-z0-9_-]{1,32}_[A-Za-z0-9_-]{1,32}_message(-\d+)?\.md", re.ASCII)
_MARK = "Store: "


class LargeFiles:
    """The folder of large bodies. ``store_id`` marks our files, so that a shared folder's others are never touched."""

    def __init__(self, folder: Path, store_id: str) -> None:
        self.folder = folder
        self.store_id = store_id
        self._unsynced = False
        """Names were made that the folder has not got on disk yet."""

    def write(self, sender: str, recipient: str, created_s: float, message_id: int, content: str) -> LargeFile:
        """Write, sync and name the file ``YYYYMMDD-HHMMSS_from_to_message.md``; a taken name gets a suffix.

        The time is UTC. The name is on disk after ``sync``. Raises StoreFull when the disk refuses.
        """
        body = content.encode()
        digest = hashlib.sha256(body).hexdigest()
        when = datetime.fromtimestamp(created_s, timezone.utc)
        head = (
            f"# Message from {sender} to {recipient}\n\n"
            f"Timestamp: {when.isoformat(timespec='microseconds')}\nFrom: {sender}\nTo: {recipient}\n"
            f"Size: {len(body)} bytes\nSHA-256: {digest}\n{_MARK}{self.store_id} {message_id}\n\n---\n\n"
        )
        stem = f"{when:%Y%m%d-%H%M%S}_{sender}_{recipient}_message"
        try:
            path = self._write_new(stem, head.encode() + body)
        except OSError as e:
            raise StoreFull(f"{self.folder}: {e.strerror}") from e
        return LargeFile(str(path), len(body), digest)

    def _write_new(self, stem: str, text: bytes) -> Path:
        make_folder(self.folder)
        temporary = self.folder / f".{secrets.token_hex(8)}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(fd, "wb") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            path = self._link(temporary, stem)
        finally:
            temporary.unlink(missing_ok=True)
        self._unsynced = True
        return path

    def sync(self) -> None:
        """Before the commit: one sync of the folder for all the files of a batch. Raises StoreFull."""
        if self._unsynced:
            try:
                sync_folder(self.folder)
            except OSError as e:
                raise StoreFull(f"{self.folder}: {e.strerror}") from e
            self._unsynced = False

    def _link(self, temporary: Path, stem: str) -> Path:
        """Give the file its name. A link, unlike a rename, never replaces a file that is there."""
        number = 1
        while True:
            path = self.folder / (f"{stem}.md" if number == 1 else f"{stem}-{number}.md")
            try:
                os.link(temporary, path)
            except OSError as e:
                if e.errno != errno.EEXIST:
                    raise
                number += 1
            else:
                return path

    def remove(self, path: str) -> None:
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
            leftover = entry.name.startswith(".") and entry.name.endswith(".tmp") and self.folder.name == "large-messages"
            if leftover or (_OURS.fullmatch(entry.name) and self._is_orphan(entry, file_of)):
                self.remove(entry.path)
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
