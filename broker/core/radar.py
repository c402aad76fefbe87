"""The stall radar: finds agents that do not go on, and who waits for them.

Theory of operation. What hooks and requests tell plans a look at an agent for the moment at which the first rule can hold
(``looks``). The chore looks at those whose moment has come, by the rules of ``stalls``, and opens or closes their alarms
(``alarms``). Processes are looked at only of agents that owe something: each 10 s, since a killed one tells nothing. At a start
everybody is looked at once, so what is due while the broker is down is found then.
"""

from math import inf

from broker.core import activity, alarms, bodies, looks, stalls
from broker.core.batch import Batch
from broker.core.chores import ROWS
from broker.core.facts import Alarm
from broker.core.letters import recipients
from broker.core.stalls import Stall, Turn
from broker.core.state import Mailbox
from broker.core.storage import Filter, StoredMessage

_KNOWN_S = 60.0
"""Seconds between looks at the debts of an agent that is known to have ended."""


def sweep(batch: Batch) -> float:
    """The chore: look at the agents whose moment has come."""
    state, now = batch.state, batch.now
    if not state.radar_begun:
        batch.journal.set(state, "radar_begun", value=True)
        _begin(batch)
    looks.wake(state, now)
    due = [mailbox_id for mailbox_id, at_s in state.looks.items() if at_s <= now.mono_s]
    for mailbox_id in due[:ROWS]:
        batch.journal.drop(state.looks, mailbox_id)
        if (mailbox := state.by_id.get(mailbox_id)) is not None and mailbox.claimed:
            _examine(batch, mailbox)
        else:
            for alarm in [a for a in state.alarms.values() if a.mailbox_id == mailbox_id]:
                alarms.close(batch, alarm)
    return min(state.looks.values(), default=inf)


def _begin(batch: Batch) -> None:
    """Plan a look at everybody with whom something may be wrong; in a new life nothing is planned."""
    state, now = batch.state, batch.now
    heard_s = max((m.activity.event_s for m in state.by_id.values()), default=0.0)
    if now.held_s or (state.stopped_s > heard_s - 60.0 and now.term_s - state.stopped_s > looks.PAUSE_S):
        state.awake_s = now.term_s
    batch.store.forget_alarms(now.term_s - batch.settings.read_ttl_s)
    owing = batch.store.asked(now.due_s) | {claim.mailbox.id for claim in state.claims.values()}
    owing |= {alarm.mailbox_id for alarm in state.alarms.values()}
    owing |= {watch.subject_id for watch in state.agent_watches.values()}
    for alarm in state.alarms.values():
        if alarm.kind == "loop":
            _find_chain(batch, alarm)
    for mailbox in state.by_id.values():
        if mailbox.id in owing or mailbox.urgent or mailbox.activity.state not in ("", "idle"):
            looks.look(batch, mailbox, looks.PROCESS_S if alarms.is_person(mailbox) else 0.0)  # its page has to come back first


def _examine(batch: Batch, mailbox: Mailbox) -> None:
    """Apply each rule to one agent, and plan the next look."""
    state, now_s = batch.state, batch.now.term_s
    alive = bodies.alive(batch, mailbox)
    debts = debts_of(batch, mailbox)
    if alive is False and mailbox.activity.state not in ("", "ended"):
        activity.keep(batch, mailbox, activity.after(mailbox.activity, "ended", now_s))
    if alive and _runs_what_was_asked(batch, mailbox):
        activity.keep(batch, mailbox, activity.allowed(mailbox.activity, now_s))
    found: list[Stall] = []
    if alive is False:
        ended_s = mailbox.activity.since_s if mailbox.activity.state == "ended" else mailbox.last_seen_s
        if (stall := stalls.dead(max(ended_s, state.awake_s), debts)) is not None:
            found.append(stall)
    else:
        found += stalls.of_activity(mailbox.activity, batch.settings, state.awake_s)
    found += loop_of(batch, mailbox)
    alarms.settle(batch, mailbox, [stall for stall in found if stall.due_s <= now_s])
    times = [stall.due_s for stall in found if stall.due_s > now_s]
    times += [at_s for a in list(state.alarms.values()) if a.mailbox_id == mailbox.id and (at_s := alarms.escalate(batch, a))]
    if debts and alive is False:
        times.append(now_s + _KNOWN_S)
    elif (debts or _is_watched(batch, mailbox)) and _has_process(mailbox):
        times.append(now_s + looks.PROCESS_S)
    if any(stall.kind == "loop" for stall in found):
        times.append(now_s + stalls.LOOP_KEPT_S)
    if times:
        looks.look(batch, mailbox, max(0.0, min(times) - now_s))


