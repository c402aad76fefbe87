"""Names: who gets one by ``register``, how it changes by ``rename`` and is given back, and which silent one makes room.

Whoever may register (``sessions.check_right_to_register``) may take a name that nobody holds (``bodies.is_held``), and with
``force`` any: its earlier session is replaced.
"""

import math
from heapq import nsmallest
from typing import Any

from broker.core import bounces
from broker.core.agent_watches import happened
from broker.core.batch import Batch, Incoming
from broker.core.bodies import check_free, connection_of, is_held, read_body
from broker.core.facts import Activity
from broker.core.forwards import begin_forward, drop_forward, hand_over_forwards
from broker.core.journal import Journal
from broker.core.looks import look
from broker.core.mailboxes import drop_mailbox, give_name, new_mailbox, set_claimed
from broker.core.notices import tell_of_rename
from broker.core.presence import GONE_AFTER_S
from broker.core.schedules import drop_schedules, follow
from broker.core.sessions import act_as, check_right_to_register, drop_session, replace_sessions, token_hash
from broker.core.standing import Kind, Standing, wanted
from broker.core.state import NOT_SEARCHED, Mailbox, Session, State
from broker.core.storage import Store
from broker.core.values import iso_term
from broker.protocol.errors import IpcError

_CROWDED_S = 1.0
"""No silent name was found: none is looked for again for so long."""
_LOOKED_AT = 256
"""Silent names of which it is asked whether their bodies live, in one request."""
_UNUSED_S = 60.0
"""A name whose session has done nothing since it was registered makes room after so long."""


