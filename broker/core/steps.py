"""Steps: what a message went through on its way to each reader.

    stored --> pushed (way) --> in context --> answered

A step is noted in memory, undone with its batch, and written in bulk behind the mail: the transaction that accepts a message
has no row for it. A crash loses what was noted in the last second.
"""

from math import inf

from broker.core.batch import Batch
from broker.core.facts import Step

_GATHERED_S = 1.0
"""Seconds for which steps are gathered before they are written."""


def note_step(batch: Batch, step: Step) -> None:
    """Keep a step. Of equal steps of one way the store keeps the first."""
    batch.state.steps.append(step)
    batch.journal.on_rollback(batch.state.steps.pop)
    batch.chore_at("steps", batch.now.mono_s + _GATHERED_S)


def write_down(batch: Batch) -> float:
    """The chore: write the steps that were noted."""
    if batch.state.steps:
        batch.store.add_steps(batch.state.steps)
        batch.journal.set(batch.state, "steps", [])
    return inf
