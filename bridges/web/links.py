"""One-time links to the page: ``ipc web`` makes one, the page takes it once, within 60 s.

    ipc web --writes run/web-link-HASH--> data folder <--removes it-- page <--POST token-- browser

Only who can write into the data folder makes a link, so no secret goes over a socket, and the page need not run yet. The file
has the token's hash for its name: who can list the folder has no link. Whoever removes the file has taken the link, so it
works once. Two clocks must agree on its age: the wall clock may step, and the other one begins anew with the machine.
"""

from __future__ import annotations

import os
import time

from broker.home.files import read_private, write_private

LINK_S = 60.0
_PREFIX = "web-link-"
Clocks = tuple[float, float]
"""Seconds of the wall clock, and since the machine's start."""


def clocks() -> Clocks:
    since_start = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time(), time.clock_gettime(since_start)


def digest(secret: str) -> str:
    """What is kept of a secret that comes back."""
    import hashlib

    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def new_link(home: str, port: int, now: Clocks | None = None) -> str:
    """A link to the page at this port. The token stands behind #, which no browser sends to any server. Raises OSError."""
    import secrets

    token = secrets.token_urlsafe(32)
    _sweep(home, now or clocks())
    wall_s, start_s = now or clocks()
    write_private(_path(home, token), f"{wall_s} {start_s}\n")
    return f"http://127.0.0.1:{port}/sign-in#{token}"


def take_link(home: str, token: str, now: Clocks | None = None) -> bool:
    """True the first time, for a link that is not older than 60 s. The link is gone then."""
    path = _path(home, token)
    try:
        made = read_private(path)
        os.unlink(path)  # of several at once, one gets here without an error
    except OSError:
        return False
    return _is_young(made, now or clocks())


def _path(home: str, token: str) -> str:
    return os.path.join(home, "run", _PREFIX + digest(token))


def _is_young(made: str, now: Clocks) -> bool:
    try:
        ages = [at - float(then) for at, then in zip(now, made.split(), strict=True)]
    except ValueError:
        return False
    return all(0 <= age <= LINK_S for age in ages)


def _sweep(home: str, now: Clocks) -> None:
    """Remove links that nobody took."""
    folder = os.path.join(home, "run")
    for entry in os.listdir(folder):
        if entry.startswith(_PREFIX):
            path = os.path.join(folder, entry)
            try:
                if not _is_young(read_private(path), now):
                    os.unlink(path)
            except FileNotFoundError:
                continue
