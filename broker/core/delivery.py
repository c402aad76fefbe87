"""Mail goes out: check, long poll, push, lease, acknowledgement.

    queued --fetch--> leased --ack--> read
       ^                |
       |                +--- touch: leased for longer
       +--- release, lease end, session replaced, undeliverable reply: comes back as ``redelivered``
       +--- end of the connection that got it, unless it was touched: likewise

A lease lives in memory; that a message was handed out once is marked on disk (``attempts``), so that after a crash it
comes back as redelivered. Acknowledgement is durable before it is answered.
"""

from collections.abc import Iterable
from typing import Any

import msgpack
import orjson

from broker.core.accounts import iso, iso_term
from broker.core.batch import Arrival, Batch, Incoming, Outgoing, act_as
from broker.core.state import INTERRUPT, TOOL, TURN, WAITS, Lease, Mailbox, Route, Session, Subscription, Waiter, Watcher
from broker.core.storage import Delivery, OpenQuestion
from broker.protocol.actions import LANDINGS
from broker.protocol.errors import IpcError

DEFAULT_LIMIT = 100
DEFAULT_MAX_BYTES = 1024 * 1024
DEFAULT_WINDOW = 100
_SKIPPED = 1000
"""Milder messages passed over by one fetch; the next goes on behind them."""
_NONE_NEW = 2**62


def check(batch: Batch, session: Session, request: Incoming) -> dict[str, Any] | None:
    """The mail there is; None if the reply comes later, when there is some or the wait is over."""
    act_as(batch, session, request, "instance_id")
    body, mailbox = request.body, session.mailbox
    limit, max_bytes = body.get("limit") or DEFAULT_LIMIT, body.get("max_bytes") or DEFAULT_MAX_BYTES
    land = LANDINGS.index(body["land"]) if body.get("land") else TURN
    messages = fetch(batch, mailbox, request.route, limit, max_bytes, land)
    wait_s = body.get("wait_s") or 0
    waiter = Waiter(request.route, body.get("id"), session, batch.now.mono_s + wait_s, limit, max_bytes, land)
    waiter.fields = batch.ignored
    if not messages and wait_s > 0:
        wait(batch, mailbox, waiter)
    else:
        reply(batch, waiter, mailbox, messages)
    return None


def answer_ask(
    batch: Batch, session: Session, request: Incoming, question: OpenQuestion, sent: dict[str, Any]
) -> dict[str, Any] | None:
    """The reply to an ``ask`` that is stored: with the answer if it has come, else at once or when it comes."""
    mailbox, wait_s = session.mailbox, request.body.get("wait_s") or 0
    until_s = batch.now.mono_s + wait_s
    waiter = Waiter(request.route, request.body.get("id"), session, until_s, 1, DEFAULT_MAX_BYTES, TURN, question.message_id)
    waiter.fields = {**sent, **batch.ignored}
    if question.answer_id is not None:
        messages = fetch_ids(batch, mailbox, request.route, [question.answer_id], 1, DEFAULT_MAX_BYTES)
        reply(batch, waiter, mailbox, messages, state="answered")
    elif wait_s > 0:
        wait(batch, mailbox, waiter)
    else:
        reply(batch, waiter, mailbox, [], state="open")
    return None


def wait(batch: Batch, mailbox: Mailbox, waiter: Waiter) -> None:
    """Answer a long poll later. Where too many wait, the oldest of them is over: nobody may be there any more to hear of it."""
    oldest = batch.state.add_waiter(mailbox, waiter, batch.journal)
    if oldest is not None:
        reply(batch, oldest, mailbox, [], state="open" if oldest.question_id else None)


def reply(batch: Batch, to: Waiter, mailbox: Mailbox, messages: list[dict[str, Any]], state: str | None = None) -> None:
    """Answer a ``check``, or with a state an ``ask``."""
    body = {"id": to.request_id, "status": "ok", **to.fields, "messages": messages, "more": mailbox.available}
    if state is not None:
        body["state"] = state
    batch.out.append(Outgoing(to.route, body, mailbox, tuple(int(m["id"]) for m in messages)))


