"""What each channel has told, what it tries again, and what it gave up: a state that survives restarts. Pure but for its file.

    untold --tried--> told           known by its key for as long as the need is there, and a day longer
              |
              +--failed--> waits (2 s, 10 s, 30 s, ... or as the receiver says) --tried--> ...
                              +-- after TRIES, or where the receiver says "never again" --> dead letter, kept and shown

The file is written whole after each attempt. Killed between an attempt and that, a process tells once more, under the same id.
"""

import json
import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from bridges.view.needs import Need
from broker.home.files import read_private, write_private

WAITS_S = (2.0, 10.0, 30.0, 120.0, 600.0)
TRIES = len(WAITS_S) + 1
_LONGEST_WAIT_S = 3600.0
_REMEMBERED_S = 86_400.0
"""A key that is no need any more is remembered for so long: a broker that starts anew may show it late."""
MOST_DEAD = 100
_MOST_TOLD = 20_000
_ERROR_CHARS = 200
FILE = "notify.json"


class TryAgain(NamedTuple):
    """A key whose attempts have failed so far. Times are Unix seconds."""

    tries: int
    due_s: float
    error: str


class DeadNotice(NamedTuple):
    """What was given up."""

    channel: str
    kind: str
    name: str
    title: str
    at_s: float
    error: str


class NotifyOutbox:
    """The state of all channels."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, float]] = {}
        """By channel, by key: when the need was last there."""
        self.waiting: dict[str, dict[str, TryAgain]] = {}
        self.dead: list[DeadNotice] = []

    def due(self, channel: str, needs: Sequence[Need], now_s: float) -> list[Need]:
        """Needs that the channel has not told and may try now."""
        told, waiting = self.told.setdefault(channel, {}), self.waiting.setdefault(channel, {})
        return [n for n in needs if n.key not in told and (n.key not in waiting or waiting[n.key].due_s <= now_s)]

    def next_s(self, needs: Iterable[Need]) -> float | None:
        """When the next of them may be tried again; None where none waits."""
        keys = {need.key for need in needs}
        return min((one.due_s for rows in self.waiting.values() for key, one in rows.items() if key in keys), default=None)

    def sent(self, channel: str, keys: Iterable[str], now_s: float) -> None:
        for key in keys:
            self.waiting.setdefault(channel, {}).pop(key, None)
            self.told.setdefault(channel, {})[key] = now_s

    def failed(self, channel: str, keys: Sequence[str], now_s: float, error: str, retry_after_s: float = 0.0) -> bool:
        """Note an attempt that failed; True if the notice is to be tried again."""
        waiting = self.waiting.setdefault(channel, {})
        tries = 1 + max((waiting[key].tries for key in keys if key in waiting), default=0)
        if tries >= TRIES:
            return False
        wait_s = min(max(WAITS_S[tries - 1], retry_after_s), _LONGEST_WAIT_S)
        for key in keys:
            waiting[key] = TryAgain(tries, now_s + wait_s, error[:_ERROR_CHARS])
        return True

    def give_up(self, dead: DeadNotice, keys: Iterable[str]) -> None:
        """The keys count as told: nothing is tried for ever."""
        self.sent(dead.channel, keys, dead.at_s)
        self.dead = [*self.dead, dead._replace(error=dead.error[:_ERROR_CHARS])][-MOST_DEAD:]

    def see(self, needs: Sequence[Need], now_s: float) -> None:
        """Forget what is no need any more: at once what only waited, a day later what was told."""
        keys = {need.key for need in needs}
        for rows in self.waiting.values():
            for key in rows.keys() - keys:
                del rows[key]
        for channel, told in self.told.items():
            seen = {key: now_s if key in keys else at_s for key, at_s in told.items()}
            kept = {key: at_s for key, at_s in seen.items() if now_s - at_s < _REMEMBERED_S}
            self.told[channel] = dict(sorted(kept.items(), key=lambda row: row[1])[-_MOST_TOLD:])

    # the file

    def to_json(self) -> str:
        return json.dumps({"told": self.told, "waiting": self.waiting, "dead": self.dead})

    @classmethod
    def read(cls, home: str) -> "NotifyOutbox":
        """The state in the data folder's file; empty where there is none, or none that makes sense."""
        found = cls()
        try:
            stored: dict[str, Any] = json.loads(read_private(os.path.join(home, FILE)))
            found.told = {str(c): {str(k): float(at) for k, at in rows.items()} for c, rows in stored["told"].items()}
            found.waiting = {
                str(c): {str(k): TryAgain(*row) for k, row in rows.items()} for c, rows in stored["waiting"].items()
            }
            found.dead = [DeadNotice(*row) for row in stored["dead"]]
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()
        return found

    def write(self, home: str) -> None:
        """Raises OSError."""
        write_private(os.path.join(home, FILE), self.to_json(), durable=True)
