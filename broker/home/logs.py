"""Logs as JSON lines: ``{"time", "level", "event", ...}``, one file a process, rotated at 5 MiB, four kept.

The standard library's logging would do the same for 1 MB of memory in each process of the service.
"""

from __future__ import annotations

import contextlib
import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from broker.home.files import AnyPath

_FILE_BYTES = 5 * 1024 * 1024
_KEPT = 4
_LEVELS = ("debug", "info", "warning", "error")
_AT_ONCE, _A_SECOND = 20.0, 0.5
"""Lines about one kind of refusal: so many at once, then so many a second."""


class Brake:
    """How many lines about one kind of event may still be written."""

    def __init__(self) -> None:
        self.left = _AT_ONCE
        self.counted_s = time.monotonic()
        self.left_out = 0

    def lets_through(self) -> bool:
        now_s = time.monotonic()
        self.left = min(_AT_ONCE, self.left + (now_s - self.counted_s) * _A_SECOND)
        self.counted_s = now_s
        if self.left < 1:
            self.left_out += 1
            return False
        self.left -= 1
        return True


class Log:
    """A process's log, written to ``folder/NAME.log``, and nowhere without a folder.

    Fields are keyword arguments, never part of the sentence.
    """

    def __init__(self, name: str, folder: AnyPath | None = None, level: str = "info") -> None:
        self._path = "" if folder is None else os.path.join(folder, f"{name}.log")
        self._written = _LEVELS[_LEVELS.index(level) :] if self._path else ()
        self._fd = -1
        self._bytes = 0
        self._brakes: dict[str, Brake] = {}

    def info(self, event: str, /, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, /, **fields: Any) -> None:
        self._write("warning", event, fields)

    def refusal(self, event: str, /, **fields: Any) -> None:
        """A warning that others can cause at will: of each event 20 lines at once and one in two seconds.

        ``left_out`` says how many were not written since the one before.
        """
        brake = self._brakes.setdefault(event, Brake())
        if brake.lets_through():
            if brake.left_out:
                fields["left_out"], brake.left_out = brake.left_out, 0
            self.warning(event, **fields)

    def error(self, event: str, /, **fields: Any) -> None:
        self._write("error", event, fields)

    def exception(self, error: BaseException, event: str = "unexpected_error", **fields: Any) -> str:
        """Log an exception with its traceback; return the reference that a client may be told."""
        import traceback

        reference = os.urandom(4).hex()
        self.error(event, ref=reference, **fields, traceback="".join(traceback.format_exception(error)).rstrip())
        return reference

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """Add a line with one write, so that those of several threads and processes do not mix.

        A full disk must not stop the service: then the line is lost, and nobody is told, since standard error goes there, too.
        """
        if level not in self._written:
            return
        now_s = time.time()
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
        head = {"time": f"{when}.{int(now_s * 1000) % 1000:03d}Z", "level": level, "event": event, "pid": os.getpid()}
        line = json.dumps({**head, **fields}, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace") + b"\n"
        with contextlib.suppress(OSError):
            if self._fd < 0:
                self._open()
            if self._bytes and self._bytes + len(line) > _FILE_BYTES:
                self._rotate()
            os.write(self._fd, line)
            self._bytes += len(line)

    def _open(self) -> None:
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._bytes = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        """NAME.log becomes NAME.log.1, that NAME.log.2, and so on."""
        for number in range(_KEPT, 0, -1):
            older = f"{self._path}.{number - 1}" if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, f"{self._path}.{number}")
        full, self._fd = self._fd, -1
        os.close(full)
        self._open()
