"""A file as a message: its text, or its size and hash if it is not text."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from broker.protocol.errors import IpcError

LIMIT_BYTES = 16 * 1024 * 1024
_SHOWN = 300
"""Characters of a path that an error shows."""


def read_file(path: Path, description: str = "") -> tuple[str, dict[str, Any]]:
    """(content, data) of the message that carries a file. Raises IpcError ``bad_request`` or ``too_large``."""
    try:
        if not path.is_file():
            raise IpcError("bad_request", detail=f"{str(path)[:_SHOWN]} is not a file; give the path of one that exists")
        size = path.stat().st_size
        if size > LIMIT_BYTES:
            raise IpcError("too_large", what="A file", size=size, limit=LIMIT_BYTES)
        raw = path.read_bytes()
    except OSError as e:
        raise IpcError("bad_request", detail=f"{str(path)[:_SHOWN]} can't be read: {e.strerror}") from None
    facts = {"path": str(path), "size_bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    head = f"{description}\nFile: {path} ({len(raw)} bytes)".lstrip()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return f"{head}\nNot text; SHA-256 {facts['sha256']}", {"file": facts}
    return f"{head}\n\n{text}", {"file": facts}
