"""Two agents that answer each other without end are slowed down.

Counted is each message that one writes after the other has written. Many messages one way count once, and a message that a
person wrote begins the count anew. Beyond ``pair_limit`` in a minute both are told, and what they write to each other is
refused until the minute is over.
"""

from broker.core.batch import Batch, Incoming
from broker.core.notices import notify
from broker.core.state import Alternation, Mailbox
from broker.protocol.errors import IpcError

WINDOW_S = 60.0


def wrote_person(batch: Batch, request: Incoming) -> bool:
    """True if the request says that a person wrote it, and the broker sees one at the other end of its connection."""
    return bool(request.body.get("person")) and batch.is_person(request.route)


def note_alternation(batch: Batch, sender: Mailbox, other: Mailbox, *, person: bool) -> None:
    """Note a message between the two; raises ``slow_down`` with the time to wait."""
    limit = batch.settings.pair_limit
    if limit <= 0:
        return
    key = (sender.id, other.id) if sender.id < other.id else (other.id, sender.id)
    pair, now_s = batch.state.pairs.get(key), batch.now.mono_s
    if pair is None or person or now_s - pair.since_s > WINDOW_S:
        batch.journal.put(batch.state.pairs, key, Alternation(sender.id, now_s))
        return
    if pair.count > limit:
        raise IpcError("slow_down", name=other.name, limit=limit, retry_after_s=max(0.0, pair.since_s + WINDOW_S - now_s))
    if pair.last_sender == sender.id:
        return
    batch.journal.set(pair, "last_sender", sender.id)
    batch.journal.set(pair, "count", pair.count + 1)
    if pair.count > limit:
        wait_s = pair.since_s + WINDOW_S - now_s
        for one, two in ((sender, other), (other, sender)):
            text = f"⏳ You and {two.name} have exchanged {limit} messages within a minute without a person: "
            notify(batch, [one], f"{text}what you write to each other is refused for {wait_s:.0f} s.")
        batch.event("pair_slowed", one=sender.name, other=other.name, wait_s=round(wait_s))


def settled(batch: Batch, sender: Mailbox, other: Mailbox) -> bool:
    """True where ``note_alternation`` would change nothing and refuse nothing, since the sender wrote last."""
    limit = batch.settings.pair_limit
    if limit <= 0 or sender is other:
        return True
    pair = batch.state.pairs.get((sender.id, other.id) if sender.id < other.id else (other.id, sender.id))
    if pair is None or pair.last_sender != sender.id or pair.count > limit:
        return False
    return batch.now.mono_s - pair.since_s <= WINDOW_S


def prune(pairs: dict[tuple[int, int], Alternation], mono_s: float) -> None:
    """Forget pairs whose minute is over."""
    for key in [k for k, p in pairs.items() if mono_s - p.since_s > WINDOW_S]:
        del pairs[key]
