"""Names and sessions: register, rename, whoami, and who a token belongs to."""

import hashlib
import hmac
import math
from datetime import datetime, timezone
from heapq import nsmallest
from typing import Any

from broker.core.batch import Incoming, Outgoing, Turn, act_as
from broker.core.notices import tell_of_rename
from broker.core.standing import Kind, Standing, enter, give_name, leave, set_claimed, standing
from broker.core.state import Forward, Journal, Mailbox, Session, State, Subscription, Watcher
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


def iso_term(turn: Turn, term_s: float) -> str:
    """The time of a term, or of what began one, by the wall clock as it is now."""
    return iso(term_s + turn.now.ahead_s)


def authenticate(turn: Turn, token: str | None) -> Session:
    """The session of a token; raises ``unauthorized``, ``session_replaced`` or ``session_expired``.

    Looked up by the SHA-256 of what was shown, so no token is ever compared: what a guesser could time is how hashes
    collide, and those can't be steered towards one that is not known.
    """
    session = turn.state.sessions.get(token_hash(token)) if isinstance(token, str) else None
    if session is None:
        raise IpcError("unauthorized")
    if session.replaced:
        raise IpcError("session_replaced", name=session.mailbox.name)
    if turn.now.due_s - session.last_seen_s > turn.settings.session_timeout_s:
        raise IpcError("session_expired")
    session.last_seen_s = session.mailbox.last_seen_s = turn.now.term_s
    turn.state.touched.add(session.mailbox.id)
    return session


def register(turn: Turn, _session: None, request: Incoming) -> dict[str, Any]:
    body = request.body
    name = body["instance_id"]
    found = wanted(turn, name)
    check_right_to_register(turn, request, name)
    if found.kind is Kind.FORWARDED and found.mailbox is not None:
        minutes = math.ceil((found.until_s - turn.now.due_s) / 60)
        raise IpcError("name_forwarding", name=name, target=found.mailbox.name, minutes=minutes)
    if found.kind is Kind.GROUP:
        raise IpcError("name_taken", name=name)
    if body.get("renews") is not None:
        check_renewal(turn, found, body["renews"])
    if found.kind is Kind.FREE:
        make_room(turn)
        drop_lapsed_forward(turn, name)
    mailbox = found.mailbox or found.waiting or new_mailbox(turn, name)
    replace_sessions(turn, mailbox)
    set_claimed(turn.state, mailbox, turn.journal, claimed=True)
    turn.state.names_version += 1
    turn.journal.set(mailbox, "last_seen_s", turn.now.term_s)
    turn.store.save_mailbox(mailbox)
    token = turn.make_token()
    session = Session(
        token_hash=token_hash(token),
        mailbox=mailbox,
        uid=body.get("peer_uid"),
        created_s=turn.now.term_s,
        last_seen_s=turn.now.term_s,
        tokens=float(turn.settings.rate_burst),
        refilled_s=turn.now.mono_s,
    )
    turn.journal.put(turn.state.sessions, session.token_hash, session)
    turn.journal.set(mailbox, "session", session)
    turn.store.save_session(session)
    turn.event("registered", name=name, uid=session.uid)
    queued = mailbox.queued
    text = f"Registered {name} with {queued} queued messages" if queued else f"Registered {name}"
    return {"session_token": token, "message": text, "queued": queued}


def check_renewal(turn: Turn, found: Standing, token: str) -> None:
    """Refuse to renew an ended session under a name that is another's by now."""
    ended = turn.state.sessions.get(token_hash(token))
    if found.mailbox is not None and (ended is None or ended.replaced or ended.mailbox is not found.mailbox):
        raise IpcError("name_taken", name=found.mailbox.name)


def check_right_to_register(turn: Turn, request: Incoming, name: str) -> None:
    """With a shared secret: proof of it. Without one: only the OS user who owns the service.

    A right proof is taken whatever others try: who could close this for all would need no secret.
    """
    secret = turn.settings.shared_secret
    if secret:
        wanted = hashlib.sha256(f"{name}:{secret}".encode()).hexdigest()
        given = str(request.body.get("auth_token") or "")
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            turn.event("auth_refused", name=name)
            raise IpcError("invalid_auth")
    elif request.body.get("peer_uid") is not None:
        turn.event("user_refused", name=name, uid=request.body["peer_uid"])
        raise IpcError("forbidden_user")


