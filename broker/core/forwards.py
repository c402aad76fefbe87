"""Forwards: after a rename the old name leads to its mailbox for ``forward_s`` (two hours).

A forward that is over decides nothing any more. It is kept for a while, to tell who writes to the old name the new one."""

from broker.core.batch import Batch
from broker.core.state import NameForward, State


def drop_lapsed_forward(batch: Batch, name: str) -> None:
    """Someone takes the name: who had it before need not be known any more."""
    forward = batch.state.forwards.get(name)
    if forward is not None and forward.until_s <= batch.now.due_s:
        drop_forward(batch, name)


def drop_forward(batch: Batch, name: str) -> None:
    batch.journal.drop(batch.state.forwards, name)
    batch.store.drop_forward(name)


def forgotten_forwards(state: State, keep_s: float, most: int, now_s: float) -> list[str]:
    """Lapsed forwards that need not be kept: their agent is gone, they are old, or they are too many, the oldest then."""
    lapsed = sorted((f.until_s, name) for name, f in state.forwards.items() if f.until_s <= now_s)
    over = len(lapsed) - most

    def is_over(position: int, until_s: float, forward: NameForward) -> bool:
        return position < over or until_s <= now_s - keep_s or not forward.mailbox.claimed

    return [name for i, (until_s, name) in enumerate(lapsed) if is_over(i, until_s, state.forwards[name])]
