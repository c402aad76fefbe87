"""Groups: a name whose mail goes to all members. The last member to leave ends the group.

A group is at home at the site where it was made: that broker knows its members, who may be names of other sites, and gives each
post once to each of those sites. Who asks for a group of another site, ``devs@rome``, is a member once that site has read it.
"""

from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.far_names import far_name
from broker.core.far_word import put_word
from broker.core.forwards import drop_forward, names_that_lead_to
from broker.core.journal import Journal
from broker.core.mailboxes import drop_mailbox
from broker.core.standing import Kind, wanted
from broker.core.state import Group, Mailbox, Session, State
from broker.core.storage import Store
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name

_MEMBERS_SHARE = 10
"""An agent may be in a tenth of ``group_limit`` groups."""


def groups(batch: Batch, session: Session, _request: Incoming) -> dict[str, Any]:
    by_id = batch.state.by_id
    rows = []
    for group in sorted(batch.state.groups.values(), key=lambda g: g.name):
        members = [m.name for i in group.members if (m := by_id.get(i)) is not None and (m.claimed or m.site)]
        rows.append({"name": group.name, "members": members, "mine": session.mailbox.id in group.members})
    return {"groups": rows}


def create(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    name, site = home_of(batch, request)
    if site:
        raise IpcError("bad_request", detail=f"A group is at home where it is made: have somebody at {site} make {name}")
    state = batch.state
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
    if is_full(batch, session.mailbox):
        raise IpcError("too_many_memberships", limit=_share(batch))


def is_full(batch: Batch, mailbox: Mailbox) -> bool:
    return sum(mailbox.id in group.members for group in batch.state.groups.values()) >= _share(batch)


def _share(batch: Batch) -> int:
    return max(1, batch.settings.group_limit // _MEMBERS_SHARE)


def home_of(batch: Batch, request: Incoming) -> tuple[str, str]:
    """A group's name, and its site; none where it is at home here."""
    name: str = request.body["group"]
    if "@" not in name:
        return name, ""
    name, site = far_name(batch, name)
    if not is_name(name):
        raise IpcError("bad_request", detail="Nobody joins or leaves everyone: name one group")
    return name, "" if site == batch.settings.site else site


def join(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    name, site = home_of(batch, request)
    if site:
        put_word(batch, site, {"k": "join", "group": name, "name": session.mailbox.name})
        return {"message": f"Asked {site} to let you join {name}; you are told if there is no such group"}
    group = find(batch, name)
    if session.mailbox.id not in group.members:
        check_memberships(batch, session)
        batch.journal.put(group.members, session.mailbox.id, None)
        batch.store.save_group(group)
    return {"message": f"Joined {group.name}"}


def leave(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    name, site = home_of(batch, request)
    if site:
        put_word(batch, site, {"k": "leave", "group": name, "name": session.mailbox.name})
        return {"message": f"Asked {site} to take you out of {name}"}
    group = find(batch, name)
    drop_member(batch.state, batch.store, group, session.mailbox.id, batch.journal)
    return {"message": f"Left {group.name}"}


def drop_member(state: State, store: Store, group: Group, mailbox_id: int, journal: Journal) -> None:
    if mailbox_id not in group.members:
        return
    journal.set(group, "members", {i: None for i in group.members if i != mailbox_id})
    if group.members:
        store.save_group(group)
    else:
        leave_group(state, group, journal)
        store.drop_group(group.id)


def find(batch: Batch, name: str) -> Group:
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