def register(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    body = request.body
    name = body["instance_id"]
    found = wanted(batch, name)
    check_right_to_register(batch, request, name)
    if found.kind is Kind.FORWARDED and found.mailbox is not None:
        minutes = math.ceil((found.until_s - batch.now.due_s) / 60)
        raise IpcError("name_forwarding", name=name, target=found.mailbox.name, minutes=minutes)
    if found.kind is Kind.GROUP:
        raise IpcError("name_taken", name=name)
    if body.get("renews") is not None:
        check_renewal(batch, found, body["renews"])
    acting = read_body(batch, request)
    if found.mailbox is not None and not shows_token(request, found.mailbox):
        check_free(batch, found.mailbox, request, acting)
    if found.kind is Kind.FREE:
        make_room(batch)
        drop_forward(batch.state, batch.store, name, batch.journal)
    mailbox = found.mailbox or found.waiting or new_mailbox(batch, name)
    token = batch.make_token()
    session = Session(
        token_hash=token_hash(token),
        mailbox=mailbox,
        uid=body.get("peer_uid"),
        created_s=batch.now.term_s,
        last_seen_s=batch.now.term_s,
        tokens=float(batch.settings.rate_burst),
        refilled_s=batch.now.mono_s,
        body=acting,
        client=connection_of(request),
    )
    replace_sessions(batch, mailbox, session)
    batch.journal.put(batch.state.sessions, session.token_hash, session)
    begin_anew(batch, mailbox)
    batch.store.save_session(session)
    bounces.resume(batch, mailbox)
    batch.event("registered", name=name, uid=session.uid)
    queued = mailbox.queued
    text = f"Registered {name} with {queued} queued messages" if queued else f"Registered {name}"
    return {"session_token": token, "message": text, "queued": queued}


def shows_token(request: Incoming, mailbox: Mailbox) -> bool:
    """True if the request itself has the token of the name's session; one that came before it in its frame says nothing."""
    tokens = (request.body.get("session_token"), request.body.get("renews"))
    session = mailbox.session
    return session is not None and any(isinstance(t, str) and token_hash(t) == session.token_hash for t in tokens)


def begin_anew(batch: Batch, mailbox: Mailbox) -> None:
    """Somebody acts for the mailbox from now on: what the one before said at its end is over."""
    journal = batch.journal
    joins = not mailbox.claimed or mailbox.presence == "gone" or mailbox.activity.state == "ended"
    set_claimed(batch.state, mailbox, journal, claimed=True)
    batch.state.names_version += 1
    journal.set(mailbox, "last_seen_s", batch.now.term_s)
    if mailbox.presence == "gone":
        journal.set(mailbox, "presence", "")
        journal.set(mailbox, "note", "")
    if mailbox.activity.state == "ended":
        journal.set(mailbox, "activity", Activity())
        batch.store.save_activity(mailbox.id, mailbox.activity)
    batch.store.save_mailbox(mailbox)
    look(batch, mailbox)
    if joins:
        happened(batch, mailbox, "joins", mailbox.name)


def check_renewal(batch: Batch, found: Standing, token: str) -> None:
    """Raise ``name_taken`` where another has registered the name since the session that is renewed ended."""
    ended = batch.state.sessions.get(token_hash(token))
    if found.mailbox is not None and (ended is None or ended.replaced or ended.mailbox is not found.mailbox):
        raise IpcError("name_taken", name=found.mailbox.name)


def make_room(batch: Batch) -> None:
    """Where ``name_limit`` names are registered, free those that have been silent longest; raise ``too_many_names`` if none is.

    A silent name has no mail, no schedule, no body that lives, and was last active 15 minutes ago. A name that was never used
    goes first, a minute after it was registered.
    """
    state, limit, now = batch.state, batch.settings.name_limit, batch.now
    if state.registered < limit:
        return
    silent: list[Mailbox] = []
    if now.mono_s >= state.crowded_s:
        owners = {one.mailbox_id for one in state.schedules.values()}
        quiet = (m for m in state.by_id.values() if m.claimed and not m.queued and not m.awaited and m.id not in owners)
        silent = [m for m in quiet if now.due_s - m.last_seen_s > (GONE_AFTER_S if used(m) else _UNUSED_S)]
    oldest = nsmallest(max(_LOOKED_AT, limit // 100), silent, key=lambda m: (used(m), m.last_seen_s))
    free = [m for m in oldest if not is_held(batch, m)]
    if not free:
        state.crowded_s = max(state.crowded_s, now.mono_s + _CROWDED_S)
        raise IpcError("too_many_names", limit=limit)
    for mailbox in free[: max(1, limit // 100)]:
        batch.event("name_released", name=mailbox.name)
        release_name(state, batch.store, mailbox, batch.journal)


def used(mailbox: Mailbox) -> bool:
    """Whether its session has done anything but register."""
    return mailbox.session is not None and mailbox.session.last_seen_s > mailbox.session.created_s


def release_name(state: State, store: Store, mailbox: Mailbox, journal: Journal) -> None:
    """Free a name: its sessions end, its mail stays for the next who registers it."""
    for token in (*mailbox.ended, *([mailbox.session.token_hash] if mailbox.session is not None else [])):
        drop_session(state, store, state.sessions[token], journal)
    drop_schedules(state, store, mailbox, journal)
    set_claimed(state, mailbox, journal, claimed=False)
    store.save_mailbox(mailbox)


def unregister(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Give the name back. Its mail stays, and its old names lead to it for as long as after a rename."""
    act_as(batch, session, request, "instance_id")
    mailbox = session.mailbox
    replace_sessions(batch, mailbox)
    drop_schedules(batch.state, batch.store, mailbox, batch.journal)
    set_claimed(batch.state, mailbox, batch.journal, claimed=False)
    batch.state.names_version += 1
    batch.store.save_mailbox(mailbox)
    batch.event("unregistered", name=mailbox.name)
    left = f" with {mailbox.queued} queued messages, which stay" if mailbox.queued else ""
    return {"message": f"Unregistered {mailbox.name}{left}"}


def rename(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "old_id")
    mailbox, state, journal, now_s = session.mailbox, batch.state, batch.journal, batch.now.term_s
    old, new = mailbox.name, request.body["new_id"]
    if new == old:  # also what a retry of a rename that worked looks like
        return {"message": f"Renamed {request.body.get('old_id') or old} to {new}"}
    found = wanted(batch, new)
    back = found.kind is Kind.FORWARDED and found.mailbox is mailbox
    if found.kind is not Kind.FREE and not back:
        raise IpcError("name_taken", name=new)
    wait_s = mailbox.renamed_s + batch.settings.rename_interval_s - now_s if mailbox.renamed_s else 0.0
    wait_s = min(wait_s, batch.settings.rename_interval_s)  # a clock that was set back must not lock a name for days
    if wait_s > 0:
        raise IpcError("rename_too_soon", minutes=math.ceil(wait_s / 60), retry_after_s=wait_s)
    if found.waiting is not None:
        take_over_mail(batch, found.waiting, mailbox)
    give_name(state, mailbox, new, journal)
    state.names_version += 1
    journal.set(mailbox, "renamed_s", now_s)
    batch.store.save_mailbox(mailbox)
    drop_forward(state, batch.store, new, journal)  # one that is over, or the way back, which must not forward to itself
    begin_forward(batch, old, mailbox)
    follow(batch, old, new)
    tell_of_rename(batch, mailbox, f"📝 {old} renamed to {new}")
    batch.event("renamed", old=old, new=new)
    return {"message": f"Renamed {old} to {new}"}


def take_over_mail(batch: Batch, unclaimed: Mailbox, mailbox: Mailbox) -> None:
    """Move mail that waited for the new name to the mailbox that has it now."""
    ids = batch.store.queued_ids(unclaimed.id)
    if ids:  # a broadcast may have reached both, when the name was last held by someone
        both = set(ids) & set(batch.store.queued_ids(mailbox.id))
        ids = [i for i in ids if i not in both]
        batch.store.mark_read(unclaimed.id, sorted(both), batch.now.term_s)
    batch.store.move_mail(unclaimed.id, mailbox.id)
    hand_over_forwards(batch, unclaimed, mailbox)
    for token in unclaimed.ended:  # who has lost the name is told who has it now
        batch.journal.set(batch.state.sessions[token], "mailbox", mailbox)
        batch.store.save_session(batch.state.sessions[token])
    batch.journal.set(mailbox, "ended", (*unclaimed.ended, *mailbox.ended))
    batch.journal.set(unclaimed, "ended", ())
    drop_mailbox(batch.state, batch.store, unclaimed, batch.journal)
    batch.journal.set(mailbox, "queued", mailbox.queued + len(ids))
    batch.journal.set(mailbox, "overdue", NOT_SEARCHED)
    special = (mailbox.urgent, mailbox.later, mailbox.from_far), (unclaimed.urgent, unclaimed.later, unclaimed.from_far)
    for mine, theirs in zip(*special, strict=True):
        for message_id in theirs:
            batch.journal.add(mine, message_id)
    for message_id, due_s in unclaimed.quiet.items():
        batch.journal.put(mailbox.quiet, message_id, due_s)
        batch.journal.add(batch.state.quiet_boxes, mailbox.id)
    seen = [i for i in ids if i <= mailbox.cursor]
    batch.journal.set(mailbox, "returned", sorted([*mailbox.returned, *seen]))
    batch.wake(mailbox)


def whoami(batch: Batch, session: Session, _request: Incoming) -> dict[str, Any]:
    mailbox = session.mailbox
    return {"instance_id": mailbox.name, "queued": mailbox.queued, "registered_at": iso_term(batch, session.created_s)}
