"""Sessions: who a token belongs to, who may register, and what becomes of a session that ends.

A name has one session. Whoever takes a name replaces the earlier session, which is told who has it now. When that needs
``force`` stands in ``broker.core.bodies``.
"""

import hashlib
import hmac
from typing import Any

from broker.core import permissions
from broker.core.batch import Batch, Incoming, Outgoing
from broker.core.bodies import replaced, who
from broker.core.claims import drop_claims
from broker.core.journal import Journal
from broker.core.leases import return_leases
from broker.core.standing import standing
from broker.core.state import Mailbox, Session, State, Subscription, Watcher
from broker.core.storage import Store
from broker.core.ways import disarm
from broker.protocol.errors import IpcError
from broker.protocol.ids import auth_token

_NAMES_TAKEN = {"register": ("instance_id",), "rename": ("new_id",), "group_create": ("group",)}
"""By action: the field that holds the name which the action takes."""
_ENDED_KEPT = 16
"""Replaced sessions of a name whose holders are told ``session_replaced``; older tokens are ``unauthorized``."""


def token_hash(token: str) -> bytes:
    """What is stored of a token. A plain hash does: the token has 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def authenticate(batch: Batch, token: str | None) -> Session:
    """The session of a token; raises ``unauthorized``, ``session_replaced``, ``session_ended`` or ``session_expired``.

    The look-up is by the token's SHA-256, so tokens are never compared: its timing tells a guesser nothing about a token.
    """
    session = batch.state.sessions.get(token_hash(token)) if isinstance(token, str) else None
    if session is None:
        raise IpcError("unauthorized")
    if session.replaced:
        raise replaced(batch, session.mailbox, session.mailbox.session)
    if batch.now.due_s - session.last_seen_s > batch.settings.session_timeout_s:
        raise IpcError("session_expired")
    session.last_seen_s = session.mailbox.last_seen_s = batch.now.term_s
    batch.state.touched.add(session.mailbox.id)
    return session


def act_as(batch: Batch, session: Session, request: Incoming, field_name: str) -> None:
    """Raise ``spoofed_sender`` where a request names another sender. One's old name passes while it forwards."""
    claimed = request.body.get(field_name)
    mailbox = session.mailbox
    if claimed is None or claimed == mailbox.name:
        return
    if isinstance(claimed, str) and standing(batch.state, claimed, batch.now.due_s).mailbox is mailbox:
        return
    batch.event("spoof_refused", who=mailbox.name, claimed=str(claimed)[:64], action=request.body.get("action"))
    raise IpcError("spoofed_sender", name=mailbox.name, claimed=str(claimed)[:64])


def check_right_to_register(batch: Batch, request: Incoming, name: str) -> None:
    """With a shared secret: proof of it. Without one: only the OS user who owns the service.

    A right proof always passes, however many wrong ones others show: nobody without the secret can close ``register``.
    """
    secret = batch.settings.shared_secret
    if secret:
        wanted = auth_token(name, secret)
        given = str(request.body.get("auth_token") or "")
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace")):
            batch.event("auth_refused", name=name)
            raise IpcError("invalid_auth")
    elif request.body.get("peer_uid") is not None:  # doors set it for a foreign user only
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
    """Called by the owner of the data folder; whoever holds the token is logged out."""
    mailbox = batch.state.mailboxes.get(request.body["name"])
    if mailbox is None or mailbox.session is None or mailbox.session.replaced:
        return {"ended": False}
    replace_sessions(batch, mailbox)
    return {"ended": True}


def replace_sessions(batch: Batch, mailbox: Mailbox, by: Session | None = None) -> None:
    """End the session of a name: its connections are told who has it now, its leases return, its claims end."""
    if mailbox.session is not None:
        permissions.end_of(batch, mailbox.session)
        batch.journal.set(mailbox.session, "replaced", True)
        batch.store.save_session(mailbox.session)
        keep_ended(batch, mailbox, mailbox.session)
        batch.event("session_replaced", name=mailbox.name, by=None if by is None else who(by.body))
    told = replaced(batch, mailbox, by).to_wire()
    for waiter in (*mailbox.waiters, *mailbox.askers):
        batch.out.append(Outgoing(waiter.route, {"id": waiter.request_id, **told}))
    listeners: list[Subscription | Watcher] = list(mailbox.watchers)
    if mailbox.subscription is not None:
        listeners.append(mailbox.subscription)
    for listener in listeners:
        batch.out.append(Outgoing(listener.route, {"push": "session_replaced", "id": listener.request_id, **told}))
    batch.journal.set(mailbox, "waiters", [])
    batch.journal.set(mailbox, "askers", [])
    batch.journal.set(mailbox, "watchers", [])
    batch.journal.set(mailbox, "subscription", None)
    disarm(batch, mailbox, lambda _way: True)
    batch.journal.set(mailbox, "reach", ())
    batch.journal.set(mailbox, "session", by)
    drop_claims(batch, mailbox)
    return_leases(mailbox, list(mailbox.leased), batch.journal)


def keep_ended(batch: Batch, mailbox: Mailbox, session: Session) -> None:
    """Remember a replaced session, so that its holder is told. The oldest of more than 16 is forgotten."""
    if session.token_hash not in mailbox.ended:  # the owner may have ended it before
        batch.journal.set(mailbox, "ended", (*mailbox.ended, session.token_hash))
    for token in mailbox.ended[:-_ENDED_KEPT]:
        drop_session(batch.state, batch.store, batch.state.sessions[token], batch.journal)


def drop_session(state: State, store: Store, session: Session, journal: Journal) -> None:
    """Forget a session; its token is unknown from now on."""
    mailbox = session.mailbox
    journal.drop(state.sessions, session.token_hash)
    store.drop_session(session.token_hash)
    if mailbox.session is session:
        journal.set(mailbox, "session", None)
    journal.set(mailbox, "ended", tuple(one for one in mailbox.ended if one != session.token_hash))
