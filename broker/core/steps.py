"""Steps: what a message went through on its way to each reader.

    stored --> pushed (way) --> in context --> answered

A step is noted in memory, undone with its batch, and written in bulk behind the mail: the transaction that accepts a message
has no row for it. A crash loses what was noted in the last second.
"""

from collections.abc import Iterable
from math import inf

from broker.core.batch import Batch
from broker.core.facts import Mark, Step
from broker.core.state import Landing, Mailbox

ALLOWED_S = {Landing.AT_ONCE: 60.0, Landing.AFTER_TOOL: 300.0, Landing.AT_END: 900.0}
"""Seconds that a message may take until its reader has it, by when it lands. Later it is overdue. A digest may wait
``digest_s`` for company; from then on it lands at the end of a turn."""
_GATHERED_S = 1.0
"""Seconds for which steps are gathered before they are written."""


def note_step(batch: Batch, step: Step) -> None:
    """Keep a step. Of equal steps of one way the store keeps the first."""
    batch.state.steps.append(step)
    batch.journal.on_rollback(batch.state.steps.pop)
    batch.chore_at("steps", batch.now.mono_s + _GATHERED_S)


def pushed(batch: Batch, mailbox: Mailbox, ids: Iterable[int], way: str) -> None:
    """Note that a way was used to bring messages, or word of them, to their reader."""
    for message_id in ids:
        note_step(batch, Step(message_id, mailbox.id, Mark.PUSHED, way, batch.now.term_s))


def steps_of(batch: Batch, mailbox: Mailbox, message_id: int) -> list[Step]:
    """The steps of a message on its way to a reader, those not yet written at the end."""
    fresh = [s for s in batch.state.steps if s.message_id == message_id and s.mailbox_id == mailbox.id]
    return [*batch.store.steps_of(message_id, mailbox.id), *fresh]


def write_down(batch: Batch) -> float:
    """The chore: write the steps that were noted."""
    if batch.state.steps:
        batch.store.add_steps(batch.state.steps)
        batch.journal.set(batch.state, "steps", [])
    return inf
