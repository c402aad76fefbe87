"""What became of messages one sent: for each reader the steps, at which one it stopped, since when and why.

    stored --> pushed (way) --> in context --> answered
      |            |
      '------------+--> expired, refused, withdrawn, dead

Mail for another site goes the steps of ``broker.core.far_steps`` before it is in context.
*Pushed* is mail that was handed out, or of which a way gave word. *In context* rests on an acknowledgement, and an
acknowledgement on evidence: false is worse than missing. Nothing here is kept for this alone. Steps come from
``broker.core.steps``, the rest from the row that the message has anyway; *overdue* is computed from the time that it may take.
"""

from dataclasses import dataclass
from typing import Any

from broker.core import far_steps, reach
from broker.core.batch import Batch, Incoming
from broker.core.facts import Mark
from broker.core.letters import recipient_ids
from broker.core.lookup import party_letter
from broker.core.next_way import next_of
from broker.core.state import Landing, Lease, Mailbox, Session
from broker.core.steps import ALLOWED_S, steps_of
from broker.core.storage import Copy, StoredMessage
from broker.core.values import iso, iso_term
from broker.protocol.errors import IpcError
from broker.protocol.spans import span

HANDED_OUT = "handed out"
"""The way of mail that a program, hook or tool took and has not acknowledged."""
_BY = {
    None: "its program acknowledged it",
    "hook": "a hook gave it and the session went on",
    "tool": "a tool gave it and the session went on",
    "closed": "its client took it and closed its connection in order",
    "inferred": "nothing shows that it was lost",
}
"""Why a message counts as read, by the evidence."""
_NOBODY = "(gone)"
"""In place of the name of a mailbox that is gone."""
_INFERRED = ("closed", "inferred")
_ENDED = {
    "expired": "nobody read it in time",
    "refused": "its reader refused it",
    "withdrawn": "its sender took it back",
    "dead": "it could not be delivered",
    "gone": "it was withdrawn or expired, or it was read long ago",
}


@dataclass(slots=True)
class Trace:
    """What is known of a message on its way to one reader."""

    letter: StoredMessage
    mailbox: Mailbox
    copy: Copy
    lease: Lease | None
    pushes: list[tuple[str, float, bool]]
    """(way, term second, inferred), the earliest first."""
    answered_s: float | None
    """Unix time of its first answer."""


