"""Who waits for mail gets it or is told of it: subscriptions, watchers, long polls; and what time brings back or ends."""

from typing import Any

from broker.core import ways
from broker.core.batch import Arrival, Batch, Incoming, Outgoing
from broker.core.bodies import connection_of
from broker.core.delivery import DEFAULT_MAX_BYTES, fetch, fetch_ids, reply
from broker.core.facts import Way
from broker.core.leases import expired_leases, note_use, return_leases
from broker.core.sessions import act_as
from broker.core.state import Landing, Mailbox, Session, Subscription, Watcher
from broker.core.values import land_word
from broker.core.waits import WAITS, drop_waiters, ended_waiters
from broker.core.wakes import LOOK_S, armed, arrived
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name

DEFAULT_WINDOW: int = ACTIONS["subscribe"].field("window").default
"""Messages that a subscription may hold unacknowledged."""
_FORMER_DOOR = "hook"
"""What a monitor of 0.3.0 calls itself. It tells its host at each push, so it gets one when its turn has come."""


def subscribe(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "instance_id")
    mailbox, request_id = session.mailbox, request.body.get("id")
    route, client = connection_of(request)
    note_use(batch.state, route, mailbox)
    if request.body.get("notify"):
        return watch(batch, session, request)
    window = request.body.get("window") or DEFAULT_WINDOW
    batch.journal.set(mailbox, "subscription", Subscription(route, request_id, session, window, client))
    batch.wake(mailbox)
    return {"message": f"Subscribed {mailbox.name}"}


