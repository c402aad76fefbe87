"""Numbers of messages and mailboxes grow and are never given twice, whatever is swept, restored or repaired.

Theory of operation. The highest number given is that of the newest row, or the high mark in ``meta`` where that row is gone:
whatever deletes a row raises the mark first. A restored or repaired database may lack what was given after it was saved, or on
another machine since. It goes on beyond a gap that it draws at random, larger than what a service gives out in years.
"""

import secrets
import sqlite3

LIMIT = 2**53
"""All numbers stay below this: every JSON reader tells them apart."""
_GAP = 2**30, 2**34
_GAP_UNKNOWN = 2**40, 2**44
"""The gap where the numbers given before are unknown: over a thousand ordinary gaps."""

RAISE_MARK = (
    "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE "
    "SET value = excluded.value WHERE CAST(excluded.value AS INTEGER) > CAST(value AS INTEGER)"
)
"""Parameters: ``last_message_id`` or ``last_mailbox_id``, and the number as text."""
_GIVEN = {
    "last_message_id": "SELECT max(id) FROM message UNION ALL SELECT max(message_id) FROM queue",
    "last_mailbox_id": "SELECT max(id) FROM mailbox UNION ALL SELECT max(sender_id) FROM message "
    "UNION ALL SELECT max(mailbox_id) FROM queue",
}


class NumbersUsedUp(Exception):
    """The database holds numbers that no broker gives out."""


def go_on_beyond(sql: sqlite3.Connection, *, known: bool = True) -> None:
    """Draw a gap above every number of this database, in its open transaction. ``known``: false where its numbers may be far
    below those that were given out. Raises NumbersUsedUp."""
    for key, query in _GIVEN.items():
        row = sql.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        mark = int(row[0]) if row and row[0].isascii() and row[0].isdigit() and len(row[0]) < 20 else 0
        highest = max(mark, *(found[0] or 0 for found in sql.execute(query)))
        low, high = _GAP if known else _GAP_UNKNOWN
        room = LIMIT - highest
        if room < 8:
            raise NumbersUsedUp(f"{key} is {highest}")
        low, high = min(low, room // 4), min(high, room // 2)
        sql.execute(RAISE_MARK, (key, str(highest + low + secrets.randbelow(high - low))))
