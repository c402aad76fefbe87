"""Who gets mail for a name, and who of them has room for it and wants it."""

from typing import NamedTuple

from broker.core.batch import Batch
from broker.core.bodies import alive
from broker.core.far_names import far_mailbox, far_name, namesake, other_sites
from broker.core.mailboxes import new_mailbox, room
from broker.core.outcomes import forwarded, on_its_way, queued
from broker.core.standing import Kind, standing
from broker.core.state import Mailbox
from broker.protocol.addresses import EVERY
from broker.protocol.errors import IpcError
from broker.protocol.names import BROADCAST, is_name

_UNBORN_SHARE = 10
"""One sender may make a tenth of ``unclaimed_limit``, the mailboxes of names that nobody has."""
_UNBORN_ALWAYS = 10
"""Mailboxes that each sender may make even where others have used up ``unclaimed_limit``."""


class Target(NamedTuple):
    """Where mail for a name goes."""

    mailboxes: list[Mailbox]
    name: str
    outcome: str | None = None
    """The reply's sentence, None for the usual one."""
    hint: str | None = None
    """A near-miss among registered names."""
    group: str | None = None
    many: bool = False
    """A group or everyone: a mailbox without room, or that blocks the sender, is passed over."""


def resolve(batch: Batch, sender: Mailbox, name: str) -> Target:
    """Who gets mail for a name; a mailbox is made for a name that nobody has yet."""
    state = batch.state
    if "@" in name:
        return at_site(batch, sender, name)
    found = standing(state, name, batch.now.due_s)
    if found.mailbox is not None:
        new = found.mailbox.name
        return Target([found.mailbox], new, forwarded(name, new) if found.kind is Kind.FORWARDED else None)
    if found.group is not None:
        members = [m for i in found.group.members if (m := state.by_id.get(i)) is not None and (m.claimed or m.site)]
        return Target(members, name, group=name, many=True)
    if not is_name(name):
        raise IpcError("invalid_recipient")
    if found.kind is Kind.RESERVED:
        raise IpcError("name_reserved", name=name)
    mailbox = found.waiting or unborn_mailbox(batch, sender, name)
    if found.formerly is not None:
        return Target([mailbox], name, queued(name, found.formerly.name), found.formerly.name)
    if mailbox.hint[0] != state.names_version:
        mailbox.hint = (state.names_version, state.nearby.miss(name))
    return Target([mailbox], name, queued(name), mailbox.hint[1] or namesake(batch, name))


def at_site(batch: Batch, sender: Mailbox, address: str) -> Target:
    """Who gets mail for an address. At this site that is a name here; elsewhere its broker knows who it is."""
    name, site = far_name(batch, address)
    if site == batch.settings.site:
        return everyone(batch, sender)[0] if name == EVERY else resolve(batch, sender, name)
    if site == EVERY:
        far = [far_mailbox(batch, EVERY, one) for one in other_sites(batch)]
        return Target([*everyone(batch, sender)[0].mailboxes, *far], address, group=address, many=True)
    return Target([far_mailbox(batch, name, site)], address, on_its_way(site))


def unborn_mailbox(batch: Batch, sender: Mailbox, name: str) -> Mailbox:
    """The mailbox of a name that nobody has. The names of another site make theirs together.

    Raises ``too_many_mailboxes`` beyond the sender's share, and beyond ``unclaimed_limit`` once the sender has made ten.
    """
    limit, made = batch.settings.unclaimed_limit, batch.state.unborn
    maker = far_mailbox(batch, EVERY, sender.site) if sender.site else sender
    mine = made.get(maker.id, 0)
    if mine >= max(1, limit // _UNBORN_SHARE) or (mine >= _UNBORN_ALWAYS and sum(made.values()) >= limit):
        raise IpcError("too_many_mailboxes", limit=mine)
    return new_mailbox(batch, name, maker.id)


def everyone(batch: Batch, sender: Mailbox) -> tuple[Target, int]:
    """Every registered instance but the sender, and how many were left out.

    Where ``broadcast_silent_s`` is set, those are left out that are silent for longer and whose body is known to have ended.
    """
    all_of_them = [m for m in batch.state.mailboxes.values() if m.claimed and m is not sender]
    limit_s, now_s = batch.settings.broadcast_silent_s, batch.now.term_s
    left_out = [m for m in all_of_them if now_s - m.last_seen_s > limit_s and alive(batch, m) is False] if limit_s else []
    gone = {m.id for m in left_out}
    return Target([m for m in all_of_them if m.id not in gone], BROADCAST, many=True), len(gone)


def with_room(batch: Batch, sender: Mailbox, target: Target) -> tuple[Target, list[str]]:
    """The target without those who block the sender or have no room, and the names of those without room.

    Raises ``mailbox_full`` or ``blocked`` where one name alone was written to.
    """
    alone = not target.many
    kept, full = [], []
    for mailbox in target.mailboxes:
        if mailbox.blocked and mailbox.blocked.get(sender.id) == "block":
            if alone:
                raise IpcError("blocked", name=mailbox.name)
        elif not room(batch.settings, mailbox):
            if alone:
                raise IpcError("mailbox_full", name=mailbox.name, limit=batch.settings.mailbox_limit)
            full.append(mailbox.name)
        elif alone or mailbox is not sender:
            kept.append(mailbox)
    return (target if alone else target._replace(mailboxes=kept)), sorted(full)
