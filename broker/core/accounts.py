"""Names and sessions: register, rename, whoami, and who a token belongs to."""

import hashlib
import hmac
import math
from datetime import datetime, timezone
from heapq import nsmallest
from typing import Any

from broker.core.batch import Batch, Incoming, Outgoing, act_as
from broker.core.journal import Journal
from broker.core.notices import tell_of_rename
from broker.core.standing import Kind, Standing, enter, give_name, leave, set_claimed, standing
from broker.core.state import Mailbox, NameForward, Session, State, Subscription, Watcher
from broker.core.storage import Store
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name

_NAMES_TAKEN = {"register": ("instance_id",), "rename": ("new_id",), "group_create": ("group",)}
"""The fields by which a request makes a name its own."""
_ENDED_KEPT = 16
"""Replaced sessions of a name that are told so; an older one's token is unknown."""
_CROWDED_S = 1.0
_UNUSED_S = 60.0
GONE_AFTER_S = 15 * 60.0
"""Without a request or an open connection for so long, an agent counts as gone."""


def token_hash(token: str) -> bytes:
    """What is stored of a token. It has 256 random bits, so a plain hash can't be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def iso(unix_s: float) -> str:
    """UTC, ISO 8601 with microseconds and +00:00, which Python 3.8's fromisoformat reads too."""
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="microseconds")


def iso_term(batch: Batch, term_s: float) -> str:
    """The time of a term, or of what began one, by the wall clock as it is now."""
    return iso(term_s + batch.now.ahead_s)


def authenticate(batch: Batch, token: str | None) -> Session:
    """The session of a token; raises ``unauthorized``, ``session_replaced`` or ``session_expired``.

    Looked up by the SHA-256 of what was shown, so no token is ever compared: what a guesser could time is how hashes
    collide, and those can't be steered towards one that is not known.
    """
    session = batch.state.sessions.get(token_hash(token)) if isinstance(token, str) else None
    if session is None:
        raise IpcError("unauthorized")
    if session.replaced:
        raise IpcError("session_replaced", name=session.mailbox.name)
    if batch.now.due_s - session.last_seen_s > batch.settings.session_timeout_s:
        raise IpcError("session_expired")
    session.last_seen_s = session.mailbox.last_seen_s = batch.now.term_s
    batch.state.touched.add(session.mailbox.id)
    return session


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
    if found.kind is Kind.FREE:
        make_room(batch)
        drop_lapsed_forward(batch, name)
    mailbox = found.mailbox or found.waiting or new_mailbox(batch, name)
    replace_sessions(batch, mailbox)
    set_claimed(batch.state, mailbox, batch.journal, claimed=True)
    batch.state.names_version += 1
    batch.journal.set(mailbox, "last_seen_s", batch.now.term_s)
    batch.store.save_mailbox(mailbox)
    token = batch.make_token()
    session = Session(
        token_hash=token_hash(token),
        mailbox=mailbox,
        uid=body.get("peer_uid"),
        created_s=batch.now.term_s,
        last_seen_s=batch.now.term_s,
        tokens=float(batch.settings.rate_burst),
        refilled_s=batch.now.mono_s,
    )
    batch.journal.put(batch.state.sessions, session.token_hash, session)
    batch.journal.set(mailbox, "session", session)
    batch.store.save_session(session)
    batch.event("registered", name=name, uid=session.uid)
    queued = mailbox.queued
    text = f"Registered {name} with {queued} queued messages" if queued else f"Registered {name}"
    return {"session_token": token, "message": text, "queued": queued}


def check_renewal(batch: Batch, found: Standing, token: str) -> None:
    """Refuse to renew an ended session under a name that is another's by now."""
    ended = batch.state.sessions.get(token_hash(token))
    if found.mailbox is not None and (ended is None or ended.replaced or ended.mailbox is not found.mailbox):
        raise IpcError("name_taken", name=found.mailbox.name)


def check_right_to_register(batch: Batch, request: Incoming, name: str) -> None:
    """With a shared secret: proof of it. Without one: only the OS user who owns the service.

    A right proof is taken whatever others try: who could close this for all would need no secret.
    """
    secret = batch.settings.shared_secret
    if secret:
        wanted = hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()
        given = str(request.body.get("auth_token") or "")
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            batch.event("auth_refused", name=name)
            raise IpcError("invalid_auth")
    elif request.body.get("peer_uid") is not None:
        batch.event("user_refused", name=name, uid=request.body["peer_uid"])
        raise IpcError("forbidden_user")


