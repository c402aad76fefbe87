"""Epochs of the mail to other sites (``broker.core.link``), as SQL. In another epoch the outbox is numbered from 1 on."""

import secrets
import sqlite3

RENUMBER = (
    "UPDATE outbox SET seq = ?1 - seq, at = 0, born = '', tries = max(tries, 1) WHERE site = ?2",
    "UPDATE outbox SET seq = -seq WHERE site = ?2",
)
"""Take ``?1`` from each number. By way of negative ones, since a number may be another row's until that is changed."""
_REMEMBERED = 16


def begin_other_epochs(sql: sqlite3.Connection) -> None:
    """For a database that was restored, in its open transaction.

    The saved service has given out numbers since, and published them. Given again before the first mark comes, they would be
    mail that the receiver takes for what it has, and whose rows its next mark would remove.
    """
    if not sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbound'").fetchone():
        return
    for site, epoch, high, former in sql.execute("SELECT site, epoch, high, former FROM outbound").fetchall():
        for statement in RENUMBER:
            sql.execute(statement, (high, site))
        rows = sql.execute("SELECT count(*) FROM outbox WHERE site = ?", (site,)).fetchone()[0]
        known = " ".join([*former.split(), epoch][-_REMEMBERED:])
        new = (secrets.token_hex(6), rows, known, site)
        sql.execute("UPDATE outbound SET epoch = ?, high = 0, redo = ?, former = ? WHERE site = ?", new)
