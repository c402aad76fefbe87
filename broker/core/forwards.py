"""Forwards: after a rename the old name leads to its mailbox for ``forward_s``, two hours by default.

A forward that is over decides nothing any more. It is kept for a while, so that who writes to the old name is told the new one.
"""

from broker.core.batch import Batch
from broker.core.journal import Journal
from broker.core.state import Mailbox, NameForward, State
from broker.core.storage import Store


def begin_forward(batch: Batch, old: str, mailbox: Mailbox) -> None:
    forward = NameForward(mailbox, batch.now.term_s + batch.settings.forward_s)
    batch.journal.put(batch.state.forwards, old, forward)
    batch.store.save_forward(old, forward)


def leads(forward: NameForward, now_s: float) -> bool:
    """False once the forward is over."""
    return forward.until_s > now_s


def drop_forward(state: State, store: Store, name: str, journal: Journal) -> None:
    """Forget who had a name before, if anybody had."""
    if name in state.forwards:
        journal.drop(state.forwards, name)
        store.drop_forward(name)


def names_that_lead_to(state: State, mailbox: Mailbox) -> list[str]:
    """Old names of a mailbox, also those that are over."""
    return [name for name, forward in state.forwards.items() if forward.mailbox is mailbox]


def hand_over_forwards(batch: Batch, old: Mailbox, new: Mailbox) -> None:
    """Let the old names of a mailbox lead to the one that has its name now."""
    for name in names_that_lead_to(batch.state, old):
        forward = NameForward(new, batch.state.forwards[name].until_s)
        batch.journal.put(batch.state.forwards, name, forward)
        batch.store.save_forward(name, forward)


def forgotten_forwards(state: State, keep_s: float, most: int, now_s: float) -> list[str]:
    """Forwards to drop: over for ``keep_s``, of an agent that is gone, or the oldest of more than ``most`` that are over."""
    lapsed = sorted((f.until_s, name) for name, f in state.forwards.items() if not leads(f, now_s))
    over = len(lapsed) - most

    def is_forgotten(position: int, until_s: float, forward: NameForward) -> bool:
        return position < over or until_s <= now_s - keep_s or not forward.mailbox.claimed

    return [name for i, (until_s, name) in enumerate(lapsed) if is_forgotten(i, until_s, state.forwards[name])]
