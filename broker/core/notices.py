"""Notices: what ``system`` writes to agents, of renames and of pairs that are slowed down.

A notice is mail: a full mailbox gets none. A mailbox has one unread notice of renames. Until it is handed out, each further
rename is one more line in it.
"""

import msgpack

from broker.core.batch import Batch
from broker.core.mailboxes import room
from broker.core.quiet import count_in
from broker.core.state import Landing, Mailbox, Notice
from broker.core.storage import NewMessage
from broker.protocol.names import SYSTEM

_LINES = 20
"""Renames that one notice names; earlier ones are only counted."""
_GATHERED_S = 3600.0
"""An hour after it was begun a notice gets no more lines."""


def notify(batch: Batch, to: list[Mailbox], text: str, land: int = Landing.AFTER_TOOL) -> int:
    """Write a notice to those of this site who have room; the message's id, 0 where nobody has."""
    to = [m for m in to if not m.site and room(batch.settings, m)]
    if not to:
        return 0
    message_id = batch.state.last_message_id + 1
    batch.journal.set(batch.state, "last_message_id", message_id)
    now_s = batch.now.wall_s
    expires_s = batch.now.term_s + batch.settings.unread_ttl_s
    to_id, extra = (to[0].id, None) if len(to) == 1 else (None, msgpack.packb({"to": [m.id for m in to]}))
    notice = NewMessage(
        message_id, 0, SYSTEM, None, now_s, expires_s, text, copies=len(to), land=land, to_id=to_id, extra=extra
    )
    batch.store.add_message(notice, [m.id for m in to])
    for mailbox in to:
        count_in(batch, mailbox, message_id, SYSTEM, land, passes=True)
    return message_id


def notify_all(batch: Batch, text: str) -> None:
    """A notice to everyone registered."""
    notify(batch, [m for m in batch.state.mailboxes.values() if m.claimed], text)


def tell_of_rename(batch: Batch, about: Mailbox, line: str) -> None:
    """Tell everyone registered but ``about``: a line in the notice that waits already, or a new notice."""
    waiting: dict[Notice, list[Mailbox]] = {}
    others: list[Mailbox] = []
    for mailbox in batch.state.mailboxes.values():
        if mailbox.claimed and mailbox is not about:
            notice = mailbox.notice
            if notice is not None and may_grow(batch, mailbox, notice):
                waiting.setdefault(notice, []).append(mailbox)
            else:
                others.append(mailbox)
    for notice, mailboxes in waiting.items():
        more = grown(notice, (line,))
        batch.store.rewrite(notice.message_id, text_of(notice), text_of(more))
        for mailbox in mailboxes:
            batch.journal.set(mailbox, "notice", more)
    told = [m for m in others if room(batch.settings, m)]
    message_id = notify(batch, told, line)
    for mailbox in told:
        batch.journal.set(mailbox, "notice", Notice(message_id, batch.now.term_s, (line,), 0))


def may_grow(batch: Batch, mailbox: Mailbox, notice: Notice) -> bool:
    """True while the notice is less than an hour old and has not been handed out."""
    fresh = 0 <= batch.now.term_s - notice.written_s < min(_GATHERED_S, batch.settings.unread_ttl_s)
    return fresh and notice.message_id > mailbox.cursor and notice.message_id not in mailbox.leased


def grown(notice: Notice, lines: tuple[str, ...]) -> Notice:
    """The notice with more lines; of many the last ones."""
    every = (*notice.lines, *lines)
    return notice._replace(lines=every[-_LINES:], left_out=notice.left_out + max(0, len(every) - _LINES))


def text_of(notice: Notice, what: str = "renames") -> str:
    left = [f"📝 {notice.left_out} earlier {what}"] if notice.left_out else []
    return "\n".join([*left, *notice.lines])
