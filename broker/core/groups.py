"""Groups: a name whose mail goes to all members. The last member to leave ends the group."""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.forwards import drop_forward, names_that_lead_to
from broker.core.journal import Journal
from broker.core.mailboxes import drop_mailbox
from broker.core.standing import Kind, wanted
from broker.core.state import Group, Session, State
from broker.protocol.errors import IpcError

_MEMBERS_SHARE = 10
"""An agent may be in a tenth of ``group_limit`` groups."""


def groups(batch: Batch, session: Session, _request: Incoming) -> dict[str, Any]:
    by_id = batch.state.by_id
    rows = []
    for group in sorted(batch.state.groups.values(), key=lambda g: g.name):
        members = [m.name for i in group.members if (m := by_id.get(i)) is not None and m.claimed]
        rows.append({"name": group.name, "members": members, "mine": session.mailbox.id in group.members})
    return {"groups": rows}


def create(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    name, state = request.body["group"], batch.state
    found = wanted(batch, name)
    if found.kind is not Kind.FREE or (found.waiting is not None and found.waiting.queued):
        raise IpcError("name_taken", name=name)
    check_memberships(batch, session)
    if len(state.groups) >= batch.settings.group_limit:
        raise IpcError("too_many_groups", limit=batch.settings.group_limit)
    if found.waiting is not None:  # nobody's and empty: the name is the group's now
        for old in names_that_lead_to(state, found.waiting):
            drop_forward(state, batch.store, old, batch.journal)
        drop_mailbox(state, batch.store, found.waiting, batch.journal)
    drop_forward(state, batch.store, name, batch.journal)
    batch.journal.set(state, "last_group_id", state.last_group_id + 1)
    group = Group(state.last_group_id, name, batch.now.wall_s, {session.mailbox.id: None})
    enter_group(state, group, batch.journal)
    state.names_version += 1
    batch.store.save_group(group)
    return {"message": f"Created group {name}"}


def check_memberships(batch: Batch, session: Session) -> None:
    """Raise ``too_many_memberships`` where the agent is in its share of the groups: nobody fills the table alone."""
    limit = max(1, batch.settings.group_limit // _MEMBERS_SHARE)
    if sum(session.mailbox.id in group.members for group in batch.state.groups.values()) >= limit:
        raise IpcError("too_many_memberships", limit=limit)


def join(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    group = find(batch, request)
    if session.mailbox.id not in group.members:
        check_memberships(batch, session)
        batch.journal.put(group.members, session.mailbox.id, None)
        batch.store.save_group(group)
    return {"message": f"Joined {group.name}"}


def leave(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    group = find(batch, request)
    drop_member(batch, group, session.mailbox.id)
    return {"message": f"Left {group.name}"}


def drop_member(batch: Batch, group: Group, mailbox_id: int) -> None:
    if mailbox_id not in group.members:
        return
    batch.journal.set(group, "members", {i: None for i in group.members if i != mailbox_id})
    if group.members:
        batch.store.save_group(group)
    else:
        leave_group(batch.state, group, batch.journal)
        batch.store.drop_group(group.id)


def find(batch: Batch, request: Incoming) -> Group:
    name = request.body["group"]
    group = batch.state.groups.get(name)
    if group is None:
        raise IpcError("unknown_group", name=name[:64], did_you_mean=batch.state.nearby.miss(name[:64]))
    return group


def enter_group(state: State, group: Group, journal: Journal) -> None:
    journal.put(state.groups, group.name, group)
    state.nearby.add(group.name)
    journal.on_rollback(state.nearby.discard, group.name)


def leave_group(state: State, group: Group, journal: Journal) -> None:
    journal.drop(state.groups, group.name)
    state.nearby.discard(group.name)
    journal.on_rollback(state.nearby.add, group.name)
