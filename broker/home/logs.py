"""Logs as JSON lines: ``{"time", "level", "event", ...}``, one file a process, rotated at 5 MiB, four kept."""

import json
import logging
import logging.handlers
import os
import secrets
import time
from pathlib import Path
from typing import Any

_FILE_BYTES = 5 * 1024 * 1024
_AT_ONCE, _A_SECOND = 20.0, 0.5
"""Lines about one kind of refusal: so many at once, then so many a second."""


class JsonLines(logging.Formatter):
    """One JSON object a line; the fields of the record's ``fields`` stand beside time, level and event."""

    def format(self, record: logging.LogRecord) -> str:
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{when}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "pid": record.process,
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


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
    """A process's log. Fields are keyword arguments, never part of the sentence."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"agent_ipc.{name}")
        self._brakes: dict[str, Brake] = {}

    def info(self, event: str, /, **fields: Any) -> None:
        self._logger.info(event, extra={"fields": fields})

    def warning(self, event: str, /, **fields: Any) -> None:
        self._logger.warning(event, extra={"fields": fields})

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
        self._logger.error(event, extra={"fields": fields})

    def exception(self, error: BaseException, event: str = "unexpected_error", **fields: Any) -> str:
        """Log an exception with its traceback; return the reference that a client may be told."""
        reference = secrets.token_hex(4)
        self._logger.error(event, exc_info=error, extra={"fields": {"ref": reference, **fields}})
        return reference


class _PrivateFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> Any:
        fd = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(fd, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:
        """Do nothing: a full disk must not stop the service, and standard error goes to the same disk."""


def open_log(name: str, folder: Path, level: str) -> Log:
    """Begin logging to ``folder/NAME.log``."""
    logger = logging.getLogger(f"agent_ipc.{name}")
    handler = _PrivateFile(folder / f"{name}.log", maxBytes=_FILE_BYTES, backupCount=4, delay=True)
    handler.setFormatter(JsonLines())
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    return Log(name)
