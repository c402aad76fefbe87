"""The budget of wakes: how often an agent is woken in an hour, how often by one sender's mail, and how soon after a turn.

Beyond it mail lands with the agent's next turn, and its sender is told in the reply. Only notices that were really given
count. Mail of people, and what the service itself says, passes. The hour is counted anew when the broker starts.
"""

from itertools import islice
from math import inf

import msgpack

from broker.core.batch import Batch
from broker.core.quiet import asks
from broker.core.state import Mailbox
from broker.core.turns import runs_until_s
from broker.core.ways import causes_of

HOUR_S = 3600.0
_LOOKED_AT = 20
"""Messages that are looked at for what asks."""
_NAMED = 3
"""Recipients that the note to a sender names."""


def wakes(batch: Batch, mailbox: Mailbox, sender_id: int | None = None) -> int:
    """Wakes of the last hour; with a sender those that its mail caused."""
    since_s = batch.now.mono_s - HOUR_S
    return sum(at_s > since_s and (sender_id is None or sender_id in causes) for at_s, causes in mailbox.waking.given)


def is_spent(batch: Batch, mailbox: Mailbox, sender_id: int) -> bool:
    """True if mail of this sender wakes the agent no more."""
    limit, pair_limit = batch.settings.wake_limit, batch.settings.pair_wake_limit
    return 0 < limit <= wakes(batch, mailbox) or 0 < pair_limit <= wakes(batch, mailbox, sender_id)


def allows(batch: Batch, mailbox: Mailbox) -> bool:
    """True if any of the mail that waits may wake the agent."""
    causes = causes_of(mailbox.waking)
    return any(passes or not is_spent(batch, mailbox, sender_id) for sender_id, passes in causes.items())


def pause_until_s(batch: Batch, mailbox: Mailbox) -> float:
    """The monotonic second until which mail that can wait is gathered: ``wake_pause_s`` after the agent's last turn or wake.

    What came within that turn is told at its end. A person's mail can't wait, nor what asks for something or answers what was
    asked.
    """
    waking, left_s = mailbox.waking, pause_left_s(batch, mailbox)
    if left_s <= 0 or waking.in_turn or any(waking.causes.values()) or any_asks(batch, mailbox):
        return 0.0
    return batch.now.mono_s + left_s


def pause_left_s(batch: Batch, mailbox: Mailbox) -> float:
    """Seconds for which mail that can wait would be gathered, 0 where it wakes at once."""
    waking = mailbox.waking
    woken_s = waking.given[-1][0] if waking.given else -inf
    return max(0.0, max(waking.ended_s, woken_s) + batch.settings.wake_pause_s - batch.now.mono_s)


def any_asks(batch: Batch, mailbox: Mailbox) -> bool:
    """Whether any of the first messages that wait asks for something, or answers a message that does."""
    waits = batch.store.fetch(mailbox.id, mailbox.returned, mailbox.cursor, batch.now.due_s)
    for mail in islice(waits, _LOOKED_AT):
        if mail.id in mailbox.leased or mail.id in mailbox.quiet:
            continue
        letter = None if mail.reply_to is None else batch.store.find_letter(mail.reply_to)
        if (
            asks(mail.content)
            or is_question(mail.extra)
            or (letter is not None and (asks(letter.content) or is_question(letter.extra)))
        ):
            return True
    return False


def is_question(extra: bytes | None) -> bool:
    return extra is not None and "question" in msgpack.unpackb(extra)


def charge(batch: Batch, mailbox: Mailbox) -> None:
    """A notice was given."""
    waking, since_s = mailbox.waking, batch.now.mono_s - HOUR_S
    recent = [one for one in waking.given if one[0] > since_s]
    batch.journal.set(mailbox, "waking", waking._replace(given=(*recent, (batch.now.mono_s, tuple(waking.announced)))))


def note(batch: Batch, sender: Mailbox, to: list[Mailbox]) -> str:
    """What a sender is told whose mail wakes nobody for now; empty if it does, or if hooks of a running turn bring it."""
    spent = [m for m in to if m.waking.ways and is_spent(batch, m, sender.id) and not runs_until_s(batch, m)]
    if not spent:
        return ""
    more = f" and {len(spent) - _NAMED} more" if len(spent) > _NAMED else ""
    who = ", ".join(m.name for m in spent[:_NAMED])
    return f"{who}{more} had as many wakes this hour as the settings allow; it lands with the next turn there"
