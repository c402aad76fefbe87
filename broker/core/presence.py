"""What agents say of themselves: presence, note, reach, automatic checks; and the list of all agents."""

from typing import Any

from broker.core import site_table
from broker.core.agent_watches import happened
from broker.core.batch import Batch, Incoming
from broker.core.bodies import alive, holder, read_body
from broker.core.facts import WAITING, Alarm
from broker.core.looks import look
from broker.core.stalls import DEAD_S
from broker.core.state import Mailbox, Session
from broker.core.values import iso_term
from broker.core.wakes import turn_over
from broker.core.ways import names, sign
from broker.protocol.errors import IpcError

GONE_AFTER_S = 15 * 60.0
"""An agent counts as gone after 15 minutes without a request or an open connection."""
_WAY_LENGTH = 32
_SAID = {"idle": "idle", "gone": "ended"}
"""What an agent without hooks tells those who watch it by its state."""


def list_instances(batch: Batch, _session: Session, request: Incoming) -> dict[str, Any]:
    whole = request.body.get("all")
    shown = [m for m in batch.state.mailboxes.values() if m.claimed or (whole and m.queued and not m.site)]
    shown.sort(key=lambda m: m.name)
    rows = [describe(batch, m) for m in shown]
    return {"instances": rows + site_table.agents(batch) if whole else rows}


def describe(batch: Batch, mailbox: Mailbox) -> dict[str, Any]:
    """A row of ``list``, without empty fields."""
    row: dict[str, Any] = {
        "id": mailbox.name,
        "last_seen": iso_term(batch, mailbox.last_seen_s),
        "presence": presence_of(batch, mailbox),
    }
    row["silent_s"] = max(0, int(batch.now.term_s - mailbox.last_seen_s))
    if not mailbox.claimed:
        return {**row, "presence": "gone", "unclaimed": True}
    if mailbox.note and row["presence"] != "gone":
        row["note"] = mailbox.note
    if reach := reach_of(mailbox):
        row["reach"] = reach
    lives = alive(batch, mailbox)
    if mailbox.session is not None and mailbox.session.body is not None:
        row["body"] = {**holder(batch, mailbox.session), "alive": lives}
    if lives is False:
        row["ended"] = True
    if (alarm := alarm_of(batch, mailbox)) is not None:
        row["stuck"] = {"kind": alarm.kind, "since": iso_term(batch, alarm.since_s), "evidence": alarm.evidence}
    return row


def reach_of(mailbox: Mailbox) -> list[str]:
    """The ways by which it can be woken now, then what its doors say."""
    armed = names(mailbox)
    return [*dict.fromkeys((*armed, *mailbox.reach))]


def alarm_of(batch: Batch, mailbox: Mailbox) -> Alarm | None:
    """The oldest alarm of an agent. One of a pair that goes round is of both."""
    for alarm in batch.state.alarms.values():
        if alarm.mailbox_id == mailbox.id or (alarm.kind == "loop" and alarm.other == mailbox.name):
            return alarm
    return None


def presence_of(batch: Batch, mailbox: Mailbox) -> str:
    """``working``, ``waiting`` for its user, ``idle`` or ``gone``. An agent is there for as long as its tool call runs."""
    silent_s, activity = batch.now.term_s - mailbox.last_seen_s, mailbox.activity
    if mailbox.presence == "gone" or (silent_s > GONE_AFTER_S and not mailbox.attended and not activity.running()):
        return "gone"
    if mailbox.presence == "working" and activity.state in WAITING:
        return "waiting"
    return mailbox.presence or "idle"


def presence(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    body, mailbox = request.body, session.mailbox
    reach = body.get("reach")
    if reach is not None:
        if not all(isinstance(way, str) and 0 < len(way) <= _WAY_LENGTH for way in reach):
            raise IpcError("bad_request", detail=f"reach is a list of words of at most {_WAY_LENGTH} characters")
        batch.journal.set(mailbox, "reach", tuple(reach))
    acting = read_body(batch, request)
    if acting not in (None, session.body):
        batch.journal.set(session, "body", acting)
        batch.store.save_session(session)
    state, note = body.get("state"), body.get("note")
    if note is None and state not in (None, mailbox.presence):
        note = ""  # a note belongs to the state it was said with
    state, note = state or mailbox.presence, mailbox.note if note is None else note
    if state == "working" != mailbox.presence:
        sign(batch, mailbox)
    if (state, note) != (mailbox.presence, mailbox.note):
        over = mailbox.presence == "working" != state
        batch.journal.set(mailbox, "presence", state)
        batch.journal.set(mailbox, "note", note)
        batch.store.save_mailbox(mailbox)
        if over:
            turn_over(batch, mailbox)
        if state == "gone":
            look(batch, mailbox, DEAD_S)
        if state in _SAID:
            happened(batch, mailbox, _SAID[state])
    return {"presence": presence_of(batch, mailbox), "note": mailbox.note, "reach": list(mailbox.reach)}


def autocheck(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Keep how often the agent's doors look for mail. The broker only stores the number."""
    mailbox, minutes = session.mailbox, request.body.get("minutes")
    if minutes not in (None, mailbox.autocheck_min):
        batch.journal.set(mailbox, "autocheck_min", minutes)
        batch.store.save_mailbox(mailbox)
    every = mailbox.autocheck_min
    return {"autocheck": "on", "minutes": every} if every else {"autocheck": "off"}
