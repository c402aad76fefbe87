"""The engine's memory against the model's, whole."""

from broker.core.state import State
from tests.deep.faults.company import Company
from tests.deep.faults.model import Box, Wrong


def compare(state: State, model: Company, wall_s: float) -> None:
    """Raises Wrong where mailboxes, groups, claims, forwards, blocks or waits differ."""
    if known := {b.name for b in model.boxes} ^ set(state.mailboxes):
        raise Wrong(f"mailboxes that one has and the other has not: {known}")
    for box in model.boxes:
        _compare_box(state, model, box, wall_s)
    names = {m.id: n for n, m in state.mailboxes.items()}
    groups = {g.name: sorted(names[i] for i in g.members if i in names) for g in state.groups.values()}
    if groups != {n: sorted(b.name for b in members if b in model.boxes) for n, members in model.groups.items()}:
        raise Wrong(f"groups are {groups}, the model has {model.groups}")
    claims = sorted((c.mailbox.name, c.resource, c.until_s) for c in state.claims.values())
    if claims != sorted((c.box.name, c.resource, c.until_s) for c in model.claims):
        raise Wrong(f"claims are {claims}, the model has {model.claims}")
    forwards = {n: (f.mailbox.name, f.until_s) for n, f in state.forwards.items()}
    if forwards != {n: (b.name, until_s) for n, (b, until_s) in model.forwards.items()}:
        raise Wrong(f"forwards are {forwards}, the model has {model.forwards}")


def _compare_box(state: State, model: Company, box: Box, wall_s: float) -> None:
    mailbox = state.mailboxes[box.name]
    leased = {e.letter.number: e.holder for e in box.unread if e.held_until_s is not None}
    holders = {number: lease.holder for number, lease in mailbox.leased.items()}
    found = (mailbox.queued, holders, mailbox.claimed, mailbox.presence, mailbox.note, mailbox.autocheck_min)
    if found != (len(box.unread), leased, box.claimed, box.presence, box.note, box.minutes):
        raise Wrong(f"{box.name}: the engine has {found}, the model {box}")
    there = {b.name: mode for b, mode in box.blocked.items() if b in model.boxes}
    if there != {state.by_id[i].name: mode for i, mode in mailbox.blocked.items() if i in state.by_id}:
        raise Wrong(f"{box.name} blocks {mailbox.blocked}, the model has {there}")
    waits = sorted(w.request_id for w in (*mailbox.waiters, *mailbox.askers))
    if waits != sorted(w.key[1] for w in (*box.waits, *box.asks)):
        raise Wrong(f"{box.name}: {waits} wait, the model has {box.waits} {box.asks}")
    for wait in box.waits:
        if free := model.free(box, wait.land, wall_s):
            raise Wrong(f"{box.name} has {len(free)} free messages and someone who waits for mail: {mailbox}")