def receipts(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """One row for each recipient of each message. Muted mail looks unread."""
    rows = []
    late = batch.store.late_answers()
    for text_id in request.body["ids"]:
        if not isinstance(text_id, str):
            raise IpcError("bad_request", detail="ids must be text, as send answered them")
        letter = party_letter(batch, session.mailbox, text_id, own=True)
        question = batch.store.find_question(letter.id)
        for mailbox in readers(batch, letter):
            found = trace(batch, letter, mailbox, late)
            was_answered = question is not None and question.answer_id is not None
            rows.append(
                {"id": text_id, "to": mailbox.name, "state": former_state(found, was_answered), **describe(batch, found)}
            )
    return {"receipts": rows}


def readers(batch: Batch, letter: StoredMessage) -> list[Mailbox]:
    """The readers' mailboxes. For one that is gone stands one under the name that it had when its mail ended."""
    found: list[Mailbox] = []
    names: dict[int, str] | None = None
    for mailbox_id in recipient_ids(letter):
        mailbox = batch.state.by_id.get(mailbox_id)
        if mailbox is None:
            if names is None:
                names = {row.mailbox_id: row.name for row in batch.store.dead_rows(letter.sender_id, letter.id)}
            mailbox = Mailbox(mailbox_id, names.get(mailbox_id, _NOBODY), False, 0.0, 0.0)
        found.append(mailbox)
    return found


def trace(batch: Batch, letter: StoredMessage, mailbox: Mailbox, late: dict[tuple[int, int], float]) -> Trace:
    """``late``: answers that are not indexed yet."""
    copy = batch.store.copy_of(mailbox.id, letter.id) or Copy(False, ending="gone")
    if copy.muted:
        copy = Copy(True)
    answered_s = late.get((letter.id, mailbox.id))
    pushes: list[tuple[str, float, bool]] = []
    for step in steps_of(batch, mailbox, letter.id):
        if step.step == Mark.PUSHED and all(step.way != way for way, _at_s, _inferred in pushes):  # of a way the first counts
            pushes.append((step.way, step.at_s, step.inferred))
        elif step.step == Mark.ANSWERED:
            answered_s = step.at_s
        elif step.step == Mark.LEFT:
            copy = copy._replace(at_s=step.at_s)
    return Trace(letter, mailbox, copy, mailbox.leased.get(letter.id), pushes, answered_s)


def former_state(found: Trace, was_answered: bool) -> str:
    """The word that clients before 0.4.0 know."""
    if not found.copy.queued:
        if far_steps.spread_to(found.copy) is not None:
            return "delivered"
        return "gone" if found.copy.ending is not None else "answered" if was_answered else "read"
    return "delivered" if found.copy.attempts or found.lease is not None else "queued"


def describe(batch: Batch, found: Trace) -> dict[str, Any]:
    """The fields of a row that tell of the steps."""
    steps = list_steps(batch, found)
    last = steps[-1]
    row: dict[str, Any] = {"step": last["step"], "steps": steps}
    row |= {name: last[name] for name in ("at", "inferred") if name in last}
    if found.copy.queued and found.answered_s is None and waited_s(batch, found) > allowed_s(batch, found.letter.land):
        row["overdue"] = True
    coming = next_of(batch, found.mailbox) if found.copy.queued and found.lease is None else None
    if coming is not None:
        row["next"] = {"way": coming.way, "in_s": round(coming.in_s, 1)}
    why = why_there(batch, found)
    return {**row, "why": why} if why else row


def list_steps(batch: Batch, found: Trace) -> list[dict[str, Any]]:
    """The steps that it went, in the order of the diagram."""
    copy, spread = found.copy, far_steps.spread_to(found.copy) is not None
    steps: list[dict[str, Any]] = [{"step": "stored", "at": iso(found.letter.created_s)}]
    if found.mailbox.site:
        steps = far_steps.steps_there(batch, found.mailbox, found.letter, copy)
    for way, at_s, inferred in found.pushes:
        step = {"step": "pushed", "at": iso_term(batch, at_s), "way": way}
        steps.append({**step, "inferred": True} if inferred else step)
    if copy.queued and (found.lease is not None or copy.attempts):
        step = {"step": "pushed", "way": HANDED_OUT}
        steps.append(step if found.lease is None else {**step, "at": iso_term(batch, found.lease.since_s)})
    if copy.ending is not None:
        steps.append({"step": copy.ending, "at": iso_term(batch, copy.at_s)} if copy.at_s else {"step": copy.ending})
    elif not (copy.queued or spread):
        step = {"step": "in_context", "at": iso_term(batch, copy.at_s)}
        step |= {} if copy.evidence is None else {"evidence": copy.evidence}
        steps.append({**step, "inferred": True} if copy.evidence in _INFERRED else step)
    if found.answered_s is not None:
        steps.append({"step": "answered", "at": iso(found.answered_s)})
    return steps


def waited_s(batch: Batch, found: Trace) -> float:
    """By the terms' clock. What was written by a clock that was ahead then counts as younger, so it is not said to be late."""
    return batch.now.term_s - found.letter.created_s


def allowed_s(batch: Batch, land: int) -> float:
    return ALLOWED_S[land] if land in ALLOWED_S else batch.settings.digest_s + ALLOWED_S[Landing.AT_END]


def why_there(batch: Batch, found: Trace) -> str:
    """Why it stopped where it is, in words."""
    copy, now_s = found.copy, batch.now.term_s
    if found.answered_s is not None:
        return ""
    if copy.ending is not None:
        return copy.why or _ENDED[copy.ending]
    if not copy.queued:
        count = far_steps.spread_to(copy)
        return _BY[copy.evidence] if count is None else far_steps.why_spread(found.mailbox, count)
    if found.mailbox.site:
        return far_steps.why_unread(batch, found.mailbox, found.letter.id, copy)
    if found.lease is not None:
        return f"handed out {span(now_s - found.lease.since_s)} ago, not acknowledged yet"
    came_back = "handed out before, and came back unread" if copy.attempts else ""
    if found.pushes:
        told = why_pushed(batch, found)
        return f"{told}; {came_back}" if came_back else told
    waits = reach.of(batch, found.mailbox)
    return f"{came_back}; {waits}" if came_back else waits


def why_pushed(batch: Batch, found: Trace) -> str:
    """What the last notice led to, and which way is next."""
    way, at_s, _inferred = found.pushes[-1]
    stirred = found.mailbox.activity.event_s > at_s
    told = f"pushed by {way} {span(batch.now.term_s - at_s)} ago, {'not read yet' if stirred else 'no turn began'}"
    coming = next_of(batch, found.mailbox)
    if coming is not None:
        return f"{told}: {coming.way} is next, in {span(coming.in_s)}"
    return f"{told}: no way is left, and it waits for the next turn" if found.mailbox.waking.told else told
