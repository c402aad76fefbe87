"""Who is signed in at the page: cookies, as hashes, in ``run/web-sign-ins.json``, so that a new page process knows them.

A cookie of 127.0.0.1 goes to whatever listens there, on any port. So a cookie alone opens nothing: it counts only on a
connection of the OS user that signed in (bridges.web.guard).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from typing import Any

from bridges.web.links import digest
from broker.home.files import Identity, identity, read_private, write_private

SIGNED_IN_S = 7 * 86_400
_MOST = 50
"""Browsers that may be signed in; for one more the oldest is signed out."""


def path_of(home: str) -> str:
    return os.path.join(home, "run", "web-sign-ins.json")


def sign_all_out(home: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(home))


class SignIns:
    """The page's signed-in browsers."""

    def __init__(self, home: str) -> None:
        self._path = path_of(home)
        self._rows: dict[str, dict[str, Any]] = {}
        self._read_of: Identity | None = None

    def _look(self) -> None:
        """Read the file where it is another than ours: ``ipc web --sign-out`` removes it."""
        if (now := identity(self._path)) != self._read_of:
            self._rows, self._read_of = self._read(), now

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            rows = json.loads(read_private(self._path))
        except (OSError, ValueError):
            return {}
        return rows if isinstance(rows, dict) else {}

    def add(self, uid: int) -> str:
        """The cookie of a browser of that OS user. Raises OSError."""
        self._look()
        cookie = secrets.token_urlsafe(32)
        rows = {**self._rows, digest(cookie): {"uid": uid, "until": time.time() + SIGNED_IN_S}}
        self._keep(dict(list(rows.items())[-_MOST:]))
        return cookie

    def knows(self, cookie: str, uid: int) -> bool:
        self._look()
        row = self._rows.get(digest(cookie))
        return row is not None and row["uid"] == uid and time.time() < row["until"]

    def remove(self, cookie: str) -> None:
        """Sign that browser out. Raises OSError."""
        self._look()
        self._keep({tag: row for tag, row in self._rows.items() if tag != digest(cookie)})

    def _keep(self, rows: dict[str, dict[str, Any]]) -> None:
        self._rows = {tag: row for tag, row in rows.items() if time.time() < row["until"]}
        write_private(self._path, json.dumps(self._rows))
        self._read_of = identity(self._path)
