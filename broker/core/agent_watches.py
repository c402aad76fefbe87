"""Tell me when: an agent waits for something to happen to another, and goes on with its work.

    watch_agent --> kept --(it happens)--> told by a notice of ``system``, and dropped if it was for once
                     |
                     +-- unwatch_agent, or its time is over --> gone

Watches are of mailboxes, so they follow renames, and are kept on disk. What happens is told at once. What happens to the same
watch within a second of that is gathered into one more notice, or into the first while that waits unread.
"""

from collections.abc import Collection
from math import inf
from typing import Any

from broker.core.batch import Batch, Incoming
from broker.core.facts import AgentWatch
from broker.core.globs import overlap, prepare
from broker.core.looks import look
from broker.core.notices import grown, may_grow, notify, text_of
from broker.core.standing import Kind, known_mailbox, standing
from broker.core.state import Landing, Mailbox, Notice, Session
from broker.core.values import iso_term
from broker.protocol.actions import ACTIONS
from broker.protocol.addresses import is_address
from broker.protocol.agent_rows import HAPPENINGS
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name

ANYBODY = "*"
GATHERED_S = 1.0
DEFAULT_TTL_S: float = ACTIONS["watch_agent"].field("ttl_s").default
_USUAL = ("idle", "ended", "failed", "stuck")
_OF_THINGS = ("edits", "claims", "releases", "joins")
"""What ``resource`` picks from."""
_SESSIONS = 20
"""There may be twenty times ``watch_limit`` watches: each event looks at all of them."""
_SAID = {
    "idle": "{name} is idle: its turn is over",
    "ended": "{name} has ended",
    "failed": "{name} failed: its turn broke off",
    "stuck": "{name} is stuck: it {what}",
    "edits": "{name} changed {what}",
    "claims": "{name} claimed {what}",
    "releases": "{name} released {what}",
    "joins": "{name} is here",
}


