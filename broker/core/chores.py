"""Chores: what the passing of time demands of the core, done between batches in small steps.

Theory of operation. A chore is a function of a batch. It does at most ``ROWS`` rows of its work and returns the monotonic
second at which it wants to run again, ``inf`` where nothing is left for it. Whoever makes work for a chore calls
``Batch.chore_at``. So an idle broker has no chore, and sleeps. All that are due share a transaction of their own
(``Engine.keep_house``), and those that send mail another: a disk that is full postpones them, and refuses nobody's request.
"""

from collections.abc import Callable, Mapping
from math import inf

from broker.core.batch import Batch
from broker.core.state import Moment, State

Chore = Callable[[Batch], float]
ROWS = 200
"""What a chore does at most before other work goes on."""
POSTPONED_S = 5.0
"""Seconds until chores are tried again that could not be written."""


def are_due(state: State, chores: Mapping[str, Chore], now: Moment) -> bool:
    return any(state.chores.get(name, 0.0) <= now.mono_s for name in chores)


def do(batch: Batch, chores: Mapping[str, Chore]) -> None:
    """Run what is due, and note when each is due again. At a start each is due once."""
    state, now_s = batch.state, batch.now.mono_s
    for name, chore in chores.items():
        if state.chores.get(name, 0.0) <= now_s:
            batch.journal.put(state.chores, name, inf)
            batch.chore_at(name, chore(batch))
    batch.journal.set(state, "chore_s", min(state.chores.values(), default=inf))


def postpone(batch: Batch, chores: Mapping[str, Chore]) -> None:
    """Try those that are due again later; call it after the rollback."""
    state, now_s = batch.state, batch.now.mono_s
    for name in chores:
        if state.chores.get(name, 0.0) <= now_s:
            state.chores[name] = now_s + POSTPONED_S
    state.chore_s = min(state.chores.values(), default=inf)
