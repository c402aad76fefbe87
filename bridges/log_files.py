"""The service's logs as they lie in ``logs/``: ``NAME.log``, JSON lines, and older ones as ``NAME.log.1`` and up.

They are read while others write and rotate them: a file that was rotated keeps its inode, so what is held open is read to its
end before the next one is begun, and nothing is left out or told twice.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

LEVELS = ("debug", "info", "warning", "error")
_SUFFIX = ".log"


def names(folder: str) -> list[str]:
    """Of which processes there are logs."""
    try:
        found = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX))


class ProcessLog:
    """The log of one process, which goes on over its rotations."""

    def __init__(self, folder: str, name: str) -> None:
        self.name = name
        self._path = os.path.join(folder, name + _SUFFIX)
        self._fd = -1
        self._rest = b""

    def newest(self, most: int, least: str) -> list[dict[str, Any]]:
        """The newest events of ``least`` level and worse, at most ``most`` (0: all), oldest first. Later ones are ``new``."""
        self._open(self._path)
        found = _events(self._lines(), least)
        for path in self._files()[1:]:
            if most and len(found) >= most:
                break
            found[:0] = _events(_whole(path), least)
        return found[-most:] if most else found

    def new(self, least: str) -> Iterator[dict[str, Any]]:
        """Events that were written since the last call; all of the file where it is new."""
        if self._fd < 0:
            self._open(self._path)
        yield from _events(self._lines(), least)
        while self._fd >= 0 and (path := self._next()):
            yield from _events(self._lines(), least)  # what was written to it before its rotation, after the look above
            self._open(path)
            yield from _events(self._lines(), least)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._rest = b""

    def _open(self, path: str) -> None:
        self.close()
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._fd = -1

    def _lines(self) -> list[bytes]:
        """The whole lines that were written since the last call."""
        read = bytearray(self._rest)
        while self._fd >= 0 and (part := os.read(self._fd, 1 << 20)):
            read += part
        *lines, self._rest = bytes(read).split(b"\n")
        return lines

    def _files(self) -> list[str]:
        """The present file and those that were rotated, newest first."""
        folder, name = os.path.split(self._path)
        numbers = [
            end for one in os.listdir(folder) if one.startswith(f"{name}.") and (end := one[len(name) + 1 :]).isdecimal()
        ]
        return [self._path, *(f"{self._path}.{number}" for number in sorted(numbers, key=int))]

    def _next(self) -> str:
        """The file that was begun after the one that is open; empty if that is the newest."""
        mine = os.fstat(self._fd).st_ino
        for _ in range(2):  # a file that is renamed meanwhile may be missed, once
            younger = ""
            for path in self._files():
                try:
                    if os.stat(path).st_ino == mine:
                        return younger
                except FileNotFoundError:
                    continue
                younger = path
        return younger  # the oldest there is: those between have gone


def _events(lines: list[bytes], least: str) -> list[dict[str, Any]]:
    return [event for line in lines if line.strip() and _is(event := _event(line), least)]


def _whole(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def _event(line: bytes) -> dict[str, Any]:
    """The event of a line; of what is none, such as a start's last words on standard error, one without time."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"level": "error", "event": line.decode(errors="replace")}


def _is(event: dict[str, Any], least: str) -> bool:
    level = event.get("level")
    return level not in LEVELS or LEVELS.index(str(level)) >= LEVELS.index(least)
