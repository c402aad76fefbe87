"""Who is signed in at the page: cookies, as hashes, in ``run/web-sign-ins.json``, so that a new page process knows them.

A cookie of 127.0.0.1 goes to whatever listens there, on any port. So a cookie alone opens nothing: it counts only on a
connection of the OS user that signed in (bridges.web.guard).
"""

from __future__ import annotations

import json
import os
import secrets
import time
from typing import Any

from bridges.web.links import digest
from broker.home.files import read_private, write_private

SIGNED_IN_S = 7 * 86_400
_MOST = 50
"""Browsers that may be signed in; for one more the oldest is signed out."""


class SignIns:
    """The page's signed-in browsers."""

    def __init__(self, home: str) -> None:
        self._path = os.path.join(home, "run", "web-sign-ins.json")
        self._rows: dict[str, dict[str, Any]] = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            rows = json.loads(read_private(self._path))
        except (OSError, ValueError):
            return {}
        return rows if isinstance(rows, dict) else {}

    def add(self, uid: int) -> str:
        """The cookie of a browser of that OS user. Raises OSError."""
        cookie = secrets.token_urlsafe(32)
        rows = {**self._rows, digest(cookie): {"uid": uid, "until": time.time() + SIGNED_IN_S}}
        self._keep(dict(list(rows.items())[-_MOST:]))
        return cookie

    def knows(self, cookie: str, uid: int) -> bool:
        row = self._rows.get(digest(cookie))
        return row is not None and row["uid"] == uid and time.time() < row["until"]

    def remove(self, cookie: str) -> None:
        """Sign that browser out. Raises OSError."""
        self._keep({tag: row for tag, row in self._rows.items() if tag != digest(cookie)})

    def _keep(self, rows: dict[str, dict[str, Any]]) -> None:
        self._rows = {tag: row for tag, row in rows.items() if time.time() < row["until"]}
        write_private(self._path, json.dumps(self._rows))
