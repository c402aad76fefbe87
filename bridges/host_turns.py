"""What changes at every turn of a host's session: ``sessions/host-SESSION.turns``. Tells whether a turn runs."""

from __future__ import annotations

from bridges import host_sessions, saved_sessions


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