def check_bound(turn: Turn, session: Session | None, request: Incoming) -> None:
    """Raise ``key_bound`` where a request would act as, take or become another name than the one its key stands for.

    ``bound_name`` is set by a door that knows its client by a key. It only ever refuses, so nobody gains by setting it.
    """
    body, bound = request.body, request.body["bound_name"]
    names = [session.mailbox.name] if session is not None else []
    names += [body[field] for field in _NAMES_TAKEN.get(body["action"], ())]
    for name in names:
        if name != bound:
            turn.event("spoof_refused", who=str(bound), claimed=name[:64], action=body["action"])
            raise IpcError("key_bound", name=bound, claimed=name[:64])


def end_session(turn: Turn, _session: None, request: Incoming) -> dict[str, Any]:
    """End the session of a name for its owner's sake: whoever has its token can do no more with it."""
    mailbox = turn.state.mailboxes.get(request.body["name"])
    if mailbox is None or mailbox.session is None or mailbox.session.replaced:
        return {"ended": False}
    replace_sessions(turn, mailbox)
    turn.journal.set(mailbox, "session", None)
    return {"ended": True}


def wanted(turn: Turn, name: str) -> Standing:
    """A name that someone wants to have. Raises ``invalid_name`` or ``name_reserved`` where nobody can."""
    if not is_name(name):
        raise IpcError("invalid_name")
    found = standing(turn.state, name, turn.now.due_s)
    if found.kind is Kind.RESERVED:
        raise IpcError("name_reserved", name=name)
    return found


def known_mailbox(turn: Turn, name: str) -> Mailbox:
    """The mailbox that a name means, of those who are there or will be. Raises ``unknown_name``."""
    found = standing(turn.state, name, turn.now.due_s)
    mailbox = found.mailbox or found.waiting
    if mailbox is None:
        raise IpcError("unknown_name", name=name[:64], did_you_mean=resembling(turn, name, found))
    return mailbox


def resembling(turn: Turn, name: str, found: Standing) -> str | None:
    """What the writer of a free name probably meant: its agent's present name, or one that is typed nearly so."""
    return turn.state.nearby.miss(name) if found.formerly is None else found.formerly.name


def new_mailbox(turn: Turn, name: str, maker: int = 0) -> Mailbox:
    """A mailbox that nobody has yet. ``maker`` is the mailbox of the sender whose message makes it."""
    state = turn.state
    mailbox_id = state.last_mailbox_id + 1
    turn.journal.set(state, "last_mailbox_id", mailbox_id)
    mailbox = Mailbox(mailbox_id, name, claimed=False, created_s=turn.now.wall_s, last_seen_s=turn.now.term_s, maker=maker)
    enter(state, mailbox, turn.journal)
    turn.store.save_mailbox(mailbox)
    return mailbox


def make_room(turn: Turn) -> None:
    """Before a new name: where there are as many as there may be, those that are silent longest are nobody's any more.

    They have no mail and have been silent for as long as it takes to count as gone, or for a minute since they registered if
    they have done nothing else: those go first. Raises ``too_many_names`` without any.
    """
    state, limit, now = turn.state, turn.settings.name_limit, turn.now
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
        turn.event("name_released", name=mailbox.name)
        release_name(state, turn.store, mailbox, turn.journal)


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


def replace_sessions(turn: Turn, mailbox: Mailbox) -> None:
    """A name has one session. The earlier one is revoked and told, and what it held on lease is free at once."""
    if mailbox.session is not None:
        turn.journal.set(mailbox.session, "replaced", True)
        turn.store.save_session(mailbox.session)
        keep_ended(turn, mailbox, mailbox.session)
        turn.event("session_replaced", name=mailbox.name)
    told = IpcError("session_replaced", name=mailbox.name).to_wire()
    for waiter in (*mailbox.waiters, *mailbox.askers):
        turn.out.append(Outgoing(waiter.route, {"id": waiter.request_id, **told}))
    listeners: list[Subscription | Watcher] = list(mailbox.watchers)
    if mailbox.subscription is not None:
        listeners.append(mailbox.subscription)
    for listener in listeners:
        turn.out.append(Outgoing(listener.route, {"push": "session_replaced", "id": listener.request_id, **told}))
    for attribute, nobody in (("waiters", []), ("askers", []), ("watchers", []), ("subscription", None)):
        turn.journal.set(mailbox, attribute, nobody)
    turn.journal.set(mailbox, "reach", ())
    drop_claims(turn, mailbox)
    turn.state.return_leases(mailbox, list(mailbox.leased), turn.journal)


