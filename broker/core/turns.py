"""Whether a turn of an agent runs. Its hooks bring the mail then, so nobody need be woken."""

from broker.core.batch import Batch
from broker.core.facts import WAITING
from broker.core.state import Mailbox

AT_WORK = ("working", *WAITING)
"""States of an activity within a turn."""
_QUIET_S = 120.0
"""Seconds without a hook after which a turn counts as over. An interrupted turn ends without a hook."""
_LONG_S = 600.0
"""Likewise while a tool runs, or while the agent waits for its user."""


def runs_until_s(batch: Batch, mailbox: Mailbox) -> float:
    """The monotonic second at which the running turn counts as over if no more is heard of it; 0 if none runs."""
    activity = mailbox.activity
    if activity.state in AT_WORK:
        runs = any(call.tool for call in activity.calls)
        last_s, quiet_s = activity.event_s, _LONG_S if runs or activity.state != "working" else _QUIET_S
    elif not activity.state and mailbox.presence == "working":  # hooks of 0.3.0, and what an agent says of itself
        last_s, quiet_s = mailbox.last_seen_s, _QUIET_S
    else:
        return 0.0
    left_s = last_s + quiet_s - batch.now.term_s
    return batch.now.mono_s + left_s if left_s > 0 else 0.0
