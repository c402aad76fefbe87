"""The end of each log in the data folder."""

from __future__ import annotations

import os
from pathlib import Path

TAIL_BYTES = 64 * 1024
"""Of each file."""


def tails(folder: Path) -> list[tuple[str, str]]:
    """(process, line) of the last lines of each process's log. It reads files."""
    found = []
    for path in sorted(folder.glob("*.log")):
        try:
            with path.open("rb") as file:
                start = max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES)
                file.seek(start)
                lines = file.read(TAIL_BYTES).decode("utf-8", "replace").split("\n")
        except OSError:
            continue  # rotated away just now
        found += [(path.stem, line) for line in (lines[1:] if start else lines) if line.strip()]
    return found