def watch_agent(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    body, state, mailbox = request.body, batch.state, session.mailbox
    events = tuple(event for event in HAPPENINGS if event in (body.get("events") or _USUAL))
    if len(events) < len(body.get("events") or ()):
        raise IpcError("bad_request", detail=f"events are some of {', '.join(HAPPENINGS)}")
    subject, resource = _subject(batch, body["name"], events, body.get("resource") or "")
    _drop_lapsed(batch)
    once = body.get("once") is not False
    until_s = batch.now.term_s + (body.get("ttl_s") or DEFAULT_TTL_S)
    wanted = AgentWatch(0, mailbox.id, subject.id if subject else 0, events, resource, once, bool(body.get("wake")), until_s)
    mine = [w for w in state.agent_watches.values() if w.mailbox_id == mailbox.id]
    same = next((w for w in mine if w._replace(id=0, until_s=until_s) == wanted), None)
    limit = batch.settings.watch_limit
    if same is None and len(mine) >= limit:
        raise IpcError("too_many_watches", limit=limit)
    if same is None and len(state.agent_watches) >= limit * _SESSIONS:
        raise IpcError("watches_full", limit=limit * _SESSIONS)
    if same is None:
        batch.journal.set(state, "last_watch_id", state.last_watch_id + 1)
    kept = wanted._replace(id=same.id if same else state.last_watch_id)
    if resource:
        prepare(resource)
    batch.journal.put(state.agent_watches, kept.id, kept)
    batch.store.save_agent_watch(kept)
    if subject is not None and "ended" in events:
        look(batch, subject)
    return {"watch": _row(batch, kept)}


def _subject(batch: Batch, name: str, events: tuple[str, ...], resource: str) -> tuple[Mailbox | None, str]:
    """(the agent, None for any; the pattern). A name that nobody has yet may join."""
    if name == ANYBODY:
        return None, resource
    if is_address(name):
        raise IpcError("bad_request", detail="An agent at another site can't be watched. list with all says how it was last")
    if events == ("joins",) and is_name(name) and standing(batch.state, name, batch.now.due_s).kind is Kind.FREE:
        return None, name
    return known_mailbox(batch, name), resource


def unwatch_agent(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """One's own of that id, or all of them."""
    number = request.body.get("watch_id")
    mine = [w for w in batch.state.agent_watches.values() if w.mailbox_id == session.mailbox.id and number in (None, w.id)]
    for one in mine:
        _drop(batch, one)
    return {"dropped": len(mine)}


def watches(batch: Batch, session: Session, _request: Incoming) -> dict[str, Any]:
    _drop_lapsed(batch)
    return {"watches": [_row(batch, w) for w in batch.state.agent_watches.values() if w.mailbox_id == session.mailbox.id]}


def _row(batch: Batch, watch: AgentWatch) -> dict[str, Any]:
    subject = batch.state.by_id.get(watch.subject_id)
    row = {"id": watch.id, "name": subject.name if subject else ANYBODY, "events": list(watch.events)}
    row |= {"once": watch.once, "wake": watch.wake, "until": iso_term(batch, watch.until_s)}
    return {**row, "resource": watch.resource} if watch.resource else row


def happened(batch: Batch, mailbox: Mailbox, event: str, what: str = "", *, told: Collection[int] = ()) -> None:
    """Tell those who watch the agent for this event. ``told`` have been told otherwise."""
    state = batch.state
    for watch in list(state.agent_watches.values()):
        if event not in watch.events or watch.subject_id not in (0, mailbox.id) or watch.mailbox_id == mailbox.id:
            continue
        if watch.until_s <= batch.now.due_s or watch.mailbox_id not in state.by_id:
            continue
        if event in _OF_THINGS and watch.resource and not overlap(watch.resource, what):
            continue
        if watch.once:
            _drop(batch, watch)
        if watch.mailbox_id not in told:
            _tell(batch, watch, _SAID[event].format(name=mailbox.name, what=what))


def _tell(batch: Batch, watch: AgentWatch, line: str) -> None:
    """Write a notice, or keep the line for a second after the last one."""
    state, now_s = batch.state, batch.now.mono_s
    told_s, notice, lines = state.watch_notices.get(watch.id, (-GATHERED_S, None, ()))
    if now_s - told_s < GATHERED_S:
        batch.journal.put(state.watch_notices, watch.id, (told_s, notice, (*lines, line)))
        batch.chore_at("watches", told_s + GATHERED_S)
    else:
        _write(batch, watch, (line,), None)


def _write(batch: Batch, watch: AgentWatch, lines: tuple[str, ...], notice: Notice | None) -> None:
    mailbox = batch.state.by_id[watch.mailbox_id]
    if notice is not None and may_grow(batch, mailbox, notice):
        more = grown(notice, lines)
        batch.store.rewrite(notice.message_id, text_of(notice, "lines"), text_of(more, "lines"))
    else:
        more = grown(Notice(0, batch.now.term_s, (), 0), lines)
        land = Landing.AFTER_TOOL if watch.wake else Landing.AS_DIGEST
        more = more._replace(message_id=notify(batch, [mailbox], text_of(more, "lines"), land))
    if watch.once:
        batch.journal.drop(batch.state.watch_notices, watch.id)
    else:
        batch.journal.put(batch.state.watch_notices, watch.id, (batch.now.mono_s, more, ()))


def write_gathered(batch: Batch) -> float:
    """The chore: tell what was gathered, and forget notices that will not grow any more."""
    state, now_s = batch.state, batch.now.mono_s
    next_s = inf
    for watch_id, (told_s, notice, lines) in list(state.watch_notices.items()):
        watch = state.agent_watches.get(watch_id)
        if told_s + GATHERED_S > now_s:
            next_s = min(next_s, told_s + GATHERED_S)
        elif lines and watch is not None and watch.mailbox_id in state.by_id:
            _write(batch, watch, lines, notice)
            next_s = min(next_s, now_s + GATHERED_S)
        else:
            batch.journal.drop(state.watch_notices, watch_id)
    return next_s


def _drop(batch: Batch, watch: AgentWatch) -> None:
    batch.journal.drop(batch.state.agent_watches, watch.id)
    batch.store.drop_agent_watch(watch.id)


def _drop_lapsed(batch: Batch) -> None:
    for watch in [w for w in batch.state.agent_watches.values() if w.until_s <= batch.now.due_s]:
        _drop(batch, watch)
