"""A new file that is there whole or not at all, and that its owner alone can read."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from broker.home.files import sync_folder
from broker.protocol.errors import IpcError

_BUFFER_BYTES = 1024 * 1024


@contextmanager
def whole_file(target: Path, *, force: bool) -> Iterator[IO[bytes]]:
    """Write to it; it gets its name at the end. Interrupted, it leaves nothing. Raises IpcError where one is there."""
    if not force and os.path.lexists(target):
        raise IpcError("bad_request", detail=f"{target} is there already: --force replaces it")
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb", _BUFFER_BYTES) as out:
            os.fchmod(fd, 0o600)
            yield out
            out.flush()
            os.fsync(fd)
        if force:
            os.replace(temporary, target)
        else:
            try:
                os.link(temporary, target)  # unlike a rename it never replaces a file
            except FileExistsError:
                raise IpcError("bad_request", detail=f"{target} came meanwhile: --force replaces it") from None
        sync_folder(target.parent)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
