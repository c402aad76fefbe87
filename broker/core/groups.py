"""Groups: a name whose mail goes to all members. The last member to leave ends the group."""

from typing import Any

from broker.core.accounts import drop_lapsed_forward, drop_mailbox, wanted
from broker.core.batch import Incoming, Turn
from broker.core.standing import Kind, enter_group, leave_group
from broker.core.state import Group, Session
from broker.protocol.errors import IpcError

_MEMBERS_SHARE = 10
"""An agent may be in a tenth of the groups that there may be."""


def groups(turn: Turn, session: Session, _request: Incoming) -> dict[str, Any]:
    by_id = turn.state.by_id
    rows = []
    for group in sorted(turn.state.groups.values(), key=lambda g: g.name):
        members = [m.name for i in group.members if (m := by_id.get(i)) is not None and m.claimed]
        rows.append({"name": group.name, "members": members, "mine": session.mailbox.id in group.members})
    return {"groups": rows}


def create(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    name, state = request.body["group"], turn.state
    found = wanted(turn, name)
    if found.kind is not Kind.FREE or (found.waiting is not None and found.waiting.queued):
        raise IpcError("name_taken", name=name)
    check_memberships(turn, session)
    if len(state.groups) >= turn.settings.group_limit:
        raise IpcError("too_many_groups", limit=turn.settings.group_limit)
    if found.waiting is not None:  # nobody's and empty: the name is the group's now
        drop_mailbox(state, turn.store, found.waiting, turn.journal)
    drop_lapsed_forward(turn, name)
    turn.journal.set(state, "last_group_id", state.last_group_id + 1)
    group = Group(state.last_group_id, name, turn.now.wall_s, {session.mailbox.id: None})
    enter_group(state, group, turn.journal)
    state.names_version += 1
    turn.store.save_group(group)
    return {"message": f"Created group {name}"}


def check_memberships(turn: Turn, session: Session) -> None:
    """Raise ``too_many_memberships`` where the agent is in as many groups as one may be: nobody can fill the table alone."""
    limit = max(1, turn.settings.group_limit // _MEMBERS_SHARE)
    if sum(session.mailbox.id in group.members for group in turn.state.groups.values()) >= limit:
        raise IpcError("too_many_memberships", limit=limit)


def join(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    group = find(turn, request)
    if session.mailbox.id not in group.members:
        check_memberships(turn, session)
        turn.journal.put(group.members, session.mailbox.id, None)
        turn.store.save_group(group)
    return {"message": f"Joined {group.name}"}


def leave(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    group = find(turn, request)
    drop_member(turn, group, session.mailbox.id)
    return {"message": f"Left {group.name}"}


def drop_member(turn: Turn, group: Group, mailbox_id: int) -> None:
    if mailbox_id not in group.members:
        return
    turn.journal.set(group, "members", {i: None for i in group.members if i != mailbox_id})
    if group.members:
        turn.store.save_group(group)
    else:
        leave_group(turn.state, group, turn.journal)
        turn.store.drop_group(group.id)


def find(turn: Turn, request: Incoming) -> Group:
    name = request.body["group"]
    group = turn.state.groups.get(name)
    if group is None:
        raise IpcError("unknown_group", name=name[:64], did_you_mean=turn.state.nearby.miss(name[:64]))
    return group
