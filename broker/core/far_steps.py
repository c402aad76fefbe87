"""How far mail for a name at another site is, as its sender sees it.

    outbox --the servers have it--> stored --its site has it--> at_site --read there--> in_context --> answered

What is in the outbox, and what an engine has of it, are rows of the link. That a letter is at its site is what a mark of that
site says: then the row is gone. What became of it there is that site's word. A letter to a group or to everyone at a site is
*spread* there: who of them reads it is not told.
"""

from typing import Any

from broker.core import site_table
from broker.core.batch import Batch
from broker.core.facts import Mark
from broker.core.link_state import OutboxRow
from broker.core.state import Mailbox
from broker.core.steps import steps_of
from broker.core.storage import Copy, StoredMessage
from broker.core.values import iso, iso_term

_WAY = ("outbox", "stored", "at_site")
_BY_THE_SITE = ("refused", "dead")
"""Endings that only the letter's site knows of."""
SPREAD = "spread"
"""How the evidence begins of a letter that went to several at its site; behind it stands to how many."""


def row_of(batch: Batch, mailbox: Mailbox, message_id: int) -> OutboxRow | None:
    """A letter's row in the outbox, while its site has not said that it has it."""
    return next((row for row in batch.store.outbox_of(message_id) if row.site == mailbox.site), None)


def spread_to(copy: Copy) -> int | None:
    """To how many a letter went at its site; None where it went to one name."""
    word, _, count = (copy.evidence or "").partition(" ")
    return int(count) if word == SPREAD and count.isdigit() else None


def came_to(batch: Batch, mailbox: Mailbox, message_id: int, copy: Copy) -> str:
    """The last of the steps on the way to its site."""
    if copy.ending == "withdrawn":  # only what never left is
        return "outbox"
    row = row_of(batch, mailbox, message_id)
    if row is None or copy.ending in _BY_THE_SITE or (copy.ending is None and not copy.queued):
        return "at_site"
    return "stored" if row.at else "outbox"


def steps_there(batch: Batch, mailbox: Mailbox, letter: StoredMessage, copy: Copy) -> list[dict[str, Any]]:
    """The steps on the way to its site. When it came there that site's clock knows."""
    steps: list[dict[str, Any]] = [{"step": word} for word in _WAY[: _WAY.index(came_to(batch, mailbox, letter.id, copy)) + 1]]
    steps[0]["at"] = iso(letter.created_s)
    count = spread_to(copy)
    if count is not None:
        steps[-1]["spread"] = count
    return steps


def why_unread(batch: Batch, mailbox: Mailbox, message_id: int, copy: Copy) -> str:
    """Why a letter that waits is where it is."""
    site, step = mailbox.site, came_to(batch, mailbox, message_id, copy)
    if step == "outbox":
        return site_table.why_waits(batch, site)
    if step == "stored":
        silent = site_table.silence(batch, site)
        return f"the servers have it, {site} has not taken it yet" + (f": {silent}" if silent else "")
    away = said_away(batch, mailbox, message_id)
    return f"at {site}, not read yet" + (f": {away}" if away else "")


def why_spread(mailbox: Mailbox, count: int) -> str:
    return f"given to {count} at {mailbox.site}; who of them has read it is not told"


def why_away(batch: Batch, mailbox: Mailbox, message_id: int) -> str:
    """Why a letter is overdue: its site does not come for it, or its reader there is away."""
    if row_of(batch, mailbox, message_id) is not None:
        since_s = site_table.away_since_s(batch, mailbox.site)
        if since_s is None:
            return site_table.why_waits(batch, mailbox.site)
        return f"site {mailbox.site} is away since {iso_term(batch, since_s)[:16]}Z"
    return said_away(batch, mailbox, message_id)


def said_away(batch: Batch, mailbox: Mailbox, message_id: int) -> str:
    """What the letter's site said of a reader who does not come; empty where it said nothing."""
    name = mailbox.name.partition("@")[0]
    for step in steps_of(batch, mailbox, message_id):
        if step.step == Mark.AWAY:
            return f"{mailbox.name} is away" if step.way != NOBODY else f"nobody at {mailbox.site} has the name {name} yet"
    return ""


NOBODY = "nobody"
"""Way of the step AWAY, where nobody has the reader's name."""
