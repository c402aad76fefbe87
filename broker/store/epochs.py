"""Epochs of the mail to other sites (``broker.core.link``), as SQL. In another epoch the outbox is numbered from 1 on."""

import secrets
import sqlite3
from collections.abc import Iterable

RENUMBER = (
    "UPDATE outbox SET seq = ?1 - seq, at = 0, born = '' WHERE site = ?2",
    "UPDATE outbox SET seq = -seq WHERE site = ?2",
)
"""Take ``?1`` from each number. By way of negative ones, since a number may be another row's until that is changed."""
BROKEN = (
    "SELECT site FROM (SELECT site, min(seq) AS first, max(seq) AS last, count(*) AS rows FROM outbox GROUP BY site) o "
    "LEFT JOIN outbound USING (site) WHERE high IS NULL OR first <> high + 1 OR last - first + 1 <> rows"
)
"""Sites to which numbers are missing."""


def begin_other_epochs(sql: sqlite3.Connection, sites: Iterable[str] | None = None) -> None:
    """In an open transaction, for these sites or all: what was restored or repaired does not know all that was sent.

    The saved service has given out numbers since, and published them. Given again before the first mark comes, they would be
    mail that the receiver takes for what it has.
    """
    if not sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'outbound'").fetchone():
        return
    known = dict(sql.execute("SELECT site, epoch FROM outbound").fetchall())
    for site in [*known] if sites is None else sites:
        rows = sql.execute("SELECT seq FROM outbox WHERE site = ? ORDER BY seq", (site,)).fetchall()
        changes = [(-new, site, old) for new, (old,) in enumerate(rows, start=1)]
        sql.executemany("UPDATE outbox SET seq = ?, at = 0, born = '' WHERE site = ? AND seq = ?", changes)
        sql.execute(RENUMBER[1], (site, site))
        count = int(known.get(site, "0000")[:4], 16) + 1
        new = (site, f"{min(count, 0xFFFF):04x}{secrets.token_hex(4)}", len(rows))
        sql.execute("INSERT OR REPLACE INTO outbound (site, epoch, high, high_uid, redo) VALUES (?, ?, 0, '', ?)", new)
