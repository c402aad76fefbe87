"""Waking idle agents: when a notice is given, by which way, and what happens if it brings nothing.

    mail arrives --> a burst is gathered --> no turn runs --> the best armed way is given a notice
                   (``wake_budget``: longer                      |-- sign: the agent is at work
                    behind a turn)                               |-- no sign, or it could not: the next way
                                                                 '-- no way is left: the sender is told

A mailbox has one notice outstanding. It tells of all mail that waits, so mail that comes meanwhile waits for what becomes of
it. Mail that lands at once waits neither for a burst nor for the end of a turn. While a turn runs nothing proves that a
notice failed: that is decided when the turn is over. A notice points to mail and acknowledges none.
"""

from collections.abc import Mapping
from math import inf
from typing import Any

from broker.core import ways
from broker.core.batch import Batch, Incoming, Outgoing
from broker.core.chores import ROWS
from broker.core.facts import Waking, Way
from broker.core.next_way import newest_for, speaks, writers_of
from broker.core.notices import notify
from broker.core.sessions import act_as
from broker.core.state import Landing, Mailbox, Session
from broker.core.steps import pushed
from broker.core.turns import runs_until_s
from broker.core.values import land_word
from broker.core.wake_budget import allows, charge, pause_until_s, wakes
from broker.core.ways import Happens, go_on_at, keep
from broker.protocol.actions import ACTIONS
from broker.protocol.names import SYSTEM

_FAILURES = {"failed": Happens.COULD_NOT, "refused": Happens.HOST_REFUSED}
_WORDS = {
    Happens.NO_SIGN: "no turn began",
    Happens.COULD_NOT: "it could not be told",
    Happens.HOST_REFUSED: "its host refused",
    Happens.GIVEN: "its process ended",
}
_MARKED = 200
"""Messages whose receipts one notice marks as pushed."""
LOOK_S: float = ACTIONS["subscribe"].field("look_s").default


def arrived(batch: Batch, mailbox: Mailbox, land: int, senders: Mapping[str, bool]) -> None:
    """A notice is due of mail that came. ``senders``: names, True where no budget of wakes holds; none: those of all mail."""
    waking = mailbox.waking
    if not waking.ways:
        return
    if not waking.called and waking.due_s == inf:
        waking = ways.all_after(waking, Happens.NEW_MAIL, batch.now.term_s)
    causes = dict(waking.causes)
    if not senders and any(way.senders for way in waking.ways):
        causes.setdefault(0, False)  # among all that waits may be mail of any of them
    for name, passes in (senders or writers_of(batch, mailbox)).items():
        sender = batch.state.mailboxes.get(name)
        sender_id = 0 if sender is None else sender.id
        causes[sender_id] = passes or name == SYSTEM or causes.get(sender_id, False)
    urgent = waking.urgent or land == Landing.AT_ONCE
    due_s = batch.now.mono_s if urgent else min(waking.due_s, batch.now.mono_s + ways.GATHER_S)
    in_turn = waking.in_turn or runs_until_s(batch, mailbox) > 0
    due = waking._replace(due_s=due_s, urgent=urgent, land=max(land, waking.land), in_turn=in_turn, causes=causes)
    keep(batch, mailbox, due)
    go_on_at(batch, mailbox, due_s)


def turn_over(batch: Batch, mailbox: Mailbox) -> None:
    """A turn has ended. What it left is told now; a notice of mail that was given meanwhile has as long again."""
    now_s = batch.now.mono_s
    waking = mailbox.waking._replace(ended_s=now_s)
    keep(batch, mailbox, waking)
    if waking.called:
        look_s = next((way.look_s for way in waking.ways if way.name == waking.called), LOOK_S)
        keep(batch, mailbox, waking._replace(until_s=min(waking.until_s, now_s + look_s)))
        go_on_at(batch, mailbox, mailbox.waking.until_s)
    if waking.due_s < inf:
        go_on_at(batch, mailbox, now_s + ways.GATHER_S)


