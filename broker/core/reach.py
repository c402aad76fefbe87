"""How mail reaches an agent now, and since when it is silent: what a sender is told beside that the mail is stored."""

from broker.core.batch import Batch
from broker.core.presence import presence_of, reach_of
from broker.core.state import Mailbox
from broker.core.values import span

_WAKING = ("socket", "channel", "queue", "monitor", "rewake")
"""What doors say of themselves (``presence``): ways that begin a turn of an idle agent, the best first."""
_AT_WORK = ("tool", "stop")
"""Ways that bring mail into a turn that runs."""
_QUIET_S = 60.0
"""Silence that is worth telling."""


def of(batch: Batch, mailbox: Mailbox) -> str:
    """A line such as ``gemini-2: nothing wakes it; last seen 3 h ago``."""
    if not mailbox.claimed:
        return f"{mailbox.name}: nobody has this name yet"
    silent_s = batch.now.term_s - mailbox.last_seen_s
    seen = f"; last seen {span(silent_s)} ago" if silent_s >= _QUIET_S or not is_reached(batch, mailbox) else ""
    return f"{mailbox.name}: {_how(batch, mailbox)}{seen}"


def is_reached(batch: Batch, mailbox: Mailbox) -> bool:
    """False if the mail lies until the agent looks by itself."""
    return mailbox.claimed and _how(batch, mailbox) != _UNREACHED


_UNREACHED = "nothing wakes it"


def _how(batch: Batch, mailbox: Mailbox) -> str:
    if mailbox.subscription is not None or mailbox.waiters:
        return "reads now"
    presence = presence_of(batch, mailbox)
    if presence == "gone":
        return _UNREACHED
    if presence == "working" and any(way in mailbox.reach for way in _AT_WORK):
        return "at work, its hooks bring mail"
    waking = next((way for way in _WAKING if way in reach_of(mailbox)), None)
    if waking is not None:
        return f"woken by {waking}"
    return "is told of mail" if mailbox.watchers and not mailbox.reach else _UNREACHED