def fetch(batch: Batch, mailbox: Mailbox, to: Route, limit: int, max_bytes: int, land: int = TURN) -> list[dict[str, Any]]:
    """Lease a connection the next messages that land at ``land`` or before: oldest first, returned ones before new ones."""
    if mailbox.available <= 0:
        return []
    if land == INTERRUPT:
        ids = sorted(mailbox.urgent - mailbox.leased.keys())
        return fetch_ids(batch, mailbox, to, ids, limit, max_bytes) if ids else []
    passed_over = mailbox.later if land == TOOL else frozenset()
    # all that came back is offered: some of it may have expired, and hide what is behind it until it is swept
    first = [i for i in mailbox.returned if i not in passed_over]
    taken: list[Delivery] = []
    shown: list[dict[str, Any]] = []
    skipped: list[int] = []
    size, cursor = 0, mailbox.cursor
    for mail in batch.store.fetch(mailbox.id, first, mailbox.cursor, batch.now.due_s):
        if len(taken) >= limit or len(skipped) >= _SKIPPED:
            break
        if mail.id in mailbox.leased:  # it was taken out of turn
            continue
        if mail.id in passed_over:
            skipped.append(mail.id)
        else:
            body = render(batch, mail, mailbox.name)
            size += encoded_size(body)
            if taken and size > max_bytes:
                break
            taken.append(mail)
            shown.append(body)
        cursor = max(cursor, mail.id)
    if not taken and not skipped:
        return []
    got = {m.id: None for m in taken}
    if skipped or mailbox.returned:
        batch.journal.set(mailbox, "returned", sorted([*(i for i in mailbox.returned if i not in got), *skipped]))
    batch.journal.set(mailbox, "cursor", cursor)
    lease(batch, mailbox, to, got)
    return shown


def fetch_ids(batch: Batch, mailbox: Mailbox, to: Route, ids: list[int], limit: int, max_bytes: int) -> list[dict[str, Any]]:
    """Lease a connection these messages out of turn, as far as they are unread and nobody holds them."""
    shown: dict[int, dict[str, Any]] = {}
    size = 0
    for mail in batch.store.fetch(mailbox.id, [i for i in ids if i not in mailbox.leased], _NONE_NEW, batch.now.due_s):
        body = render(batch, mail, mailbox.name)
        size += encoded_size(body)
        if len(shown) >= limit or (shown and size > max_bytes):
            break
        shown[mail.id] = body
    if mailbox.returned and shown:
        batch.journal.set(mailbox, "returned", [i for i in mailbox.returned if i not in shown])
    lease(batch, mailbox, to, shown)
    return list(shown.values())


def lease(batch: Batch, mailbox: Mailbox, to: Route, ids: Iterable[int]) -> None:
    """Hand messages out until the lease or the connection ends."""
    held = Lease(batch.now.mono_s + batch.settings.lease_s, to)
    for message_id in ids:
        batch.state.add_lease(mailbox, message_id, held, batch.journal)
    batch.state.note_use(to, mailbox)
    batch.store.mark_delivered(mailbox.id, list(ids))


def encoded_size(message: dict[str, Any]) -> int:
    """Bytes of a message as JSON in a list, which no door's form of it exceeds but for the names of large files."""
    return len(orjson.dumps(message)) + 1


def render(batch: Batch, mail: Delivery, to: str) -> dict[str, Any]:
    message: dict[str, Any] = {"content": mail.content}
    if mail.data is not None:
        message["data"] = msgpack.unpackb(mail.data)
    body: dict[str, Any] = {
        "from": mail.sender,
        "to": to,
        "timestamp": iso(mail.created_s),
        "message": message,
        "id": str(mail.id),
        "land": LANDINGS[mail.land],
    }
    if mail.attempts:
        body["redelivered"] = True
    if mail.file_path is not None:
        body["file"] = {"path": mail.file_path, "size_bytes": mail.file_size, "sha256": mail.file_sha256}
    if mail.thread_id is not None:
        body["thread"] = str(mail.thread_id)
    if mail.reply_to is not None:
        body["reply_to"] = str(mail.reply_to)
    if mail.extra is not None:
        body.update(render_extra(batch, mail.id, msgpack.unpackb(mail.extra)))
    return body


def render_extra(batch: Batch, message_id: int, extra: dict[str, Any]) -> dict[str, Any]:
    """What few messages have, as a reader sees it."""
    shown: dict[str, Any] = {k: extra[k] for k in ("group", "hops") if k in extra}
    if "supersedes" in extra:
        shown["supersedes"] = str(extra["supersedes"])
    if "forwarded" in extra:
        first = extra["forwarded"]
        shown["forwarded"] = {"from": first["from"], "id": first["id"], "timestamp": iso(first["at"])}
    if "question" in extra:
        asker = batch.state.by_id.get(extra["question"]["asker"])
        waiting = asker is not None and any(w.question_id == message_id for w in asker.askers)
        shown["question"] = {"deadline": iso_term(batch, extra["question"]["deadline"]), "waiting": waiting}
    return shown


