"""How a program registers: as the body of its name (``broker.core.facts.Body``), which is its own until the process ends."""

import os
import sys
from typing import Any

from broker.home.process_table import process_started
from broker.home.settings import Settings
from broker.protocol.ids import auth_token

_HOST_CHARS, _WHERE_CHARS = 32, 300


def registration(name: str, settings: Settings, *, force: bool, body: dict[str, Any] | None, remote: bool) -> dict[str, Any]:
    """The ``register`` of this process, or of another ``body``. Of a remote broker's client the door there knows the key."""
    proof = "" if remote else auth_token(name, settings.shared_secret)  # which is this machine's
    request: dict[str, Any] = {"action": "register", "instance_id": name, "auth_token": proof}
    if not remote:
        request["body"] = own_body() if body is None else body
    return {**request, "force": True} if force else request


def own_body() -> dict[str, Any]:
    """The field ``body`` of a ``register``."""
    pid = os.getpid()
    started = process_started(pid)
    return {
        "kind": "process",
        "key": f"{pid}@{started}",
        "pid": pid,
        "started": started,
        "host": _line(os.path.basename(sys.argv[0] if sys.argv else ""))[:_HOST_CHARS],
        "where": _line(os.getcwd())[-_WHERE_CHARS:],
    }


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
