"""Two agents that answer each other without end are slowed down.

Counted is each message that one writes after the other has written. Many messages one way count once, and a message that a
person wrote begins the count anew. Beyond ``pair_limit`` in a minute both are told, and what they write to each other is
refused until the minute is over. What the person has paused (``pauses``) is refused until the person ends that.
"""

from broker.core.batch import Batch, Incoming
from broker.core.notices import notify
from broker.core.state import Alternation, Mailbox, Session
from broker.protocol.errors import IpcError

WINDOW_S = 60.0


def wrote_person(batch: Batch, session: Session, request: Incoming) -> bool:
    """True if the request says that a person wrote it, and the broker sees one at the other end of its connection, or knows by
    the owner's key that one acts by the session."""
    body = session.body
    marked = body is not None and body.kind == "process" and body.person
    return bool(request.body.get("person")) and (marked or batch.is_person(request.route))


def pair_of(one: Mailbox, other: Mailbox) -> tuple[int, int]:
    return (one.id, other.id) if one.id < other.id else (other.id, one.id)


def note_alternation(batch: Batch, sender: Mailbox, other: Mailbox, *, person: bool) -> None:
    """Note a message between the two; raises ``slow_down`` with the time to wait, and ``paused``."""
    key = pair_of(sender, other)
    if key in batch.state.pauses:
        raise IpcError("paused", name=sender.name, other=other.name)
    limit = batch.settings.pair_limit
    if limit <= 0:
        return
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
    limit, key = batch.settings.pair_limit, pair_of(sender, other)
    if key in batch.state.pauses:
        return False
    if limit <= 0 or sender is other:
        return True
    pair = batch.state.pairs.get(key)
    if pair is None or pair.last_sender != sender.id or pair.count > limit:
        return False
    return batch.now.mono_s - pair.since_s <= WINDOW_S


def prune(pairs: dict[tuple[int, int], Alternation], mono_s: float) -> None:
    """Forget pairs whose minute is over."""
    for key in [k for k, p in pairs.items() if mono_s - p.since_s > WINDOW_S]:
        del pairs[key]
