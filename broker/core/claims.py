"""Claims: advisory leases on files or anything that has a name.

    claim --> held --(holder claims again)--> held, renewed
               |
               +-- claim_release, its time is over, or its holder's session ends --> gone

A claim that overlaps another's is refused with its holder. One that overlaps a claim at another site is not: what is known of
those is a hint, which the reply names as ``elsewhere``. Patterns overlap when some name matches both (broker.core.globs).
"""

from math import inf
from typing import Any

from broker.core import site_table
from broker.core.agent_watches import happened
from broker.core.batch import Batch, Incoming
from broker.core.globs import overlapping, prepare
from broker.core.looks import PROCESS_S, look
from broker.core.state import Claim, Mailbox, Session
from broker.core.values import iso_term
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError


def drop_claims(batch: Batch, mailbox: Mailbox) -> int:
    """End the claims of a session that ends; how many there were."""
    mine = [claim for claim in batch.state.claims.values() if claim.mailbox is mailbox]
    for one in mine:
        _drop(batch, one)
    return len(mine)


def _drop(batch: Batch, held: Claim) -> None:
    batch.journal.drop(batch.state.claims, held.id)
    batch.store.drop_claim(held.id)
    happened(batch, held.mailbox, "releases", held.resource)


DEFAULT_TTL_S: float = ACTIONS["claim"].field("ttl_s").default
_ELSEWHERE = 3
"""Claims at other sites that the reply to a claim names."""
_SESSIONS = 10
"""There may be ten times ``claim_limit`` claims: a request looks at all of them."""


def claim(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    body, state, mailbox, now_s = request.body, batch.state, session.mailbox, batch.now.term_s
    drop_lapsed(batch)
    resource = body["resource"]
    mine = [c for c in state.claims.values() if c.mailbox is mailbox]
    same = next((c for c in mine if c.resource == resource), None)
    others = [c for c in state.claims.values() if c.mailbox is not mailbox]
    for other in among(others, resource)[:1]:
        raise IpcError(
            "claim_conflict",
            holder=other.mailbox.name,
            resource=other.resource,
            since=iso_term(batch, other.since_s),
            until=iso_term(batch, other.until_s),
            note=other.note,
            retry_after_s=other.until_s - now_s,
        )
    limit = batch.settings.claim_limit
    if same is None and len(mine) >= limit:
        raise IpcError("too_many_claims", limit=limit)
    if same is None and len(others) >= limit * _SESSIONS:
        raise IpcError("claims_full", limit=limit * _SESSIONS)
    if same is None:
        batch.journal.set(state, "last_claim_id", state.last_claim_id + 1)
    note = body.get("note") if body.get("note") is not None else (same.note if same else "")
    held = Claim(
        same.id if same else state.last_claim_id,
        mailbox,
        resource,
        same.since_s if same else now_s,
        now_s + (body.get("ttl_s") or DEFAULT_TTL_S),
        str(note),
    )
    prepare(resource)
    if same is None:
        happened(batch, mailbox, "claims", resource)
    look(batch, mailbox, PROCESS_S)
    batch.chore_at("claims", batch.now.mono_s + held.until_s - now_s)
    batch.journal.put(state.claims, held.id, held)
    batch.store.save_claim(held)
    claimed = {"resource": resource, "since": iso_term(batch, held.since_s), "until": iso_term(batch, held.until_s)}
    elsewhere = site_table.claims(batch, resource)[:_ELSEWHERE] if state.link.hints.claims else []
    return {"claimed": claimed, "elsewhere": elsewhere} if elsewhere else {"claimed": claimed}


def release(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    drop_lapsed(batch)
    resource = request.body.get("resource")
    if resource is None:
        return {"released": drop_claims(batch, session.mailbox)}
    mine = [c for c in batch.state.claims.values() if c.mailbox is session.mailbox and c.resource == resource]
    for one in mine:
        _drop(batch, one)
    return {"released": len(mine)}


def claims(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    drop_lapsed(batch)
    resource = request.body.get("resource")
    found = list(batch.state.claims.values())
    rows = []
    for held in sorted(found if resource is None else among(found, resource), key=lambda c: (c.resource, c.id)):
        row = {"resource": held.resource, "holder": held.mailbox.name, "note": held.note}
        row |= {"since": iso_term(batch, held.since_s), "until": iso_term(batch, held.until_s)}
        rows.append({**row, "mine": held.mailbox is session.mailbox})
    if request.body.get("all"):
        rows = sorted(rows + site_table.claims(batch, resource), key=lambda row: str(row["resource"]))
    return {"claims": rows}


def shown_claims(batch: Batch) -> list[dict[str, Any]]:
    """What other sites are told of them."""
    held = sorted(batch.state.claims.values(), key=lambda c: (c.resource, c.id))
    return [{"resource": c.resource, "holder": c.mailbox.name, "note": c.note} for c in held]


def among(held: list[Claim], resource: str) -> list[Claim]:
    """The claims that overlap a resource."""
    return [held[i] for i in overlapping(resource, [c.resource for c in held])]


def drop_lapsed(batch: Batch) -> None:
    """Drop claims whose time is over, or their holder's session."""
    now_s, oldest_s = batch.now.due_s, batch.now.due_s - batch.settings.session_timeout_s
    for held in list(batch.state.claims.values()):
        if held.until_s <= now_s or held.mailbox.last_seen_s < oldest_s:
            _drop(batch, held)


def end_lapsed(batch: Batch) -> float:
    """The chore: whoever waits for a resource is told when a claim's time is over."""
    drop_lapsed(batch)
    left_s = min((held.until_s - batch.now.due_s for held in batch.state.claims.values()), default=inf)
    return batch.now.mono_s + left_s
