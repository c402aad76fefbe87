"""What changes at every turn of a host's session: ``sessions/host-SESSION.turns``. Tells whether a turn runs."""

from __future__ import annotations

import os

from bridges import host_sessions, saved_sessions

_BUSY_S = 120
"""Seconds without a hook after which a turn counts as over. An interrupted turn ends without a hook."""


class Turns:
    """The state of a session's turns.

    working   a turn runs
    held      how many times in a row the agent was held at the end of a turn
    told      id of the first message that was announced as waiting, so that it is announced once
    added     characters of mail that hooks added in this turn
    spent     the model was told that this turn has no room for more mail
    """

    __slots__ = ("added", "held", "spent", "told", "working")

    def __init__(self, working: bool = False, held: int = 0, told: str = "", added: int = 0, spent: bool = False) -> None:
        self.working = working
        self.held = held
        self.told = told
        self.added = added
        self.spent = spent

    def begin(self) -> None:
        """Make room for mail again, as a turn begins or ends."""
        self.added, self.spent = 0, False


def _path(home: str, session: str) -> str:
    return host_sessions.path_of(home, session).removesuffix(".json") + ".turns"


def load(home: str, session: str) -> Turns:
    stored = saved_sessions.read_json(_path(home, session))
    held, told, added = stored.get("held"), stored.get("told"), stored.get("added")
    return Turns(
        stored.get("working") is True,
        held if isinstance(held, int) else 0,
        told if isinstance(told, str) else "",
        added if isinstance(added, int) else 0,
        stored.get("spent") is True,
    )


def save(home: str, session: str, turns: Turns) -> None:
    saved_sessions.keep_json(_path(home, session), {k: getattr(turns, k) for k in Turns.__slots__})


def touch(home: str, session: str) -> None:
    """Note that a hook of the running turn was here."""
    path = _path(home, session)
    if os.path.exists(path):
        os.utime(path)


def stirred(home: str, session: str) -> int:
    """When a hook last ran at the beginning or end of a turn or after a tool, in ns; 0 if none did."""
    try:
        return os.stat(_path(home, session)).st_mtime_ns
    except OSError:
        return 0


def busy(home: str, session: str, now_s: float) -> bool:
    """True while a turn runs. Its hooks bring the mail, so nobody need be woken."""
    path = _path(home, session)
    try:
        age_s = now_s - os.stat(path).st_mtime
    except OSError:
        return False
    return age_s < _BUSY_S and load(home, session).working