def keep_ended(turn: Turn, mailbox: Mailbox, session: Session) -> None:
    """Remember a replaced session, so that its holder is told; the oldest is forgotten."""
    if session.token_hash not in mailbox.ended:  # the owner may have ended it before
        turn.journal.set(mailbox, "ended", (*mailbox.ended, session.token_hash))
    for token in mailbox.ended[:-_ENDED_KEPT]:
        drop_session(turn.state, turn.store, turn.state.sessions[token], turn.journal)


def drop_claims(turn: Turn, mailbox: Mailbox) -> int:
    """Claims end with the session that made them; how many there were."""
    ids = [claim.id for claim in turn.state.claims.values() if claim.mailbox is mailbox]
    for claim_id in ids:
        turn.journal.drop(turn.state.claims, claim_id)
        turn.store.drop_claim(claim_id)
    return len(ids)


def drop_lapsed_forward(turn: Turn, name: str) -> None:
    """Someone takes the name: who had it before need not be known any more."""
    forward = turn.state.forwards.get(name)
    if forward is not None and forward.until_s <= turn.now.due_s:
        drop_forward(turn, name)


def drop_forward(turn: Turn, name: str) -> None:
    turn.journal.drop(turn.state.forwards, name)
    turn.store.drop_forward(name)


def rename(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "old_id")
    mailbox, state, journal, now_s = session.mailbox, turn.state, turn.journal, turn.now.term_s
    old, new = mailbox.name, request.body["new_id"]
    if new == old:  # also what a retry of a rename that worked looks like
        return {"message": f"Renamed {request.body.get('old_id') or old} to {new}"}
    found = wanted(turn, new)
    back = found.kind is Kind.FORWARDED and found.mailbox is mailbox
    if found.kind is not Kind.FREE and not back:
        raise IpcError("name_taken", name=new)
    wait_s = mailbox.renamed_s + turn.settings.rename_interval_s - now_s if mailbox.renamed_s else 0.0
    wait_s = min(wait_s, turn.settings.rename_interval_s)  # a clock that was set back must not lock a name for days
    if wait_s > 0:
        raise IpcError("rename_too_soon", minutes=math.ceil(wait_s / 60), retry_after_s=wait_s)
    if found.waiting is not None:
        take_over_mail(turn, found.waiting, mailbox)
    give_name(state, mailbox, new, journal)
    state.names_version += 1
    journal.set(mailbox, "renamed_s", now_s)
    turn.store.save_mailbox(mailbox)
    if new in state.forwards:  # lapsed, or the way back, which must not forward to itself
        drop_forward(turn, new)
    forward = Forward(mailbox, now_s + turn.settings.forward_s)
    journal.put(state.forwards, old, forward)
    turn.store.save_forward(old, forward)
    tell_of_rename(turn, mailbox, f"📝 {old} renamed to {new}")
    turn.event("renamed", old=old, new=new)
    return {"message": f"Renamed {old} to {new}"}


def take_over_mail(turn: Turn, unclaimed: Mailbox, mailbox: Mailbox) -> None:
    """Mail that waited for the new name before anyone had it belongs to its first holder."""
    ids = turn.store.queued_ids(unclaimed.id)
    if ids:  # a broadcast may have reached both, when the name was last held by someone
        both = set(ids) & set(turn.store.queued_ids(mailbox.id))
        ids = [i for i in ids if i not in both]
        turn.store.mark_read(unclaimed.id, sorted(both), turn.now.term_s)
    turn.store.move_mail(unclaimed.id, mailbox.id)
    drop_mailbox(turn.state, turn.store, unclaimed, turn.journal)
    turn.journal.set(mailbox, "queued", mailbox.queued + len(ids))
    for mine, theirs in ((mailbox.urgent, unclaimed.urgent), (mailbox.later, unclaimed.later)):
        for message_id in theirs:
            turn.journal.add(mine, message_id)
    seen = [i for i in ids if i <= mailbox.cursor]
    turn.journal.set(mailbox, "returned", sorted([*mailbox.returned, *seen]))
    turn.wake(mailbox)


def whoami(turn: Turn, session: Session, _request: Incoming) -> dict[str, Any]:
    mailbox = session.mailbox
    return {"instance_id": mailbox.name, "queued": mailbox.queued, "registered_at": iso_term(turn, session.created_s)}
