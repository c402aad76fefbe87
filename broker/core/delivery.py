"""Mail goes out: check, long poll, push, lease, acknowledgement.

    queued --fetch--> leased --ack--> read
       ^                |
       +--- release, lease end, session replaced, undeliverable reply: comes back as ``redelivered``

A lease lives in memory; that a message was handed out once is marked on disk (``attempts``), so that after a crash it
comes back as redelivered. Acknowledgement is durable before it is answered.
"""

import heapq
from typing import Any

import msgpack

from broker.core.accounts import iso
from broker.core.port import Mail
from broker.core.state import Mailbox, Session, Subscription, Waiter
from broker.core.turn import Incoming, Outgoing, Turn, act_as
from broker.errors import IpcError

DEFAULT_LIMIT = 100
DEFAULT_MAX_BYTES = 1024 * 1024
DEFAULT_WINDOW = 100


def check(turn: Turn, session: Session, request: Incoming) -> dict[str, Any] | None:
    """The mail there is; None if the reply comes later, when there is some or the wait is over."""
    act_as(turn, session, request, "instance_id")
    body, mailbox = request.body, session.mailbox
    limit, max_bytes = body.get("limit") or DEFAULT_LIMIT, body.get("max_bytes") or DEFAULT_MAX_BYTES
    messages = fetch(turn, mailbox, limit, max_bytes)
    wait_s = body.get("wait_s") or 0
    if not messages and wait_s > 0:
        deadline_s = turn.now.mono_s + wait_s
        waiter = Waiter(request.route, body.get("id"), session, deadline_s, limit, max_bytes)
        turn.state.add_waiter(mailbox, waiter, turn.journal)
        return None
    reply(turn, request.route, body.get("id"), mailbox, messages)
    return None


def reply(turn: Turn, route: bytes, request_id: Any, mailbox: Mailbox, messages: list[dict[str, Any]]) -> None:
    body = {"id": request_id, "status": "ok", "messages": messages, "more": mailbox.available}
    turn.out.append(Outgoing(route, body, mailbox, tuple(int(m["id"]) for m in messages)))


def fetch(turn: Turn, mailbox: Mailbox, limit: int, max_bytes: int) -> list[dict[str, Any]]:
    """Lease the next messages of a mailbox, oldest first, returned ones before new ones."""
    if mailbox.available <= 0:
        return []
    journal, until_s = turn.journal, turn.now.mono_s + turn.settings.lease_s
    returned = list(mailbox.returned)
    first = [heapq.heappop(returned) for _ in range(min(limit, len(returned)))]
    taken: list[dict[str, Any]] = []
    size = 0
    cursor = mailbox.cursor
    kept = set(first)
    for mail in turn.store.fetch(mailbox.id, first, mailbox.cursor, turn.now.wall_s):
        if len(taken) >= limit:
            break
        size += len(mail.content) + len(mail.data or b"")
        if taken and size > max_bytes:
            break
        taken.append(render(mail, mailbox.name))
        kept.discard(mail.id)
        cursor = max(cursor, mail.id)
    if not taken:
        return []
    ids = [int(m["id"]) for m in taken]
    for message_id in kept:
        heapq.heappush(returned, message_id)
    journal.set(mailbox, "returned", returned)
    journal.set(mailbox, "cursor", cursor)
    for message_id in ids:
        turn.state.add_lease(mailbox, message_id, until_s, journal)
    turn.store.mark_delivered(mailbox.id, ids)
    return taken


def render(mail: Mail, to: str) -> dict[str, Any]:
    message: dict[str, Any] = {"content": mail.content}
    if mail.data is not None:
        message["data"] = msgpack.unpackb(mail.data)
    body: dict[str, Any] = {
        "from": mail.sender,
        "to": to,
        "timestamp": iso(mail.created_s),
        "message": message,
        "id": str(mail.id),
    }
    if mail.attempts:
        body["redelivered"] = True
    if mail.file_path is not None:
        body["file"] = {"path": mail.file_path, "size_bytes": mail.file_size, "sha256": mail.file_sha256}
    return body


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


def ack(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "instance_id")
    mailbox, ids = session.mailbox, read_ids(request)
    acked = [i for i in ids if i in mailbox.leased]
    if len(acked) < len(ids):  # a lease that ended, or the broker restarted since
        others = [i for i in dict.fromkeys(ids) if i not in mailbox.leased]
        acked = list(dict.fromkeys(acked)) + turn.store.waiting(mailbox.id, others)
    gone = set(acked)
    if not gone:
        return {"acked": 0}
    for message_id in gone:
        turn.journal.drop(mailbox.leased, message_id)
    if mailbox.returned:
        turn.journal.set(mailbox, "returned", sorted(i for i in mailbox.returned if i not in gone))
    turn.journal.set(mailbox, "queued", mailbox.queued - len(gone))
    turn.store.mark_read(mailbox.id, sorted(gone), turn.now.wall_s)
    if mailbox.available > 0:
        turn.wake(mailbox)
    return {"acked": len(gone)}


def release(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "instance_id")
    ids = read_ids(request) if request.body.get("ids") is not None else list(session.mailbox.leased)
    count = turn.state.return_leases(session.mailbox, ids, turn.journal)
    turn.wake(session.mailbox)
    return {"released": count}


def subscribe(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "instance_id")
    window = request.body.get("window") or DEFAULT_WINDOW
    subscription = Subscription(request.route, request.body.get("id"), session, window)
    turn.journal.set(session.mailbox, "subscription", subscription)
    turn.wake(session.mailbox)
    return {"message": f"Subscribed {session.mailbox.name}"}


def unsubscribe(turn: Turn, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(turn, session, request, "instance_id")
    turn.journal.set(session.mailbox, "subscription", None)
    return {"message": f"Unsubscribed {session.mailbox.name}"}


def hand_out(turn: Turn) -> None:
    """Give the mail of this batch to those who wait for it; part of the same transaction."""
    for mailbox in list(turn.woken.values()):
        while mailbox.waiters and mailbox.available > 0:
            waiter = mailbox.waiters[0]
            turn.journal.set(mailbox, "waiters", mailbox.waiters[1:])
            messages = fetch(turn, mailbox, waiter.limit, waiter.max_bytes)
            if not messages:
                turn.journal.set(mailbox, "waiters", [waiter, *mailbox.waiters])
                break
            reply(turn, waiter.route, waiter.request_id, mailbox, messages)
        push(turn, mailbox)
    turn.woken.clear()


def push(turn: Turn, mailbox: Mailbox) -> None:
    subscription = mailbox.subscription
    if subscription is None or mailbox.available <= 0:
        return
    room = subscription.window - len(mailbox.leased)
    if room <= 0:
        return
    messages = fetch(turn, mailbox, room, DEFAULT_MAX_BYTES)
    if messages:
        body = {"push": "mail", "id": subscription.request_id, "messages": messages, "more": mailbox.available}
        turn.out.append(Outgoing(subscription.route, body, mailbox, tuple(int(m["id"]) for m in messages)))


def expire(turn: Turn) -> None:
    """What the passing of time does: ended leases come back, ended waits are answered."""
    for mailbox_id, ids in turn.state.expired_leases(turn.now.mono_s, turn.journal).items():
        mailbox = turn.state.by_id[mailbox_id]
        turn.state.return_leases(mailbox, ids, turn.journal)
        turn.wake(mailbox)
    for mailbox, waiter in turn.state.ended_waiters(turn.now.mono_s, turn.journal):
        reply(turn, waiter.route, waiter.request_id, mailbox, [])