def _runs_what_was_asked(batch: Batch, mailbox: Mailbox) -> bool:
    """True if its user was asked to allow a call, and the host has started a program since then that still runs."""
    session, asked = mailbox.session, mailbox.activity
    if asked.state != "permission" or session is None or session.body is None or session.body.kind != "session":
        return False
    if batch.now.term_s < asked.since_s + batch.settings.stall_wait_s:
        return False
    age_s = batch.youngest_child_s(session.body.pid)
    return age_s is not None and age_s < batch.now.term_s - asked.since_s


def _is_watched(batch: Batch, mailbox: Mailbox) -> bool:
    return any(w.subject_id == mailbox.id and "ended" in w.events for w in batch.state.agent_watches.values())


def _has_process(mailbox: Mailbox) -> bool:
    session = mailbox.session
    return session is not None and session.body is not None and session.body.pid > 0


def debts_of(batch: Batch, mailbox: Mailbox) -> list[str]:
    """What others wait for: its answers, the resources that it has claimed, urgent mail that it has not read."""
    questions = [f"#{number} of {asker.name}" for number, asker in alarms.open_questions(batch, mailbox)]
    claimed = [c.resource for c in batch.state.claims.values() if c.mailbox is mailbox and c.until_s > batch.now.due_s]
    owed = []
    if questions:
        owed.append(f"has not answered {_some(questions)}")
    if claimed:
        owed.append(f"holds {_some(claimed)}")
    if mailbox.urgent:
        owed.append(f"has not read {_some([f'urgent #{number}' for number in sorted(mailbox.urgent)])}")
    return owed


def _some(words: list[str]) -> str:
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return ", ".join(words[:3]) + more


# pairs that answer each other


def answered(batch: Batch, sender: Mailbox, letter: StoredMessage) -> None:
    """Plan a look at one who answers an answer: a chain of those may go on without end."""
    if batch.settings.stall_loops and letter.reply_to is not None and letter.sender_id != sender.id:
        batch.journal.put(batch.state.chains, sender.id, batch.state.last_message_id)
        looks.look(batch, sender)


def loop_of(batch: Batch, mailbox: Mailbox) -> list[Stall]:
    """The pair that goes round, of which the agent wrote last."""
    newest = batch.store.find_letter(batch.state.chains.get(mailbox.id, 0))
    to = recipients(batch, newest) if newest is not None else []
    if newest is None or len(to) != 1 or batch.now.term_s - _term_s(batch, newest) >= stalls.LOOP_KEPT_S:
        batch.journal.drop(batch.state.chains, mailbox.id)
        return []
    peer, limit = to[0], batch.settings.stall_loops
    known = any((a.mailbox_id, a.kind, a.other) == (peer.id, "loop", mailbox.name) for a in batch.state.alarms.values())
    if known or any(alarms.is_person(one) for one in (mailbox, peer)):
        return []
    acted_s = max(mailbox.activity.acted_s, peer.activity.acted_s)
    turns = [Turn(one.sender_id, _term_s(batch, one)) for one in _chain(batch, newest, {mailbox.id, peer.id}, limit * 2)]
    since_s = stalls.loop(turns, acted_s, limit)
    if since_s is None:
        return []
    evidence = f"and {peer.name} answered each other {limit} times each, and did nothing else"
    return [Stall("loop", peer.name, since_s, since_s, evidence)]


def _term_s(batch: Batch, letter: StoredMessage) -> float:
    """When a message was written, by the terms' clock."""
    return letter.created_s - batch.now.ahead_s


def _find_chain(batch: Batch, alarm: Alarm) -> None:
    """The last answer of a pair that went round before the broker's start."""
    peer = batch.state.mailboxes.get(alarm.other)
    if peer is not None:
        found, _ = batch.store.archive(alarm.mailbox_id, Filter(peer_id=peer.id), 10)
        last = next((one.letter.id for one in found if one.letter.sender_id == alarm.mailbox_id), 0)
        batch.journal.put(batch.state.chains, alarm.mailbox_id, last)


def _chain(batch: Batch, newest: StoredMessage, pair: set[int], most: int) -> list[StoredMessage]:
    """An answer and what it answers, the newest first, as long as both write."""
    chain: list[StoredMessage] = []
    letter: StoredMessage | None = newest
    while letter is not None and letter.reply_to is not None and letter.sender_id in pair and len(chain) < most:
        chain.append(letter)
        letter = batch.store.find_letter(letter.reply_to)
    return chain
