"""Schedules: mail that is sent later, or again and again, for whoever asked.

    schedule --> waits --its moment--> sent: at and in are over; every and cron wait for their next moment
                   |          |
                   |          +-- refused (no room, blocked, ...): its owner is told, once until one is sent again
                   +-- schedule_drop, nothing more is due before until_s, its owner's name is given back or lapses --> gone

Theory of operation. ``at`` and ``cron`` are appointments: they follow the wall clock, wherever it is set. ``in`` and ``every``
are lengths of time: they run on the terms' clock, which does not step. Sending, and noting when it is due next, are one
transaction. What was missed while nothing ran is sent once, by the earliest moment that was missed. The message's id is made of
the schedule and that moment, so a wall clock that is set back sends no moment again. When it was set, cron times are counted
anew from what it shows now.

A schedule is its owner's mailbox's: it follows renames, and stays when another body takes the name.
"""

from math import inf
from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.drafts import Draft
from broker.core.facts import Schedule
from broker.core.far_names import far_name
from broker.core.journal import Journal
from broker.core.notices import notify
from broker.core.rate_limit import take_tokens
from broker.core.recipients import resolve
from broker.core.repeats import Repeat, same_data, sent_before
from broker.core.sending import post
from broker.core.standing import Kind, resembling, standing
from broker.core.state import Mailbox, Session, State
from broker.core.storage import Store
from broker.core.values import iso, read_land, read_message
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name
from broker.protocol.spans import span

CHORE = "schedules"
TEXT_BYTES = 65_536
"""Bytes that the text of a scheduled message may have."""
_SESSIONS = 10
"""There may be ten times ``schedule_limit`` schedules: each look goes through all of them."""
_LOOK_S = 60.0
"""Seconds after which the wall clock is looked at again at the latest, since it may have been set."""
_AT_ONCE = 50
"""Messages that one step sends, which takes about 25 ms; other requests go on before the next step."""
_TRIED_S = 3600.0
"""A message for once that is refused for a reason that passes is tried again each minute, until it is so late."""
_EXCERPT = 200
_WORDS = 60
"""Characters of a message's text by which its owner knows it again."""


