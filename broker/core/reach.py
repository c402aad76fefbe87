"""How mail reaches an agent now, and since when it is silent: what a sender is told beside that the mail is stored."""

from collections.abc import Sequence
from typing import Any

from broker.core.batch import Batch
from broker.core.presence import presence_of, reach_of
from broker.core.state import Mailbox
from broker.core.values import span

_WAKING = ("socket", "channel", "queue", "monitor", "rewake")
"""What doors say of themselves (``presence``): ways that begin a turn of an idle agent, the best first."""
_AT_WORK = ("tool", "stop")
"""Ways that bring mail into a turn that runs."""
_QUIET_S = 60.0
"""Seconds of silence that are worth telling."""
_UNREACHED = "nothing wakes it"
_NAMED = 3


def told(batch: Batch, mailboxes: Sequence[Mailbox]) -> dict[str, Any]:
    """``reach`` and ``unreached`` of the reply to a message. Of several recipients only those that nothing wakes are named."""
    if len(mailboxes) == 1:
        line, lies = of(batch, mailboxes[0]), lies_unread(batch, mailboxes[0])
        return {"reach": line, "unreached": True} if lies else {"reach": line}
    names = [mailbox.name for mailbox in mailboxes if lies_unread(batch, mailbox)]
    if not names:
        return {}
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return {
        "reach": f"{', '.join(names[:_NAMED])}{more}: {_UNREACHED if len(names) == 1 else 'nothing wakes them'}",
        "unreached": True,
    }


def of(batch: Batch, mailbox: Mailbox) -> str:
    """A line such as ``gemini-2: nothing wakes it; last seen 3 h ago``."""
    if not mailbox.claimed:
        return f"{mailbox.name}: nobody has this name yet"
    how, silent_s = _how(batch, mailbox), batch.now.term_s - mailbox.last_seen_s
    seen = f"; last seen {span(silent_s)} ago" if silent_s >= _QUIET_S or how == _UNREACHED else ""
    return f"{mailbox.name}: {how}{seen}"


def lies_unread(batch: Batch, mailbox: Mailbox) -> bool:
    """True if the mail of a name that somebody has lies until they look. Who looked in the last minute may do so again."""
    looks = batch.now.term_s - mailbox.last_seen_s < _QUIET_S and presence_of(batch, mailbox) != "gone"
    return mailbox.claimed and not looks and _how(batch, mailbox) == _UNREACHED


def _how(batch: Batch, mailbox: Mailbox) -> str:
    if mailbox.subscription is not None or mailbox.waiters:
        return "reads now"
    presence = presence_of(batch, mailbox)
    if presence == "gone":
        return _UNREACHED
    if presence in ("working", "waiting") and any(way in mailbox.reach for way in _AT_WORK):
        return "at work, its hooks bring mail"
    waking = next((way for way in _WAKING if way in reach_of(mailbox)), None)
    if waking is not None:
        return f"woken by {waking}"
    return "is told of mail" if mailbox.watchers and not mailbox.reach else _UNREACHED