def watch(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Tell the connection of new mail. With ``ways`` it also gives the notices that wake the agent, when it is told to."""
    mailbox, body, request_id = session.mailbox, request.body, request.body.get("id")
    route, client = connection_of(request)
    others = [w for w in mailbox.watchers if (w.route, w.request_id) != (route, request_id)]
    if len(others) >= WAITS:
        raise IpcError("overloaded", limit=WAITS)
    names = body.get("ways") or []
    if not all(is_name(name) for name in names):  # others read them in notices
        raise IpcError("bad_request", detail="ways is a list of words of 1 to 32 letters, digits, hyphens or underscores")
    former = body.get("ways") is None and request.door == _FORMER_DOOR
    batch.journal.set(mailbox, "watchers", [*others, Watcher(route, request_id, session, client, former)])
    told = {"message": f"Watching {mailbox.name}", "unread": 0 if former else mailbox.loud}
    if not names and not former:
        return told
    look_s = float(body.get("look_s") or LOOK_S)
    before = ways.names(mailbox)
    held = ways.arm(
        batch,
        mailbox,
        [Way(n, route, request_id, look_s, ways.Is.OFF, batch.now.term_s, former=former) for n in names or ("monitor",)],
    )
    if not set(held) <= set(before):
        armed(batch, mailbox)
    return told if former else {**told, "armed": held}


def unsubscribe(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """End one or all of this connection's subscriptions of the session, or the wait of one request, which is answered."""
    act_as(batch, session, request, "instance_id")
    mailbox, route, number = session.mailbox, request.route, request.body.get("subscription")

    def meant(one: Subscription | Watcher | Way) -> bool:
        return one.route == route and number in (None, one.request_id)

    if mailbox.subscription is not None and meant(mailbox.subscription):
        batch.journal.set(mailbox, "subscription", None)
    batch.journal.set(mailbox, "watchers", [w for w in mailbox.watchers if not meant(w)])
    ways.disarm(batch, mailbox, meant)
    for waiter in drop_waiters(mailbox, route, number, batch.journal) if number is not None else ():
        reply(batch, waiter, mailbox, [], state="open" if waiter.question_id else None)
    return {"message": f"Unsubscribed {mailbox.name}"}


def hand_out(batch: Batch) -> None:
    """Give the mail of this batch to those who wait for it; part of the same transaction."""
    for mailbox, question_id, answer_id in batch.answered:
        hand_answer(batch, mailbox, question_id, answer_id)
    for mailbox in list(batch.woken.values()):
        for waiter in mailbox.waiters:
            if mailbox.available <= 0:
                break
            messages = fetch(batch, mailbox, waiter.route, waiter.limit, waiter.max_bytes, waiter.land)
            if messages:
                batch.journal.set(mailbox, "waiters", [w for w in mailbox.waiters if w is not waiter])
                reply(batch, waiter, mailbox, messages)
        push(batch, mailbox)
        arrival = batch.arrived.get(mailbox.id)
        if arrival is not None and mailbox.loud > 0:
            tell_watchers(batch, mailbox, arrival)
    batch.woken.clear()
    batch.answered.clear()
    batch.arrived.clear()


def hand_answer(batch: Batch, mailbox: Mailbox, question_id: int, answer_id: int) -> None:
    """Give an answer to the ``ask`` that waits for it, before anything else can take it; a second one is told ``answered``."""
    waiting = [w for w in mailbox.askers if w.question_id == question_id]
    batch.journal.set(mailbox, "askers", [w for w in mailbox.askers if w.question_id != question_id])
    for waiter in waiting:
        reply(
            batch, waiter, mailbox, fetch_ids(batch, mailbox, waiter.route, [answer_id], 1, waiter.max_bytes), state="answered"
        )


def tell_watchers(batch: Batch, mailbox: Mailbox, arrival: Arrival) -> None:
    urgent = mailbox.urgent - mailbox.leased.keys()
    senders, land = arrival.senders, arrival.land
    if not senders:  # mail that came back: of all that waits
        senders = dict.fromkeys(batch.store.senders(mailbox.id), False)
        mild = len(mailbox.later - mailbox.leased.keys())
        land = Landing.AT_ONCE if urgent else Landing.AFTER_TOOL if mailbox.loud > mild else Landing.AT_END
    told: dict[str, Any] = {"unread": mailbox.available, "interrupt": len(urgent)}
    told |= {"from": list(senders), "land": land_word(land)}
    for watcher in mailbox.watchers:
        if not watcher.former:
            batch.out.append(Outgoing(watcher.route, {"push": "new", "id": watcher.request_id, **told}, mailbox))
    arrived(batch, mailbox, land, senders)


def push(batch: Batch, mailbox: Mailbox) -> None:
    subscription = mailbox.subscription
    if subscription is None or mailbox.available <= 0:
        return
    room = subscription.window - len(mailbox.leased)
    if room <= 0:
        return
    messages = fetch(batch, mailbox, subscription.route, room, DEFAULT_MAX_BYTES)
    if messages:
        body = {"push": "mail", "id": subscription.request_id, "messages": messages, "more": mailbox.available}
        batch.out.append(Outgoing(subscription.route, body, mailbox, tuple(int(m["id"]) for m in messages)))


def expire(batch: Batch) -> None:
    """What the passing of time does: ended leases come back, ended waits are answered."""
    while batch.state.given_back:
        mailbox_id = batch.state.given_back.pop()
        batch.journal.on_rollback(batch.state.given_back.add, mailbox_id)
        if mailbox_id in batch.state.by_id:
            batch.offer_again(batch.state.by_id[mailbox_id])
    for mailbox_id, ids in expired_leases(batch.state, batch.now.mono_s, batch.journal).items():
        mailbox = batch.state.by_id[mailbox_id]
        return_leases(mailbox, ids, batch.journal)
        batch.offer_again(mailbox)
    for mailbox, waiter in ended_waiters(batch.state, batch.now.mono_s, batch.journal):
        # the last moment of a wait may be the first of a returned lease
        mail = [] if waiter.question_id else fetch(batch, mailbox, waiter.route, waiter.limit, waiter.max_bytes, waiter.land)
        reply(batch, waiter, mailbox, mail, state="open" if waiter.question_id else None)
