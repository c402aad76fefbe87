"""Closed agents whose session mail may start again: the owner's door arms the way ``resume`` for them.

It does so with the senders that the owner named, and only their mail goes by that way (``broker.core.next_way``).
"""

from typing import Any

from broker.core import ways
from broker.core.batch import Batch, Incoming
from broker.core.bodies import connection_of, replaced
from broker.core.facts import Way
from broker.core.leases import note_use
from broker.core.sessions import token_hash
from broker.core.state import Session, Watcher
from broker.core.wakes import LOOK_S, armed
from broker.protocol.addresses import is_address
from broker.protocol.errors import IpcError
from broker.protocol.names import SYSTEM, is_name


def resume(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    """Arm the way for a closed agent, or disarm it (``senders`` empty). It is no sign of life of the agent."""
    body, session = request.body, session_of(batch, request.body["by"])
    mailbox, request_id = session.mailbox, body.get("id")
    senders, after = tuple(body["senders"]), read_number(body.get("after"))
    if not all(isinstance(name, str) and (is_name(name) or is_address(name)) and name.lower() != SYSTEM for name in senders):
        raise IpcError("bad_request", detail="senders is a list of person, names, and NAME@SITE")
    route, client = connection_of(request)
    note_use(batch.state, route, mailbox)
    ours = {way.request_id for way in mailbox.waking.ways if way.name == ways.RESUME and way.route == route}
    others = [w for w in mailbox.watchers if w.route != route or w.request_id not in ours]
    batch.journal.set(mailbox, "watchers", others)
    ways.disarm(batch, mailbox, lambda way: way.route == route and way.request_id in ours)
    if not senders:
        return {"instance_id": mailbox.name, "armed": []}
    batch.journal.set(mailbox, "watchers", [*others, Watcher(route, request_id, session, client, resumes=True)])
    look_s = float(body.get("look_s") or LOOK_S)
    way = Way(ways.RESUME, route, request_id, look_s, ways.Is.OFF, batch.now.term_s, senders=senders, after=after)
    held = ways.arm(batch, mailbox, [way])
    if held:
        armed(batch, mailbox)
    if mailbox.waking.called == ways.RESUME and mailbox.waking.answered:  # nothing runs: the start that was tried is over
        ways.keep(batch, mailbox, mailbox.waking._replace(until_s=0.0))
        ways.go_on_at(batch, mailbox, batch.now.mono_s)
    return {"instance_id": mailbox.name, "armed": held}


def read_number(text: str | None) -> int:
    """The number of a message; 0 for none."""
    if text is not None and not text.isdecimal():
        raise IpcError("bad_request", detail="after is the number of a message")
    return int(text or 0)


def session_of(batch: Batch, token: str) -> Session:
    """The session of a token, which is not used by this. Raises ``unauthorized``, ``session_replaced``, ``session_expired``."""
    session = batch.state.sessions.get(token_hash(token))
    if session is None:
        raise IpcError("unauthorized")
    if session.replaced:
        raise replaced(batch, session.mailbox, session.mailbox.session)
    if batch.now.due_s - session.last_seen_s > batch.settings.session_timeout_s:
        raise IpcError("session_expired")
    return session
