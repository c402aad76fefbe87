"""When the radar looks at an agent next: as soon as a rule can hold, and not before.

The radar is a chore (``broker.core.chores``). It keeps one moment an agent that something may be wrong with, so a broker whose
agents rest has nothing due.
"""

from math import inf

from broker.core import stalls
from broker.core.batch import Batch
from broker.core.state import Mailbox, Moment, State

RADAR = "radar"
PAUSE_S = 30.0
"""A broker that was down for longer has missed too much: what agents did before is not counted."""
PROCESS_S = 10.0
"""Seconds between looks at the process of an agent that owes something."""
_SLEPT_S = 5.0
"""Seconds by which the terms' clock gains on one that stands still in sleep, before the machine counts as having slept."""


def look(batch: Batch, mailbox: Mailbox, in_s: float = 0.0) -> None:
    """Have the radar look at an agent in so many seconds, or earlier."""
    at_s = min(batch.state.looks.get(mailbox.id, inf), batch.now.mono_s + in_s)
    batch.journal.put(batch.state.looks, mailbox.id, at_s)
    batch.chore_at(RADAR, at_s)


def heard(batch: Batch, mailbox: Mailbox) -> None:
    """Plan the next look from what its hooks have just told."""
    wake(batch.state, batch.now)
    due_s = stalls.next_s(mailbox.activity, batch.settings, batch.state.awake_s)
    troubled = any(alarm.mailbox_id == mailbox.id for alarm in batch.state.alarms.values())
    if troubled or mailbox.activity.state == "ended":
        look(batch, mailbox, 0.0 if troubled else stalls.DEAD_S)
    elif due_s < inf:
        look(batch, mailbox, max(0.0, due_s - batch.now.term_s))


def wake(state: State, now: Moment) -> None:
    """Note a sleep of the machine: what nobody could tell meanwhile is not missed."""
    ahead_s = now.term_s - now.mono_s
    if state.awake_gap_s is not None and ahead_s - state.awake_gap_s > _SLEPT_S:
        state.awake_s = now.term_s
    state.awake_gap_s = ahead_s
