"""Groups: a name whose mail goes to all members. The last member to leave ends the group."""

from typing import Any

from broker.core.state import Group, Session
from broker.core.turn import Incoming, Turn
from broker.errors import IpcError
from broker.names import BROADCAST, SYSTEM, is_name


def groups(turn: Turn, session: Session, _request: Incoming) -> dict[str, Any]:
    by_id = turn.state.by_id
    rows = []
    for group in sorted(turn.state.groups.values(), key=lambda g: g.name):
        members = [m.name for i in group.members if (m := by_id.get(i)) is not None and m.claimed]
        rows.append({"name": group.name, "members": members, "mine": session.mailbox.id in group.members})
    return {"groups": rows}


def create(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    name, state = request.body["group"], turn.state
    if not is_name(name):
        raise IpcError("invalid_name")
    if name.lower() in (SYSTEM, BROADCAST):
        raise IpcError("name_reserved", name=name)
    mailbox = state.mailboxes.get(name)
    if name in state.groups or name in state.forwards or (mailbox is not None and (mailbox.claimed or mailbox.queued)):
        raise IpcError("name_taken", name=name)
    if len(state.groups) >= turn.settings.group_limit:
        raise IpcError("too_many_groups", limit=turn.settings.group_limit)
    if mailbox is not None:  # nobody's and empty: the name is the group's now
        turn.journal.drop(state.mailboxes, name)
        turn.journal.drop(state.by_id, mailbox.id)
        turn.store.drop_mailbox(mailbox.id)
    turn.journal.set(state, "last_group_id", state.last_group_id + 1)
    group = Group(state.last_group_id, name, turn.now.wall_s, {session.mailbox.id: None})
    turn.journal.put(state.groups, name, group)
    turn.store.save_group(group)
    return {"message": f"Created group {name}"}


def join(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    group = find(turn, request)
    if session.mailbox.id not in group.members:
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
        turn.journal.drop(turn.state.groups, group.name)
        turn.store.drop_group(group.id)


def find(turn: Turn, request: Incoming) -> Group:
    name = request.body["group"]
    group = turn.state.groups.get(name)
    if group is None:
        raise IpcError("unknown_group", name=str(name)[:64])
    return group