def check_bound(batch: Batch, session: Session | None, request: Incoming) -> None:
    """Raise ``key_bound`` where a request would act as, take or become another name than the one its key stands for.

    ``bound_name`` is set by a door that knows its client by a key. It only ever refuses, so nobody gains by setting it.
    """
    body, bound = request.body, request.body["bound_name"]
    names = [session.mailbox.name] if session is not None else []
    names += [body[field] for field in _NAMES_TAKEN.get(body["action"], ())]
    for name in names:
        if name != bound:
            batch.event("spoof_refused", who=str(bound), claimed=name[:64], action=body["action"])
            raise IpcError("key_bound", name=bound, claimed=name[:64])


def end_session(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    """End the session of a name for its owner's sake: whoever has its token can do no more with it."""
    mailbox = batch.state.mailboxes.get(request.body["name"])
    if mailbox is None or mailbox.session is None or mailbox.session.replaced:
        return {"ended": False}
    replace_sessions(batch, mailbox)
    batch.journal.set(mailbox, "session", None)
    return {"ended": True}


def wanted(batch: Batch, name: str) -> Standing:
    """A name that someone wants to have. Raises ``invalid_name`` or ``name_reserved`` where nobody can."""
    if not is_name(name):
        raise IpcError("invalid_name")
    found = standing(batch.state, name, batch.now.due_s)
    if found.kind is Kind.RESERVED:
        raise IpcError("name_reserved", name=name)
    return found


def known_mailbox(batch: Batch, name: str) -> Mailbox:
    """The mailbox that a name means, of those who are there or will be. Raises ``unknown_name``."""
    found = standing(batch.state, name, batch.now.due_s)
    mailbox = found.mailbox or found.waiting
    if mailbox is None:
        raise IpcError("unknown_name", name=name[:64], did_you_mean=resembling(batch, name, found))
    return mailbox


def resembling(batch: Batch, name: str, found: Standing) -> str | None:
    """What the writer of a free name probably meant: its agent's present name, or one that is typed nearly so."""
    return batch.state.nearby.miss(name) if found.formerly is None else found.formerly.name


def new_mailbox(batch: Batch, name: str, maker: int = 0) -> Mailbox:
    """A mailbox that nobody has yet. ``maker`` is the mailbox of the sender whose message makes it."""
    state = batch.state
    mailbox_id = state.last_mailbox_id + 1
    batch.journal.set(state, "last_mailbox_id", mailbox_id)
    mailbox = Mailbox(mailbox_id, name, claimed=False, created_s=batch.now.wall_s, last_seen_s=batch.now.term_s, maker=maker)
    enter(state, mailbox, batch.journal)
    batch.store.save_mailbox(mailbox)
    return mailbox


def make_room(batch: Batch) -> None:
    """Before a new name: where there are as many as there may be, those that are silent longest are nobody's any more.

    They have no mail and have been silent for as long as it takes to count as gone, or for a minute since they registered if
    they have done nothing else: those go first. Raises ``too_many_names`` without any.
    """
    state, limit, now = batch.state, batch.settings.name_limit, batch.now
    if state.registered < limit:
        return
    silent: list[Mailbox] = []
    if now.mono_s >= state.crowded_s:
        quiet = (m for m in state.by_id.values() if m.claimed and not m.queued and not m.awaited)
        silent = [m for m in quiet if now.due_s - m.last_seen_s > (GONE_AFTER_S if used(m) else _UNUSED_S)]
    if not silent:
        state.crowded_s = max(state.crowded_s, now.mono_s + _CROWDED_S)
        raise IpcError("too_many_names", limit=limit)
    for mailbox in nsmallest(max(1, limit // 100), silent, key=lambda m: (used(m), m.last_seen_s)):
        batch.event("name_released", name=mailbox.name)
        release_name(state, batch.store, mailbox, batch.journal)


def used(mailbox: Mailbox) -> bool:
    """Whether its session has done anything since it was registered."""
    return mailbox.session is not None and mailbox.session.last_seen_s > mailbox.session.created_s


def release_name(state: State, store: Store, mailbox: Mailbox, journal: Journal) -> None:
    """A name is nobody's any more: its sessions end, its mail stays for the next who takes it."""
    for token in (*mailbox.ended, *([mailbox.session.token_hash] if mailbox.session is not None else [])):
        drop_session(state, store, state.sessions[token], journal)
    set_claimed(state, mailbox, journal, claimed=False)
    store.save_mailbox(mailbox)


def drop_session(state: State, store: Store, session: Session, journal: Journal) -> None:
    """Forget a session; its token is unknown from now on."""
    mailbox = session.mailbox
    journal.drop(state.sessions, session.token_hash)
    store.drop_session(session.token_hash)
    if mailbox.session is session:
        journal.set(mailbox, "session", None)
    journal.set(mailbox, "ended", tuple(one for one in mailbox.ended if one != session.token_hash))


def drop_mailbox(state: State, store: Store, mailbox: Mailbox, journal: Journal) -> None:
    leave(state, mailbox, journal)
    store.drop_mailbox(mailbox.id)


def replace_sessions(batch: Batch, mailbox: Mailbox) -> None:
    """A name has one session. The earlier one is revoked and told, and what it held on lease is free at once."""
    if mailbox.session is not None:
        batch.journal.set(mailbox.session, "replaced", True)
        batch.store.save_session(mailbox.session)
        keep_ended(batch, mailbox, mailbox.session)
        batch.event("session_replaced", name=mailbox.name)
    told = IpcError("session_replaced", name=mailbox.name).to_wire()
    for waiter in (*mailbox.waiters, *mailbox.askers):
        batch.out.append(Outgoing(waiter.route, {"id": waiter.request_id, **told}))
    listeners: list[Subscription | Watcher] = list(mailbox.watchers)
    if mailbox.subscription is not None:
        listeners.append(mailbox.subscription)
    for listener in listeners:
        batch.out.append(Outgoing(listener.route, {"push": "session_replaced", "id": listener.request_id, **told}))
    for attribute, nobody in (("waiters", []), ("askers", []), ("watchers", []), ("subscription", None)):
        batch.journal.set(mailbox, attribute, nobody)
    batch.journal.set(mailbox, "reach", ())
    drop_claims(batch, mailbox)
    batch.state.return_leases(mailbox, list(mailbox.leased), batch.journal)


def keep_ended(batch: Batch, mailbox: Mailbox, session: Session) -> None:
    """Remember a replaced session, so that its holder is told; the oldest is forgotten."""
    if session.token_hash not in mailbox.ended:  # the owner may have ended it before
        batch.journal.set(mailbox, "ended", (*mailbox.ended, session.token_hash))
    for token in mailbox.ended[:-_ENDED_KEPT]:
        drop_session(batch.state, batch.store, batch.state.sessions[token], batch.journal)


def drop_claims(batch: Batch, mailbox: Mailbox) -> int:
    """Claims end with the session that made them; how many there were."""
    ids = [claim.id for claim in batch.state.claims.values() if claim.mailbox is mailbox]
    for claim_id in ids:
        batch.journal.drop(batch.state.claims, claim_id)
        batch.store.drop_claim(claim_id)
    return len(ids)


def drop_lapsed_forward(batch: Batch, name: str) -> None:
    """Someone takes the name: who had it before need not be known any more."""
    forward = batch.state.forwards.get(name)
    if forward is not None and forward.until_s <= batch.now.due_s:
        drop_forward(batch, name)


def drop_forward(batch: Batch, name: str) -> None:
    batch.journal.drop(batch.state.forwards, name)
    batch.store.drop_forward(name)


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
    if new in state.forwards:  # lapsed, or the way back, which must not forward to itself
        drop_forward(batch, new)
    forward = NameForward(mailbox, now_s + batch.settings.forward_s)
    journal.put(state.forwards, old, forward)
    batch.store.save_forward(old, forward)
    tell_of_rename(batch, mailbox, f"📝 {old} renamed to {new}")
    batch.event("renamed", old=old, new=new)
    return {"message": f"Renamed {old} to {new}"}


def take_over_mail(batch: Batch, unclaimed: Mailbox, mailbox: Mailbox) -> None:
    """Mail that waited for the new name before anyone had it belongs to its first holder."""
    ids = batch.store.queued_ids(unclaimed.id)
    if ids:  # a broadcast may have reached both, when the name was last held by someone
        both = set(ids) & set(batch.store.queued_ids(mailbox.id))
        ids = [i for i in ids if i not in both]
        batch.store.mark_read(unclaimed.id, sorted(both), batch.now.term_s)
    batch.store.move_mail(unclaimed.id, mailbox.id)
    drop_mailbox(batch.state, batch.store, unclaimed, batch.journal)
    batch.journal.set(mailbox, "queued", mailbox.queued + len(ids))
    for mine, theirs in ((mailbox.urgent, unclaimed.urgent), (mailbox.later, unclaimed.later)):
        for message_id in theirs:
            batch.journal.add(mine, message_id)
    seen = [i for i in ids if i <= mailbox.cursor]
    batch.journal.set(mailbox, "returned", sorted([*mailbox.returned, *seen]))
    batch.wake(mailbox)


def whoami(batch: Batch, session: Session, _request: Incoming) -> dict[str, Any]:
    mailbox = session.mailbox
    return {"instance_id": mailbox.name, "queued": mailbox.queued, "registered_at": iso_term(batch, session.created_s)}
