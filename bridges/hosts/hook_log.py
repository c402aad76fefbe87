"""The log of hooks, monitors and guard: ``logs/hooks.log``, a JSON object a line. A full file is kept once as ``hooks.log.1``.

The lines look like those of broker.home.logs, whose import would take a third of a hook's time.
"""

from __future__ import annotations

import json
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FILE_BYTES = 1024 * 1024


def note(home: str, level: str, event: str, **fields: Any) -> None:
    """Add a line. Never raises OSError: a full disk must not break the host."""
    try:
        folder = os.path.join(home, "logs")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, "hooks.log")
        now_s = time.time()
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_s))
        line = {"time": f"{when}.{int(now_s * 1000) % 1000:03d}Z", "level": level, "event": event, "pid": os.getpid(), **fields}
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(fd, json.dumps(line, ensure_ascii=False, default=str).encode("utf-8", "replace") + b"\n")
            full = os.fstat(fd).st_size > _FILE_BYTES
        finally:
            os.close(fd)
        if full:
            os.replace(path, path + ".1")
    except OSError:
        pass


def failure(home: str, error: BaseException, event: str, **fields: Any) -> None:
    """Add an unexpected exception, with its traceback."""
    import traceback

    note(home, "error", event, traceback="".join(traceback.format_exception(error)), **fields)
