"""Names and sessions: register, rename, whoami, and who a token belongs to."""

import hashlib
import hmac
import math
from datetime import datetime, timezone
from typing import Any

import msgpack

from broker.core.port import NewMessage
from broker.core.state import Forward, Mailbox, Session, Subscription, Watcher
from broker.core.turn import Incoming, Outgoing, Turn, act_as
from broker.errors import IpcError
from broker.names import SYSTEM, is_name

_NAMES_TAKEN = {"register": ("instance_id",), "rename": ("new_id",)}
"""The fields by which a request makes a name its own."""


def token_hash(token: str) -> bytes:
    """What is stored of a token. It has 256 random bits, so a plain hash can't be guessed back."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def iso(unix_s: float) -> str:
    """UTC, ISO 8601 with microseconds and +00:00, which Python 3.8's fromisoformat reads too."""
    return datetime.fromtimestamp(unix_s, timezone.utc).isoformat(timespec="microseconds")


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
    now_s = turn.now.wall_s
    if now_s - session.last_seen_s > turn.settings.session_timeout_s:
        raise IpcError("session_expired")
    session.last_seen_s = session.mailbox.last_seen_s = now_s
    turn.state.touched.add(session.mailbox.id)
    return session


def register(turn: Turn, _session: None, request: Incoming) -> dict[str, Any]:
    body = request.body
    name = body["instance_id"]
    if not is_name(name):
        raise IpcError("invalid_name")
    if name.lower() == SYSTEM:
        raise IpcError("name_reserved", name=name)
    check_right_to_register(turn, request, name)
    drop_lapsed_forward(turn, name)
    forward = turn.state.forwards.get(name)
    if forward is not None:
        minutes = math.ceil((forward.until_s - turn.now.wall_s) / 60)
        raise IpcError("name_forwarding", name=name, target=forward.mailbox.name, minutes=minutes)
    if name in turn.state.groups:
        raise IpcError("name_taken", name=name)
    if body.get("renews") is not None:
        check_renewal(turn, name, body["renews"])
    mailbox = turn.state.mailboxes.get(name) or new_mailbox(turn, name)
    replace_sessions(turn, mailbox)
    turn.journal.set(mailbox, "claimed", True)
    turn.state.names_version += 1
    turn.journal.set(mailbox, "last_seen_s", turn.now.wall_s)
    turn.store.save_mailbox(mailbox)
    token = turn.make_token()
    session = Session(
        token_hash=token_hash(token),
        mailbox=mailbox,
        uid=body.get("peer_uid"),
        created_s=turn.now.wall_s,
        last_seen_s=turn.now.wall_s,
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


def check_renewal(turn: Turn, name: str, token: str) -> None:
    """Refuse to renew an ended session under a name that is another's by now."""
    mailbox, ended = turn.state.mailboxes.get(name), turn.state.sessions.get(token_hash(token))
    free = mailbox is None or not mailbox.claimed
    if not free and (ended is None or ended.replaced or ended.mailbox is not mailbox):
        raise IpcError("name_taken", name=name)


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


def new_mailbox(turn: Turn, name: str) -> Mailbox:
    state = turn.state
    mailbox_id = state.last_mailbox_id + 1
    turn.journal.set(state, "last_mailbox_id", mailbox_id)
    mailbox = Mailbox(mailbox_id, name, claimed=False, created_s=turn.now.wall_s, last_seen_s=turn.now.wall_s)
    turn.journal.put(state.mailboxes, name, mailbox)
    turn.journal.put(state.by_id, mailbox_id, mailbox)
    turn.store.save_mailbox(mailbox)
    return mailbox


def replace_sessions(turn: Turn, mailbox: Mailbox) -> None:
    """A name has one session. The earlier one is revoked and told, and what it held on lease is free at once."""
    if mailbox.session is not None:
        turn.journal.set(mailbox.session, "replaced", True)
        turn.store.save_session(mailbox.session)
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


def drop_claims(turn: Turn, mailbox: Mailbox) -> int:
    """Claims end with the session that made them; how many there were."""
    ids = [claim.id for claim in turn.state.claims.values() if claim.mailbox is mailbox]
    for claim_id in ids:
        turn.journal.drop(turn.state.claims, claim_id)
        turn.store.drop_claim(claim_id)
    return len(ids)


def drop_lapsed_forward(turn: Turn, name: str) -> None:
    forward = turn.state.forwards.get(name)
    if forward is not None and forward.until_s <= turn.now.wall_s:
        turn.journal.drop(turn.state.forwards, name)
        turn.store.drop_forward(name)


def rename(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "old_id")
    mailbox, state, journal, now_s = session.mailbox, turn.state, turn.journal, turn.now.wall_s
    old, new = mailbox.name, request.body["new_id"]
    if not is_name(new):
        raise IpcError("invalid_name")
    if new.lower() == SYSTEM:
        raise IpcError("name_reserved", name=new)
    if new == old:  # also what a retry of a rename that worked looks like
        return {"message": f"Renamed {request.body.get('old_id') or old} to {new}"}
    drop_lapsed_forward(turn, new)
    taken = state.mailboxes.get(new)
    forward = state.forwards.get(new)
    if new in state.groups or (taken is not None and taken.claimed) or (forward is not None and forward.mailbox is not mailbox):
        raise IpcError("name_taken", name=new)
    wait_s = mailbox.renamed_s + turn.settings.rename_interval_s - now_s if mailbox.renamed_s else 0.0
    wait_s = min(wait_s, turn.settings.rename_interval_s)  # a clock that was set back must not lock a name for days
    if wait_s > 0:
        raise IpcError("rename_too_soon", minutes=math.ceil(wait_s / 60), retry_after_s=wait_s)
    if taken is not None:
        take_over_mail(turn, taken, mailbox)
    journal.drop(state.mailboxes, old)
    journal.put(state.mailboxes, new, mailbox)
    journal.set(mailbox, "name", new)
    state.names_version += 1
    journal.set(mailbox, "renamed_s", now_s)
    turn.store.save_mailbox(mailbox)
    if forward is not None:  # back to a name it had: the way back must not forward to itself
        journal.drop(state.forwards, new)
        turn.store.drop_forward(new)
    back = Forward(mailbox, now_s + turn.settings.forward_s)
    journal.put(state.forwards, old, back)
    turn.store.save_forward(old, back)
    notify_all(turn, mailbox, f"📝 {old} renamed to {new}")
    turn.event("renamed", old=old, new=new)
    return {"message": f"Renamed {old} to {new}"}


def take_over_mail(turn: Turn, unclaimed: Mailbox, mailbox: Mailbox) -> None:
    """Mail that waited for the new name before anyone had it belongs to its first holder."""
    ids = turn.store.queued_ids(unclaimed.id)
    if ids:  # a broadcast may have reached both, when the name was last held by someone
        both = set(ids) & set(turn.store.queued_ids(mailbox.id))
        ids = [i for i in ids if i not in both]
        turn.store.mark_read(unclaimed.id, sorted(both), turn.now.wall_s)
    turn.store.move_mail(unclaimed.id, mailbox.id)
    turn.store.drop_mailbox(unclaimed.id)
    turn.journal.drop(turn.state.by_id, unclaimed.id)
    turn.journal.drop(turn.state.mailboxes, unclaimed.name)
    turn.journal.set(mailbox, "queued", mailbox.queued + len(ids))
    for mine, theirs in ((mailbox.urgent, unclaimed.urgent), (mailbox.later, unclaimed.later)):
        for message_id in theirs:
            turn.journal.add(mine, message_id)
    seen = [i for i in ids if i <= mailbox.cursor]
    turn.journal.set(mailbox, "returned", sorted([*mailbox.returned, *seen]))
    turn.wake(mailbox)


def notify_all(turn: Turn, about: Mailbox | None, text: str) -> None:
    """A notice from ``system`` to every registered instance but the one it is about, if it is about one."""
    notify(turn, [m for m in turn.state.mailboxes.values() if m.claimed and m is not about], text)


def notify(turn: Turn, to: list[Mailbox], text: str) -> None:
    """A notice from ``system``."""
    if not to:
        return
    message_id = turn.state.last_message_id + 1
    turn.journal.set(turn.state, "last_message_id", message_id)
    now_s = turn.now.wall_s
    expires_s = now_s + turn.settings.unread_ttl_s
    to_id, extra = (to[0].id, None) if len(to) == 1 else (None, msgpack.packb({"to": [m.id for m in to]}))
    notice = NewMessage(
        message_id, 0, SYSTEM, None, now_s, expires_s, text, None, None, len(to), None, None, None, to_id=to_id, extra=extra
    )
    turn.store.add_message(notice, [m.id for m in to])
    for mailbox in to:
        turn.journal.set(mailbox, "queued", mailbox.queued + 1)
        turn.wake(mailbox)
        if mailbox.watchers:
            turn.note_arrival(mailbox, SYSTEM, notice.land)


def whoami(_turn: Turn, session: Session, _request: Incoming) -> dict[str, Any]:
    mailbox = session.mailbox
    return {"instance_id": mailbox.name, "queued": mailbox.queued, "registered_at": iso(session.created_s)}
