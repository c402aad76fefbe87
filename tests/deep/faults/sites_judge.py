"""What must have come when all is quiet, where one of the brokers was set back to a backup in between.

The rules are those of ``tests.deep.faults.history``. A name is an address, ``ann@paris``, and its mailbox lies with its site's
broker. What a restore takes back, and no rule asks for any more, is said in ``tests.deep.faults.sites``.
"""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from copy import deepcopy
from pathlib import Path

from tests.deep.faults.history import History, Mailbox


class SitesHistory(History):
    """A history of which parts can be set back."""

    def saved(self, mailboxes: Iterable[str]) -> dict[str, Mailbox]:
        """What these mailboxes have been given and acknowledged, for ``set_back``; their agents must be at rest."""
        with self._lock:
            boxes = {name: deepcopy(self._boxes[name]) for name in mailboxes}
        for box in boxes.values():
            box.ids = {key: one for key, one in box.ids.items() if one in box.confirmed}
            box.newest = {}
            for key in box.ids:
                send = self._sends[key]
                box.newest[send.sender] = max(send.number, box.newest.get(send.sender, 0))
        return boxes

    def accepted(self, senders: Iterable[str]) -> set[str]:
        """Keys of what these have sent and their broker has taken."""
        who = set(senders)
        with self._lock:
            return {key for key, send in self._sends.items() if send.sender in who and send.state == "ok"}

    def set_back(self, boxes: dict[str, Mailbox], gone: Iterable[str]) -> None:
        """A site was restored: its mailboxes are as they were saved, and nobody has what is ``gone``."""
        with self._lock:
            self._boxes.update(boxes)
            for key in gone:
                self._sends[key].state = "gone"
                self.counts["gone with the restored database"] += 1

    def missing(self) -> int:
        """How many deliveries are still to come."""
        with self._lock:
            sends = [(key, send) for key, send in self._sends.items() if send.state == "ok"]
            return sum(key not in self._boxes[name].ids for key, send in sends for name in send.recipients)


def unpublished(home: Path) -> set[str]:
    """Keys of letters in a site's database that no stream holds: the engine never acknowledged them, or another stream did."""
    rows = (
        "SELECT substr(content, 1, instr(content, '.') - 1) FROM outbox JOIN message ON message.id = outbox.message_id "
        "WHERE outbox.at = 0 OR outbox.born NOT IN (SELECT born FROM stream)"
    )
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        return {row[0] for row in db.execute(rows)}