def schedule(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    body, state, mailbox = request.body, batch.state, session.mailbox
    content, data = read_message(batch, body["message"])
    size = len(content.encode("utf-8", "surrogatepass"))
    if size > TEXT_BYTES:
        raise IpcError("too_large", what="The text of a scheduled message", size=size, limit=TEXT_BYTES)
    said = Repeat(body.get("message_id"), content, data, body["to_id"])
    known = _asked_before(batch, mailbox, said)
    if known is not None:
        return known
    take_tokens(batch, session, 1)
    kind, spec, next_s = _when(batch, body)
    to, hint = _recipient(batch, body["to_id"])
    until_s, limit = body.get("until_s"), batch.settings.schedule_limit
    if sum(one.mailbox_id == mailbox.id for one in state.schedules.values()) >= limit:
        raise IpcError("too_many_schedules", limit=limit)
    if len(state.schedules) >= limit * _SESSIONS:
        raise IpcError("schedules_full", limit=limit * _SESSIONS)
    batch.journal.set(state, "last_schedule_id", state.last_schedule_id + 1)
    made = Schedule(
        state.last_schedule_id, mailbox.id, said.client_id, to, read_land(body), kind, spec, next_s, until_s, batch.now.wall_s
    )
    left_s = _left_s(batch, made)
    if until_s is not None and (kind in ("at", "in") or batch.now.wall_s + left_s > until_s):
        raise IpcError("bad_request", detail="until_s goes with every_s and cron, and must be after the first message is due")
    batch.journal.put(state.schedules, made.id, made)
    batch.store.add_schedule(made, content, data)
    batch.chore_at(CHORE, batch.now.mono_s + min(left_s, _LOOK_S))
    reply: dict[str, Any] = {"schedule": _row(batch, made, content)}
    if hint:
        reply["did_you_mean"] = hint
    kept_s = batch.settings.session_timeout_s
    if left_s > kept_s:
        reply["note"] = f"It is dropped if {mailbox.name} gives no sign for {span(kept_s)} before"
    return reply


def _asked_before(batch: Batch, mailbox: Mailbox, said: Repeat) -> dict[str, Any] | None:
    """The answer to a request that is made again under its message id; None where it is new. Raises ``id_conflict``."""
    if said.client_id is None:
        return None
    for one in batch.state.schedules.values():
        if one.mailbox_id == mailbox.id and one.client_id == said.client_id:
            content, data = batch.store.scheduled(one.id)
            same = data is said.data is None or (data is not None and said.data is not None and same_data(data, said.data))
            if content != said.content or not same:
                raise IpcError("id_conflict", id=said.client_id, what="another text")
            return {"schedule": _row(batch, one, content), "duplicate": True}
    sent = sent_before(batch, mailbox, said)
    return None if sent is None else {"schedule": {"to": said.to, "last": str(sent.id)}, "duplicate": True}


def _when(batch: Batch, body: dict[str, Any]) -> tuple[str, str, float]:
    """Kind, what was asked, and when it is due first."""
    given = [name for name in ("at_s", "in_s", "every_s", "cron") if body.get(name) is not None]
    if len(given) != 1:
        raise IpcError("bad_request", detail="schedule takes one of at_s, in_s, every_s and cron")
    now, value = batch.now, body[given[0]]
    if given[0] == "cron":
        first_s = batch.next_cron(value, now.wall_s)
        if first_s == inf:
            raise IpcError("bad_request", detail=f"No day is ever like {value}")
        return "cron", " ".join(value.split()), first_s
    if given[0] == "at_s":
        if value <= now.wall_s:
            raise IpcError("bad_request", detail=f"at_s was {span(now.wall_s - value)} ago")
        return "at", str(value), float(value)
    return given[0].removesuffix("_s"), str(value), now.term_s + value


def _recipient(batch: Batch, to: str) -> tuple[str, str | None]:
    """The name to write to when the time has come, and what was probably meant by one that nobody has. Makes no mailbox."""
    if "@" in to:
        far_name(batch, to)
        return to, None
    if not is_name(to):
        raise IpcError("invalid_recipient")
    found = standing(batch.state, to, batch.now.due_s)
    if found.kind is Kind.RESERVED:
        raise IpcError("name_reserved", name=to)
    if found.kind is Kind.FREE:
        return to, resembling(batch, to, found)
    return to if found.mailbox is None else found.mailbox.name, None


def schedules(batch: Batch, session: Session, _request: Incoming) -> dict[str, Any]:
    mine = [one for one in batch.state.schedules.values() if one.mailbox_id == session.mailbox.id]
    mine.sort(key=lambda one: (_left_s(batch, one), one.id))
    return {"schedules": [_row(batch, one, batch.store.scheduled(one.id)[0]) for one in mine]}


def _row(batch: Batch, one: Schedule, content: str) -> dict[str, Any]:
    next_s = batch.now.wall_s + _left_s(batch, one)
    row: dict[str, Any] = {"id": one.id, "to": one.to_name, "kind": one.kind, "spec": one.spec, "next": iso(next_s)}
    if one.until_s is not None:
        row["until"] = iso(one.until_s)
    row |= {"created": iso(one.created_s), "sent": one.sent_count, "content": content[:_EXCERPT]}
    if one.last_id is not None:
        row["last"] = str(one.last_id)
    return {**row, "failed": one.failed} if one.failed else row


def schedule_drop(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """One's own of that id, or all of them."""
    number, state = request.body.get("schedule_id"), batch.state
    mine = [s for s in state.schedules.values() if s.mailbox_id == session.mailbox.id and number in (None, s.id)]
    for one in mine:
        _drop(state, batch.store, one, batch.journal)
    return {"dropped": len(mine)}


def drop_schedules(state: State, store: Store, mailbox: Mailbox, journal: Journal) -> None:
    """The name is given back or has lapsed: nobody sends in it any more."""
    for one in [s for s in state.schedules.values() if s.mailbox_id == mailbox.id]:
        _drop(state, store, one, journal)


def _drop(state: State, store: Store, one: Schedule, journal: Journal) -> None:
    journal.drop(state.schedules, one.id)
    store.drop_schedule(one.id)


def follow(batch: Batch, old: str, new: str) -> None:
    """An agent is called otherwise from now on: what is due for it goes to it."""
    for one in [s for s in batch.state.schedules.values() if s.to_name == old]:
        _keep(batch, one._replace(to_name=new))


def _keep(batch: Batch, one: Schedule) -> None:
    batch.journal.put(batch.state.schedules, one.id, one)
    batch.store.save_schedule(one)


# what time brings


def _left_s(batch: Batch, one: Schedule) -> float:
    """Seconds until it is due; 0 or less where it is."""
    return one.next_s - (batch.now.wall_s if one.kind in ("at", "cron") else batch.now.term_s)


def send_due(batch: Batch) -> float:
    """The chore: send what is due. What can't be sent yet is tried again in a minute."""
    state, now_s, stuck = batch.state, batch.now.mono_s, set()
    _aim_anew(batch)
    due = sorted((left_s, s.id, s.failed) for s in state.schedules.values() if (left_s := _left_s(batch, s)) <= 0)
    fresh = [schedule_id for _, schedule_id, failed in due if not failed][:_AT_ONCE]
    for schedule_id in fresh + [schedule_id for _, schedule_id, failed in due if failed]:
        if not _send(batch, state.schedules[schedule_id]):
            stuck.add(schedule_id)
    left = [_LOOK_S if s.id in stuck else _left_s(batch, s) for s in state.schedules.values()]
    return now_s + max(0.0, min(*left, _LOOK_S)) if left else inf


def _aim_anew(batch: Batch) -> None:
    """Hold the moments against clocks that may have been set: none is further away than it can be."""
    state, now = batch.state, batch.now
    was_set = state.scheduled_ahead_s != now.ahead_s
    for one in list(state.schedules.values()):
        next_s = one.next_s
        if one.kind in ("in", "every"):
            next_s = min(next_s, now.term_s + float(one.spec))
        elif one.kind == "cron" and was_set and next_s > now.wall_s:
            next_s = _next_s(batch, one, now.wall_s) or next_s
        if next_s != one.next_s:
            _keep(batch, one._replace(next_s=next_s))
    batch.journal.set(state, "scheduled_ahead_s", now.ahead_s)


def _next_s(batch: Batch, one: Schedule, after_s: float) -> float | None:
    """When one that repeats is due after that moment, ``inf`` if never again; None where cron times can't be counted now."""
    if one.kind == "every":
        every_s = float(one.spec)
        return one.next_s + every_s * max(1.0, (after_s - one.next_s) // every_s + 1)
    try:
        return batch.next_cron(one.spec, after_s)
    except IpcError:
        return None


def _send(batch: Batch, one: Schedule) -> bool:
    """Send one that is due, and note when it is due again, or drop it. False if it can't be sent yet."""
    content, data = batch.store.scheduled(one.id)
    repeats = one.kind in ("every", "cron")
    next_s = _next_s(batch, one, one.next_s - _left_s(batch, one)) if repeats else inf
    mark, saved, replies = batch.journal.mark(), batch.store.savepoint(), len(batch.out)
    try:
        if next_s is None:
            raise IpcError("no_cron")
        message_id = _post(batch, one, content, data)
    except IpcError as refused:
        batch.journal.rollback(mark)
        batch.store.restore(saved)
        del batch.out[replies:]
        again = next_s is None or (not repeats and refused.retryable and -_left_s(batch, one) < _TRIED_S)
        _tell_refused(batch, one, refused.text, content, ends=not repeats and not again)
        one = one._replace(failed=refused.text)
        if again or next_s is None:
            _keep(batch, one)
            return False
    else:
        if message_id is not None:
            one = one._replace(sent_count=one.sent_count + 1, last_id=message_id, failed="")
        elif repeats:  # what was missed after it may not have been sent
            next_s = _next_s(batch, one, one.next_s) or inf
    _go_on(batch, one, next_s)
    return True


def _go_on(batch: Batch, one: Schedule, next_s: float) -> None:
    one = one._replace(next_s=next_s)
    if next_s == inf or (one.until_s is not None and batch.now.wall_s + _left_s(batch, one) > one.until_s):
        _drop(batch.state, batch.store, one, batch.journal)
    else:
        _keep(batch, one)


def _post(batch: Batch, one: Schedule, content: str, data: bytes | None) -> int | None:
    """The message's id; None where its moment was sent before: the wall clock was set back."""
    owner, client_id = batch.state.by_id[one.mailbox_id], one.client_id
    if client_id is None or one.kind in ("every", "cron"):
        client_id = f"+schedule-{one.id}-{one.next_s:.0f}"  # below what clients make: theirs go on ascending
    if sent_before(batch, owner, Repeat(client_id, content, data, one.to_name), forever=True) is not None:
        return None
    draft = Draft(owner, resolve(batch, owner, one.to_name), content, data, client_id, land=one.land)
    return post(batch, owner.session, draft)[0]


def _tell_refused(batch: Batch, one: Schedule, why: str, content: str, *, ends: bool) -> None:
    """Tell the owner, but not of each refusal in a row; of the end of a message for once in any case."""
    owner = batch.state.by_id[one.mailbox_id]
    batch.event("schedule_refused", name=owner.name, schedule=one.id, why=why)
    if one.failed and not ends:
        return
    words = " ".join(content[: 4 * _WORDS].split())
    words = words if len(words) <= _WORDS else f"{words[:_WORDS]}…"
    goes_on = "It is tried no more" if ends else f"It is tried again; ipc schedule drop {one.id} ends it"
    notify(batch, [owner], f"⏰ Schedule {one.id} to {one.to_name} was not sent: {why}. {goes_on}. It begins: {words}")