def answer(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """The process of a way says what became of the notice that it was told to give."""
    act_as(batch, session, request, "instance_id")
    mailbox, name, result = session.mailbox, request.body["way"], request.body["result"]
    outstanding = mailbox.waking.called == name and not mailbox.waking.answered
    if result == "given":
        if outstanding:
            has_given(batch, mailbox, name)
        mark_pushed(batch, mailbox, name)
    elif outstanding:
        failed = ways.one_after(mailbox.waking, name, _FAILURES[result], batch.now.term_s)
        keep(batch, mailbox, failed._replace(until_s=0.0))
        go_on_at(batch, mailbox, batch.now.mono_s)
    held = next((way for way in mailbox.waking.ways if way.name == name), None)
    return {"way": name, "state": ways.Is.OFF if held is None else held.state}


def has_given(batch: Batch, mailbox: Mailbox, name: str) -> None:
    """The notice is with the host. It has ``look_s`` from now on to bring a sign."""
    waking = mailbox.waking
    look_s = next((way.look_s for way in waking.ways if way.name == name), LOOK_S)
    keep(batch, mailbox, waking._replace(answered=True, until_s=batch.now.mono_s + look_s))
    go_on_at(batch, mailbox, mailbox.waking.until_s)


def mark_pushed(batch: Batch, mailbox: Mailbox, name: str) -> None:
    pushed(batch, mailbox, batch.store.queued_ids(mailbox.id)[-_MARKED:], name)


def go_on(batch: Batch) -> float:
    """The chore: do what is due in each mailbox."""
    due, now_s = batch.state.waking, batch.now.mono_s
    for mailbox_id in [i for i, at_s in due.items() if at_s <= now_s][:ROWS]:
        batch.journal.drop(due, mailbox_id)
        mailbox = batch.state.by_id.get(mailbox_id)
        if mailbox is not None:
            look_at(batch, mailbox)
    return min(due.values(), default=inf)


def look_at(batch: Batch, mailbox: Mailbox) -> None:
    """Decide what is to be done now: wait on, give a notice, or give up."""
    waking, now_s, turn_s = mailbox.waking, batch.now.mono_s, runs_until_s(batch, mailbox)
    again = bool(waking.called)
    at_s = waking.until_s if again else waking.due_s
    urgent = waking.urgent and not mailbox.urgent <= mailbox.leased.keys()  # unless it was read meanwhile
    if waking.answered if again else not urgent:
        at_s = max(at_s, turn_s)
    if not again and not urgent:
        at_s = max(at_s, pause_until_s(batch, mailbox))
    if at_s > now_s:
        if at_s < inf:
            go_on_at(batch, mailbox, at_s)
        return
    if again:
        nothing_came(batch, mailbox)
    elif not waking.causes:  # a way was taken over
        arrived(batch, mailbox, Landing.AT_END, {})
    way = speaks(batch, mailbox)
    held = (0, mailbox.id) in batch.state.pauses
    if held or mailbox.loud <= 0 or (way is not None and not allows(batch, mailbox)):
        rest(batch, mailbox)
    elif way is None:
        give_up(batch, mailbox, again=again) if is_to_be_told(waking) else rest(batch, mailbox)
    else:
        give(batch, mailbox, way)


def is_to_be_told(waking: Waking) -> bool:
    """Whether the senders hear of it that no way is left, as ``waking`` was before.

    Not of mail that may not start a closed agent again, nor while that is put off: then its way is gone, and comes back.
    """
    if waking.called == ways.RESUME and not waking.answered:
        return any(way.name == ways.RESUME for way in waking.ways)
    return bool(waking.called) or any(not way.senders for way in waking.ways)


def nothing_came(batch: Batch, mailbox: Mailbox) -> None:
    """The outstanding notice brought no sign, or was not given; then it does not count."""
    waking = mailbox.waking
    after = ways.one_after(waking, waking.called, Happens.NO_SIGN, batch.now.term_s)
    given = waking.given if waking.answered else waking.given[:-1]
    keep(batch, mailbox, after._replace(called="", until_s=inf, answered=False, given=given))


def rest(batch: Batch, mailbox: Mailbox) -> None:
    """Nothing is to be said until more mail comes."""
    keep(batch, mailbox, mailbox.waking._replace(due_s=inf, urgent=False, land=0, in_turn=False, causes={}, announced={}))


def give(batch: Batch, mailbox: Mailbox, way: Way) -> None:
    """Have the way's process give a notice of all mail that waits."""
    waking = ways.one_after(mailbox.waking, way.name, Happens.GIVEN, batch.now.term_s)
    count = {"unread": mailbox.available, "interrupt": len(mailbox.urgent - mailbox.leased.keys())}
    about = {**count, "from": list(batch.store.senders(mailbox.id)), "land": land_word(waking.land)}
    announced = ways.causes_of(waking)
    called = waking._replace(
        due_s=inf, urgent=False, land=0, in_turn=False, causes={}, announced=announced, called=way.name, answered=False
    )
    keep(batch, mailbox, called._replace(until_s=batch.now.mono_s + way.look_s))
    charge(batch, mailbox)
    go_on_at(batch, mailbox, mailbox.waking.until_s)
    if way.former:
        batch.out.append(Outgoing(way.route, {"push": "new", "id": way.request_id, **about}, mailbox))
        has_given(batch, mailbox, way.name)
        mark_pushed(batch, mailbox, way.name)
        return
    about |= {"way": way.name, "newest": str(newest_for(batch, mailbox, way)), "instance_id": mailbox.name}
    batch.out.append(Outgoing(way.route, {"push": "wake", "id": way.request_id, **about}, mailbox))


def give_up(batch: Batch, mailbox: Mailbox, *, again: bool) -> None:
    """No way is left. The mail waits for the agent's next turn. Its senders are told, once until the agent gives a sign."""
    waking = mailbox.waking
    unheard = waking.announced if again else waking.causes
    senders = [m for i in unheard if i not in waking.told and (m := batch.state.by_id.get(i)) is not None]
    tried = ", ".join(f"{way.name}: {_WORDS[way.result]}" for way in waking.ways if way.result in _WORDS)
    if senders:
        notify(
            batch,
            senders,
            land=Landing.AS_DIGEST,
            text=f"💤 {mailbox.name} was not woken by your mail, which waits for its next turn ({tried})",
        )
    batch.event("nobody_woken", name=mailbox.name, ways=tried)
    left = waking._replace(announced={}, told=waking.told | unheard.keys())
    if again and waking.due_s < inf:  # mail that came while the last notice was out
        keep(batch, mailbox, ways.all_after(left, Happens.NEW_MAIL, batch.now.term_s))
        go_on_at(batch, mailbox, max(waking.due_s, batch.now.mono_s))
    else:
        keep(batch, mailbox, left)
        rest(batch, mailbox)


def armed(batch: Batch, mailbox: Mailbox) -> None:
    """A way was armed. A notice is due of mail that waits, by this way if others failed before."""
    waking = mailbox.waking
    if mailbox.loud > 0 and not waking.called:
        keep(batch, mailbox, waking._replace(due_s=min(waking.due_s, batch.now.mono_s + ways.GATHER_S)))
        urgent = mailbox.urgent - mailbox.leased.keys()
        arrived(batch, mailbox, Landing.AT_ONCE if urgent else Landing.AT_END, {})


def described(batch: Batch, mailbox: Mailbox) -> dict[str, Any]:
    """What ``status`` says of an agent that can be woken."""
    rows = ways.shown(batch, mailbox)
    return {"ways": rows, "woken": wakes(batch, mailbox)} if rows else {}
