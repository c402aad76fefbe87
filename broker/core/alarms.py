"""Alarms: what the radar found, who is told of it, and its end.

    found --> open, marked in list and alarms --> those who wait are told --60 s--> the person is told
                |
                +-- the agent goes on, or nobody waits any more --> closed

Each step is written with its notices, so a broker that is killed neither loses a step nor does it twice.
"""

from dataclasses import replace
from typing import Any

from broker.core import agent_watches
from broker.core.batch import Batch, Incoming
from broker.core.facts import Alarm
from broker.core.notices import notify
from broker.core.stalls import Stall
from broker.core.state import Mailbox, Session
from broker.core.values import iso_term

PERSON_S = 60.0
"""Seconds that those who wait have before the person is told."""
_WAITING_TOLD, _PERSON_TOLD = 1, 2


def alarms(batch: Batch, _session: Session, _request: Incoming) -> dict[str, Any]:
    return {"alarms": rows(batch)}


def rows(batch: Batch) -> list[dict[str, Any]]:
    """All that are open, the oldest first."""
    there = [alarm for alarm in batch.state.alarms.values() if alarm.mailbox_id in batch.state.by_id]
    return [row(batch, alarm) for alarm in sorted(there, key=lambda a: a.id)]


def row(batch: Batch, alarm: Alarm) -> dict[str, Any]:
    """An alarm as ``alarms`` shows it."""
    shown = {"id": alarm.id, "name": batch.state.by_id[alarm.mailbox_id].name, "kind": alarm.kind, "other": alarm.other}
    shown |= {"since": iso_term(batch, alarm.since_s), "evidence": alarm.evidence}
    return {name: value for name, value in shown.items() if value != ""}


def settle(batch: Batch, mailbox: Mailbox, found: list[Stall]) -> None:
    """Open an alarm for each rule that holds, and close those whose rule does not any more."""
    holding = {(stall.kind, stall.other) for stall in found}
    known = {(a.kind, a.other): a for a in batch.state.alarms.values() if a.mailbox_id == mailbox.id}
    for key, alarm in known.items():
        if key not in holding:
            close(batch, alarm)
    for stall in found:
        if (stall.kind, stall.other) not in known:
            _open(batch, mailbox, stall)


def _open(batch: Batch, mailbox: Mailbox, stall: Stall) -> None:
    state = batch.state
    batch.journal.set(state, "last_alarm_id", state.last_alarm_id + 1)
    alarm = Alarm(
        state.last_alarm_id, mailbox.id, stall.kind, stall.other, stall.since_s, batch.now.term_s, stall.evidence, _WAITING_TOLD
    )
    _keep(batch, alarm)
    batch.event("stalled", name=mailbox.name, kind=alarm.kind, evidence=alarm.evidence)
    waiting = waiting_for(batch, mailbox)
    notify(batch, waiting, f"⚠ You wait for {mailbox.name}: it {alarm.evidence}.")
    agent_watches.happened(batch, mailbox, "stuck", alarm.evidence, told={m.id for m in waiting})


def close(batch: Batch, alarm: Alarm) -> None:
    batch.journal.drop(batch.state.alarms, alarm.id)
    batch.store.save_alarm(replace(alarm, closed_s=batch.now.term_s))
    batch.event("goes_on", kind=alarm.kind, alarm=alarm.id)


def escalate(batch: Batch, alarm: Alarm) -> float | None:
    """Tell the person once it is time. Returns the term second at which it will be; None if nothing is left to tell."""
    if alarm.told >= _PERSON_TOLD:
        return None
    due_s = alarm.opened_s + PERSON_S
    if batch.now.term_s < due_s:
        return due_s
    mailbox = batch.state.by_id[alarm.mailbox_id]
    waiting = waiting_for(batch, mailbox)
    persons = [m for m in batch.state.by_id.values() if is_person(m) and m is not mailbox and m not in waiting]
    notify(batch, persons, f"⚠ {mailbox.name} is stuck: it {alarm.evidence}.")
    _keep(batch, replace(alarm, told=_PERSON_TOLD))
    return None


def _keep(batch: Batch, alarm: Alarm) -> None:
    batch.journal.put(batch.state.alarms, alarm.id, alarm)
    batch.store.save_alarm(alarm)


def is_person(mailbox: Mailbox) -> bool:
    session = mailbox.session
    return mailbox.claimed and session is not None and session.body is not None and session.body.person


def open_questions(batch: Batch, mailbox: Mailbox) -> list[tuple[int, Mailbox]]:
    """(id, who asked) of the questions that an agent has not answered, and whose time is not over."""
    found = []
    for question in batch.store.questions_of(mailbox.id):
        asker = batch.state.by_id.get(question.asker_id)
        mine = question.asked_id == mailbox.id and question.answer_id is None and question.deadline_s > batch.now.due_s
        if mine and asker is not None and asker is not mailbox:
            found.append((question.message_id, asker))
    return found


def waiting_for(batch: Batch, mailbox: Mailbox) -> list[Mailbox]:
    """Those who asked it something and have no answer."""
    return list({asker.id: asker for _, asker in open_questions(batch, mailbox)}.values())
