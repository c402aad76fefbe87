"""Prompts of agents' hosts, which the person answers here in place of the host's terminal.

    permission_ask --> waits --permission_decide--> decided, remembered for a while
                         |
                         +-- its time is over, its connection or session ends, the agent goes on --> gone, undecided

Theory of operation. An entry is in memory alone, so a broker that dies answers nobody, and its ids mean nothing to the next.
One request waits for an entry: asked again, the newer one waits and the older is told ``none``. An entry is decided once, by
the owner, and only while somebody waits; each other end is ``none``, upon which a hook says nothing and its host goes on as it
does without us. The same call asked again gets what was decided. A call is the same only with session, key, tool and input.
"""

import hashlib
from math import inf
from typing import Any

from broker.core.batch import Batch, Incoming, Outgoing
from broker.core.state import Mailbox, Permission, Route, Session, State
from broker.core.values import iso, iso_term
from broker.protocol.errors import IpcError

CHORE = "permissions"
AGENT_LIMIT = 16
"""Prompts of one agent that may wait."""
LIMIT = 256
"""Prompts of all agents that may wait, and decisions that are remembered."""
REMEMBERED_S = 600.0
"""Seconds for which a decision is known to those who ask again."""
_TURN = ("turn_began", "turn_ended", "failed")
_SESSION = ("began", "ended")
"""Events of an agent after which its host waits for no permission; after those of a turn its subagents' prompts may wait on."""
_ID_LENGTH = 10


def ask(batch: Batch, session: Session, request: Incoming) -> dict[str, Any] | None:
    body, state = request.body, batch.state
    call, tool, shown = body["call"], body["tool"], body["shown"]
    known = next(
        (p for p in state.permissions.values() if (p.session, p.call, p.tool, p.shown) == (session, call, tool, shown)), None
    )
    if known is not None and known.decision:
        return {"decision": known.decision}
    wait_s = body.get("wait_s") or 0
    if not wait_s:
        return {"decision": "none"}
    if known is None:
        _check_room(batch, session)
        batch.event("permission_asked", name=session.mailbox.name, tool=tool)
        mark, beside = body.get("input") or "", bool(body.get("beside"))
        asked = Permission(_new_id(batch), session, call, tool, shown, mark, batch.now.term_s, 0.0, b"", None, beside)
    else:
        _answer(batch, known, "none")
        asked = known
    until_s = batch.now.mono_s + wait_s
    batch.journal.put(
        state.permissions, asked.id, asked._replace(until_s=until_s, route=request.route, request_id=body.get("id"))
    )
    batch.chore_at(CHORE, until_s)
    return None


def _check_room(batch: Batch, session: Session) -> None:
    waiting = [p for p in batch.state.permissions.values() if not p.decision]
    if sum(p.session is session for p in waiting) >= AGENT_LIMIT:
        raise IpcError("permissions_full", limit=AGENT_LIMIT, whose="of this agent")
    if len(waiting) >= LIMIT:
        raise IpcError("permissions_full", limit=LIMIT, whose="of all agents")


def _new_id(batch: Batch) -> str:
    """Not a number: a decision that was meant for the broker before must find nothing here."""
    while (new := hashlib.sha256(batch.make_token().encode()).hexdigest()[:_ID_LENGTH]) in batch.state.permissions:
        pass
    return new


def decide(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    permission_id, decision = request.body["permission_id"], request.body["decision"]
    if not batch.may_decide(request.route):
        batch.event("permission_refused", permission=permission_id)
        raise IpcError("not_a_person")
    asked = batch.state.permissions.get(permission_id)
    if asked is None or asked.decision or asked.until_s <= batch.now.mono_s:
        raise IpcError("permission_over", id=permission_id)
    forgotten_s = batch.now.mono_s + REMEMBERED_S
    batch.journal.put(batch.state.permissions, asked.id, asked._replace(decision=decision, until_s=forgotten_s))
    batch.chore_at(CHORE, forgotten_s)
    _answer(batch, asked, decision)
    for old in [p for p in batch.state.permissions.values() if p.decision][:-LIMIT]:
        batch.journal.drop(batch.state.permissions, old.id)
    name = asked.session.mailbox.name
    batch.event("permission_decided", name=name, permission=asked.id, tool=asked.tool, decision=decision)
    return {"decided": decision, "name": name, "tool": asked.tool}


def rows(batch: Batch) -> list[dict[str, Any]]:
    """Those that wait, the oldest first, as ``overview`` has them."""
    now = batch.now
    return [
        {
            "id": p.id,
            "name": p.session.mailbox.name,
            "host": p.session.body.host if p.session.body is not None else "",
            "tool": p.tool,
            "shown": p.shown,
            "asked_at": iso_term(batch, p.asked_s),
            "until": iso(now.wall_s + p.until_s - now.mono_s),
        }
        for p in batch.state.permissions.values()
        if not p.decision and p.until_s > now.mono_s
    ]


def went_on(batch: Batch, mailbox: Mailbox, event: str, ended: str) -> None:
    """A hook tells of its host: a prompt is over if the turn that it is of is over, or if the call itself has ended."""
    if not batch.state.permissions:
        return
    for p in [p for p in batch.state.permissions.values() if p.session.mailbox is mailbox and not p.decision]:
        if event in _SESSION or (event in _TURN and not p.beside) or (ended and ended == p.input):
            _end(batch, p)


def end_of(batch: Batch, session: Session) -> None:
    """A session ends, and with it all that it asked and was told."""
    for p in [p for p in batch.state.permissions.values() if p.session is session]:
        _end(batch, p)


def end_lapsed(batch: Batch) -> float:
    """The chore: drop what nobody waits for any more, and decisions of long ago."""
    for p in list(batch.state.permissions.values()):
        if p.until_s <= batch.now.mono_s:
            _end(batch, p)
    return min((p.until_s for p in batch.state.permissions.values()), default=inf)


def leave(state: State, route: Route) -> None:
    """A connection has ended: what waits there can't be decided from now on. Call it between batches."""
    for p in list(state.permissions.values()):
        if p.route == route and not p.decision:
            state.permissions[p.id] = p._replace(route=b"", until_s=0.0)
            state.chore_at(CHORE, 0.0)


def _end(batch: Batch, asked: Permission) -> None:
    batch.journal.drop(batch.state.permissions, asked.id)
    if not asked.decision:
        _answer(batch, asked, "none")


def _answer(batch: Batch, asked: Permission, decision: str) -> None:
    if asked.route:
        batch.out.append(Outgoing(asked.route, {"id": asked.request_id, "status": "ok", "decision": decision}))