def count(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """What a ``check`` would find, without one."""
    act_as(batch, session, request, "instance_id")
    mailbox = session.mailbox
    found = {"unread": mailbox.available, "interrupt": len(mailbox.urgent - mailbox.leased.keys())}
    if mailbox.available <= 0:
        return {**found, "from": {}}
    newest = str(batch.store.newest(mailbox.id))
    return {**found, "from": batch.store.senders(mailbox.id), "newest": newest, "instance_id": mailbox.name}


def read_ids(request: Incoming) -> list[int]:
    ids = []
    for value in request.body["ids"]:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
            ids.append(int(value))
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            ids.append(value)
        else:
            raise IpcError("bad_request", detail="ids must be message ids as check gave them")
    return ids


def ack(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "instance_id")
    mailbox, ids = session.mailbox, read_ids(request)
    acked = [i for i in ids if i in mailbox.leased]
    if len(acked) < len(ids):  # a lease that ended, or the broker restarted since
        others = [i for i in dict.fromkeys(ids) if i not in mailbox.leased]
        acked = list(dict.fromkeys(acked)) + batch.store.waiting(mailbox.id, others)
    gone = set(acked)
    if not gone:
        return {"acked": 0}
    batch.state.forget_mail(mailbox, gone, batch.journal)
    batch.store.mark_read(mailbox.id, sorted(gone), batch.now.term_s)
    if mailbox.available > 0:
        batch.wake(mailbox)
    return {"acked": len(gone)}


def release(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "instance_id")
    ids = read_ids(request) if request.body.get("ids") is not None else list(session.mailbox.leased)
    mailbox = session.mailbox
    if request.body.get("unseen"):
        batch.store.unmark_delivered(mailbox.id, [i for i in dict.fromkeys(ids) if i in mailbox.leased])
    count = batch.state.return_leases(mailbox, ids, batch.journal)
    batch.offer_again(mailbox)
    return {"released": count}


def touch(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Hold leased mail for longer, whatever becomes of its connection; what is not on lease any more stays so."""
    act_as(batch, session, request, "instance_id")
    mailbox = session.mailbox
    held = [i for i in dict.fromkeys(read_ids(request)) if i in mailbox.leased]
    longer = Lease(batch.now.mono_s + (request.body.get("lease_s") or batch.settings.lease_s), None)
    for message_id in held:
        batch.state.add_lease(mailbox, message_id, longer, batch.journal)
    return {"touched": len(held)}


def subscribe(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "instance_id")
    mailbox, route, request_id = session.mailbox, request.route, request.body.get("id")
    batch.state.note_use(route, mailbox)
    if request.body.get("notify"):
        others = [w for w in mailbox.watchers if (w.route, w.request_id) != (route, request_id)]
        if len(others) >= WAITS:
            raise IpcError("overloaded", limit=WAITS)
        batch.journal.set(mailbox, "watchers", [*others, Watcher(route, request_id, session)])
        return {"message": f"Watching {mailbox.name}", "unread": mailbox.available}
    window = request.body.get("window") or DEFAULT_WINDOW
    batch.journal.set(mailbox, "subscription", Subscription(route, request_id, session, window))
    batch.wake(mailbox)
    return {"message": f"Subscribed {mailbox.name}"}


def unsubscribe(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """End one of the session's subscriptions by this connection, or all of those; others' connections keep theirs."""
    act_as(batch, session, request, "instance_id")
    mailbox, route, number = session.mailbox, request.route, request.body.get("subscription")

    def meant(one: Subscription | Watcher) -> bool:
        return one.route == route and number in (None, one.request_id)

    if mailbox.subscription is not None and meant(mailbox.subscription):
        batch.journal.set(mailbox, "subscription", None)
    batch.journal.set(mailbox, "watchers", [w for w in mailbox.watchers if not meant(w)])
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
        if arrival is not None and mailbox.available > 0:
            tell_watchers(batch, mailbox, arrival)
    batch.woken.clear()
    batch.answered.clear()
    batch.arrived.clear()


def hand_answer(batch: Batch, mailbox: Mailbox, question_id: int, answer_id: int) -> None:
    """The ``ask`` that waits gets its answer before anything else can; a second one that waits knows it is answered."""
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
        senders = dict.fromkeys(batch.store.senders(mailbox.id))
        mild = len(mailbox.later - mailbox.leased.keys())
        land = INTERRUPT if urgent else TOOL if mailbox.available > mild else TURN
    told: dict[str, Any] = {"unread": mailbox.available, "interrupt": len(urgent)}
    told |= {"from": list(senders), "land": LANDINGS[land]}
    for watcher in mailbox.watchers:
        batch.out.append(Outgoing(watcher.route, {"push": "new", "id": watcher.request_id, **told}, mailbox))


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
    for mailbox_id, ids in batch.state.expired_leases(batch.now.mono_s, batch.journal).items():
        mailbox = batch.state.by_id[mailbox_id]
        batch.state.return_leases(mailbox, ids, batch.journal)
        batch.offer_again(mailbox)
    for mailbox, waiter in batch.state.ended_waiters(batch.now.mono_s, batch.journal):
        # the last moment of a wait may be the first of a returned lease
        mail = [] if waiter.question_id else fetch(batch, mailbox, waiter.route, waiter.limit, waiter.max_bytes, waiter.land)
        reply(batch, waiter, mailbox, mail, state="open" if waiter.question_id else None)
