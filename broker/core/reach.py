"""How mail reaches an agent now, and since when it is silent: what a sender is told beside that the mail is stored."""

from collections.abc import Collection, Sequence
from typing import Any

from broker.core import site_table
from broker.core.batch import Batch
from broker.core.next_way import PERSON
from broker.core.presence import presence_of
from broker.core.state import Mailbox
from broker.core.wake_budget import any_asks, pause_left_s
from broker.core.ways import Is, names
from broker.protocol.spans import span

_AT_WORK = ("tool", "stop")
"""Ways that bring mail into a turn that runs."""
_QUIET_S = 60.0
"""Seconds of silence that are worth telling."""
_UNREACHED = "nothing wakes it"
_NAMED = 3


def told(batch: Batch, mailboxes: Sequence[Mailbox], writers: Collection[str] = ()) -> dict[str, Any]:
    """``reach`` and ``unreached`` of the reply to a message. Of several recipients only those that nothing wakes are named.

    ``writers``: as whom the sender counts where only some start a closed agent again.
    """
    if len(mailboxes) == 1:
        line, lies = _look(batch, mailboxes[0], writers)
        return {"reach": line, "unreached": True} if lies else {"reach": line}
    names = [mailbox.name for mailbox in mailboxes if not mailbox.site and _look(batch, mailbox, writers)[1]]
    if not names:
        return {}
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return {
        "reach": f"{', '.join(names[:_NAMED])}{more}: {_UNREACHED if len(names) == 1 else 'nothing wakes them'}",
        "unreached": True,
    }


def of(batch: Batch, mailbox: Mailbox) -> str:
    """A line such as ``gemini-2: nothing wakes it; last seen 3 h ago``."""
    return _look(batch, mailbox)[0]


def _look(batch: Batch, mailbox: Mailbox, writers: Collection[str] = ()) -> tuple[str, bool]:
    """(the line, whether the mail lies until its reader looks). Who looked in the last minute may do so again."""
    name = mailbox.name
    if mailbox.site:
        return site_table.reach_of(batch, mailbox)
    if not mailbox.claimed:
        return f"{name}: nobody has this name yet", False  # the reply's message says it, too
    if mailbox.subscription is not None or mailbox.waiters:
        return f"{name}: reads now", False
    if (0, mailbox.id) in batch.state.pauses:
        return f"{name}: the person has paused its wakes", True
    silent_s, presence = batch.now.term_s - mailbox.last_seen_s, presence_of(batch, mailbox)
    if presence == "gone" and (by := resumed_by(mailbox)):
        who = ", ".join("the person" if one == PERSON else one for one in by[:_NAMED]) + (" and others" if by[_NAMED:] else "")
        return f"{name}: closed, mail of {who} starts it again; last seen {span(silent_s)} ago", not set(by) & set(writers)
    how = _UNREACHED if presence == "gone" else _brought(batch, mailbox, presence, writers)
    if how == _UNREACHED:
        return f"{name}: {how}; last seen {span(silent_s)} ago", silent_s >= _QUIET_S or presence == "gone"
    return f"{name}: {how}" if silent_s < _QUIET_S else f"{name}: {how}; last seen {span(silent_s)} ago", False


def resumed_by(mailbox: Mailbox) -> tuple[str, ...]:
    """Whose mail starts the closed agent again."""
    return next((way.senders for way in mailbox.waking.ways if way.senders and way.state != Is.OFF), ())


def _brought(batch: Batch, mailbox: Mailbox, presence: str, writers: Collection[str]) -> str:
    """How mail is brought to an agent that is there."""
    if not (mailbox.reach or mailbox.watchers):
        return _UNREACHED
    if presence in ("working", "waiting") and any(way in mailbox.reach for way in _AT_WORK):
        return "at work, its hooks bring mail"
    if waking := names(mailbox):
        left_s = pause_left_s(batch, mailbox)
        if left_s and (PERSON in writers or mailbox.urgent - mailbox.leased.keys() or any_asks(batch, mailbox)):
            left_s = 0  # it can't wait
        soon = f" within {span(left_s if left_s < 60 else left_s + 59)}" if left_s else ""
        return f"woken by {waking[0]}{soon}"
    return _UNREACHED if mailbox.reach else "is told of mail"
