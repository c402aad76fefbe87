"""Quiet mail: it lands as ``digest``, wakes nobody, and comes with whatever its reader is given next.

    stored --> quiet --handed out with other mail, or to a program that waits--> leased, read
                 |
                 '--``digest_s`` after it was stored--> lands at the end of a turn, and wakes

A check that names no landing hands it out, and so do subscriptions of programs. Watchers hear nothing of it until it is due.
Thanks for thanks are never due: two that always thank each other would wake each other for ever.
"""

from collections.abc import Collection
from math import inf
from typing import Any

from broker.core.batch import Batch
from broker.core.chores import ROWS
from broker.core.looks import PROCESS_S, look
from broker.core.state import Landing, Mailbox
from broker.core.storage import StoredMessage

QUIET_CHARS = 200
"""Thanks and news are shorter."""
_QUESTION_MARKS = frozenset(
    "?\u00bf\u037e\u055e\u061f\u1367\u1945\u203d\u2047\u2048\u2049\u2753\u2754\u2e2e\u2e54\ua60f\ua6f7\ufe56\uff1f\U0001e95f"
)
"""Of all scripts."""


def count_in(
    batch: Batch, mailbox: Mailbox, message_id: int, sender: str, land: int, *, passes: bool = False, calm: bool = False
) -> None:
    """Count a new message in, by its landing, and tell those who wait for it.

    ``passes``: no budget of wakes holds for it. ``calm``: it never wakes by itself.
    """
    journal = batch.journal
    journal.set(mailbox, "queued", mailbox.queued + 1)
    if land == Landing.AT_ONCE:
        journal.add(mailbox.urgent, message_id)
        look(batch, mailbox, PROCESS_S)
    elif land == Landing.AT_END:
        journal.add(mailbox.later, message_id)
    elif land == Landing.AS_DIGEST:
        after_s = inf if calm else batch.settings.digest_s
        journal.put(mailbox.quiet, message_id, batch.now.term_s + after_s)
        journal.add(batch.state.quiet_boxes, mailbox.id)
        batch.chore_at("quiet", batch.now.mono_s + after_s)
    batch.wake(mailbox)
    if mailbox.watchers and land != Landing.AS_DIGEST:
        batch.note_arrival(mailbox, sender, land, passes=passes)


CALM = "calm"
"""In the ``extra`` of a message that never wakes by itself."""


def usual_landing(sender: Mailbox, letter: StoredMessage, message: dict[str, Any], *, person: bool) -> int:
    """The landing of a reply that names none. Thanks wake nobody: a short answer to an answer, where neither asks for anything.

    A person's words are not taken for thanks, nor is more of what one wrote oneself.
    """
    content, data = message["content"], message.get("data")
    if letter.reply_to is None or letter.sender_id == sender.id or asks(letter.content):
        return Landing.AFTER_TOOL
    return Landing.AFTER_TOOL if person else landing_of_news(content, data)


def landing_of_news(content: str, data: Any) -> int:
    """The landing of a broadcast that names none, or of thanks: short words that ask nothing wake nobody."""
    quiet = len(content) < QUIET_CHARS and data is None and not asks(content)
    return Landing.AS_DIGEST if quiet else Landing.AFTER_TOOL


def asks(text: str) -> bool:
    return not _QUESTION_MARKS.isdisjoint(text)


def passed_by(mailbox: Mailbox, land: int) -> Collection[int]:
    """Unread messages that are too mild for a fetch of what lands at ``land`` or sooner (``AT_ONCE`` has a way of its own)."""
    if land == Landing.AS_DIGEST:
        return ()
    return mailbox.quiet if land == Landing.AT_END else mailbox.later | mailbox.quiet.keys()


def promote(batch: Batch) -> float:
    """The chore: what is due lands at the end of a turn from now on, and its reader is told."""
    state, now_s, left = batch.state, batch.now.term_s, ROWS
    next_s = inf
    for mailbox_id in sorted(state.quiet_boxes):
        mailbox = state.by_id.get(mailbox_id)
        if mailbox is None or not mailbox.quiet:
            batch.journal.discard(state.quiet_boxes, mailbox_id)
            continue
        due = [i for i, due_s in mailbox.quiet.items() if due_s <= now_s][:left]
        for message_id in due:
            batch.journal.drop(mailbox.quiet, message_id)
            batch.journal.add(mailbox.later, message_id)
        if not mailbox.leased.keys() >= set(due):
            batch.offer_again(mailbox)
        left -= len(due)
        next_s = min(next_s, min(mailbox.quiet.values(), default=inf))
    return batch.now.mono_s + max(0.0, next_s - now_s)
