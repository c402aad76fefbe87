"""What the owner of the data folder sees of all agents, and who acts for a person. Mail is in ``owner_mail``."""

from collections import Counter, defaultdict
from typing import Any

import msgpack

from broker.core import alarms, owner_feed, pauses, permissions
from broker.core.alarms import is_person
from broker.core.batch import Batch, Incoming
from broker.core.claims import drop_lapsed
from broker.core.conversation import asked_is, state_of_question
from broker.core.lookup import has
from broker.core.presence import describe
from broker.core.sessions import authenticate
from broker.core.state import Mailbox
from broker.core.values import iso, iso_term
from broker.core.wake_budget import wakes
from broker.protocol.errors import IpcError

QUESTIONS = 500
"""Open questions that are shown, and of each so many characters."""
DEAD = 1000
"""Dead letters that are counted."""
_BUTTONS, _BUTTON_CHARS = 6, 200
_STALE_S = 24 * 3600.0
"""Seconds for which a question whose deadline is over is shown."""
_TRAFFIC = 20_000
"""Messages that are counted for the traffic, and ``_PAIRS`` that are named."""
_PAIRS = 500


def person(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    session = authenticate(batch, request.body["by"])
    body = session.body
    if body is None or body.kind != "process":
        raise IpcError("bad_request", detail="A person acts by a program: register with a body of the kind process")
    if not body.person:
        batch.journal.set(session, "body", body._replace(person=True))
        batch.store.save_session(session)
        batch.event("person_acts", name=session.mailbox.name)
    return {"instance_id": session.mailbox.name}


def overview(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    drop_lapsed(batch)
    state = batch.state
    questions = _questions(batch)
    waits_for, waited_by = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for row in questions:
        if row["state"] == "open":
            waits_for[row["from"]].append(row["to"])
            waited_by[row["to"]].append(row["from"])
    shown = sorted((m for m in state.mailboxes.values() if m.claimed or (m.queued and not m.site)), key=lambda m: m.name)
    oldest = batch.store.oldest_unread([m.id for m in shown if m.queued])
    claimed = Counter(claim.mailbox.id for claim in state.claims.values())
    agents = [_agent(batch, m, oldest.get(m.id), claimed[m.id]) for m in shown]
    for row in agents:
        for field, table in (("waits_for", waits_for), ("waited_by", waited_by)):
            if row["id"] in table:
                row[field] = sorted(set(table[row["id"]]))
    owner_feed.arm(batch, request)
    return {
        "at": iso(batch.now.wall_s),
        "sent": state.last_message_id,
        "agents": agents,
        "questions": questions,
        "alarms": alarms.rows(batch),
        "claims": [
            {"resource": c.resource, "holder": c.mailbox.name, "note": c.note}
            | {"since": iso_term(batch, c.since_s), "until": iso_term(batch, c.until_s)}
            for c in sorted(state.claims.values(), key=lambda c: (c.resource, c.id))
        ],
        "groups": [
            {"name": group.name, "members": sorted(state.by_id[i].name for i in group.members if i in state.by_id)}
            | ({"keep_s": state.keeps["group", group.name]} if ("group", group.name) in state.keeps else {})
            for group in sorted(state.groups.values(), key=lambda g: g.name)
        ],
        "dead": batch.store.count_dead(DEAD),
        "pauses": pauses.rows(batch),
        "permissions": permissions.rows(batch),
    }


def _agent(batch: Batch, mailbox: Mailbox, oldest_s: float | None, claims: int) -> dict[str, Any]:
    row = describe(batch, mailbox) | {"queued": mailbox.queued, "leased": len(mailbox.leased)}
    if oldest_s is not None:
        row["oldest"] = iso(oldest_s)
    told = mailbox.activity
    if told.state:
        running = told.running()
        tool = running[-1].tool if running else told.tool
        row["activity"] = {"state": told.state, "since": iso_term(batch, told.since_s)} | ({"tool": tool} if tool else {})
    if claims:
        row["claims"] = claims
    if (0, mailbox.id) in batch.state.pauses:
        row["paused"] = True
    if is_person(mailbox):
        row["person"] = True
    if woken := wakes(batch, mailbox):
        row["wakes"] = woken
    return row


def _questions(batch: Batch) -> list[dict[str, Any]]:
    rows = []
    for question, letter in batch.store.open_questions(batch.now.due_s - _STALE_S, QUESTIONS):
        asker, asked = batch.state.by_id.get(question.asker_id), batch.state.by_id.get(question.asked_id)
        if asked is None or not has(batch, asked, letter.id):  # its asker has taken it back
            continue
        row: dict[str, Any] = {"id": str(letter.id), "from": letter.sender if asker is None else asker.name, "to": asked.name}
        row |= {"content": letter.content[:QUESTIONS], "asked_at": iso(letter.created_s)}
        row |= {"deadline": iso_term(batch, question.deadline_s), "state": state_of_question(batch, question)}
        row |= asked_is(batch, question)
        if buttons := _buttons(letter.data):
            row["buttons"] = buttons
        rows.append({**row, "person": True} if is_person(asked) else row)
    return rows


def _buttons(data: bytes | None) -> list[str]:
    """The answers that an asker proposes in its question's data, whole: what is longer than a button may be is none."""
    given = msgpack.unpackb(data) if data is not None else None
    proposed = given.get("buttons") if isinstance(given, dict) else None
    found = proposed if isinstance(proposed, list) else []
    return [one for one in found if isinstance(one, str) and one.strip() and len(one) <= _BUTTON_CHARS][:_BUTTONS]


def traffic(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    found = batch.store.traffic(float(request.body["since_s"]), batch.now.wall_s, _TRAFFIC, _PAIRS)
    by_id = batch.state.by_id
    pairs = []
    for sender_id, sender, to_id, count, last_s in found.pairs:
        name = by_id[sender_id].name if sender_id in by_id else sender
        to = "*" if to_id is None else by_id[to_id].name if to_id in by_id else "(gone)"
        pairs.append({"from": name, "to": to, "count": count, "last": iso(last_s)})
    return {"pairs": pairs, "since": found.since_s, "hours": found.hours}
