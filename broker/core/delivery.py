"""Delivery: mail is fetched, leased, acknowledged or given back.

Theory of operation. The life of a message in a mailbox:

    queued --fetch--> leased --ack--> read
       ^                |
       |                |
       +--- returned ---+    (``leases`` has every way; ``endings`` what becomes of mail that is never read)

Messages go out oldest first. The mailbox's ``cursor`` is the highest id handed out: new mail is above it, mail that came back
is in ``returned`` and goes first. Mail that lands at once may be fetched before older mail; the cursor passes over it later.

A lease is in memory. That a message was handed out is marked on disk (``attempts``), so it comes again as ``redelivered``, also
after a crash. An acknowledgement is durable before it is answered.
"""

from collections.abc import Iterable
from typing import Any

from broker.core.batch import Batch, Incoming, Outgoing
from broker.core.endings import Ending, end_mail
from broker.core.far_word import told_read
from broker.core.leases import add_lease, note_use, return_leases
from broker.core.mailboxes import forget_mail
from broker.core.quiet import passed_by
from broker.core.rendering import encoded_size, render
from broker.core.sessions import act_as
from broker.core.state import Landing, Lease, Mailbox, Route, Session, Waiter
from broker.core.storage import Delivery, OpenQuestion
from broker.core.values import read_ids, read_land
from broker.core.waits import add_waiter
from broker.core.ways import sign
from broker.protocol.actions import ACTIONS

DEFAULT_LIMIT: int = ACTIONS["check"].field("limit").default
DEFAULT_MAX_BYTES: int = ACTIONS["check"].field("max_bytes").default
_SKIPPED = 1000
"""Messages that one fetch may pass over because they land later; the next fetch goes on behind them."""
_NONE_NEW = 2**62
_GUESSING_DOORS = frozenset({"hook", "mcp"})
"""Doors that acknowledge for a model, which says nothing itself."""


def check(batch: Batch, session: Session, request: Incoming) -> dict[str, Any] | None:
    """Answer with the mail that there is, or wait at most ``wait_s`` for some."""
    act_as(batch, session, request, "instance_id")
    body, mailbox = request.body, session.mailbox
    limit, max_bytes = body.get("limit") or DEFAULT_LIMIT, body.get("max_bytes") or DEFAULT_MAX_BYTES
    land = read_land(body, Landing.AS_DIGEST)
    waking = mailbox.waking
    messages = fetch(batch, mailbox, request.route, limit, max_bytes, land)
    if body.get("wakes"):
        batch.journal.set(mailbox, "waking", waking)
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
    """Answer an ``ask`` that is stored: with the answer to it, or wait at most ``wait_s`` for that."""
    mailbox, wait_s = session.mailbox, request.body.get("wait_s") or 0
    until_s = batch.now.mono_s + wait_s
    waiter = Waiter(
        request.route, request.body.get("id"), session, until_s, 1, DEFAULT_MAX_BYTES, Landing.AS_DIGEST, question.message_id
    )
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
    """Answer later. Beyond ``WAITS`` long polls of a mailbox the oldest is answered now: its client is probably gone."""
    oldest = add_waiter(batch.state, mailbox, waiter, batch.journal)
    note_use(batch.state, waiter.route, mailbox)
    if oldest is not None:
        reply(batch, oldest, mailbox, [], state="open" if oldest.question_id else None)


def reply(batch: Batch, to: Waiter, mailbox: Mailbox, messages: list[dict[str, Any]], state: str | None = None) -> None:
    """Answer a ``check``; with a ``state`` an ``ask``."""
    body = {"id": to.request_id, "status": "ok", **to.fields, "messages": messages, "more": mailbox.available}
    if state is not None:
        body["state"] = state
    batch.out.append(Outgoing(to.route, body, mailbox, tuple(int(m["id"]) for m in messages)))


def fetch(
    batch: Batch, mailbox: Mailbox, to: Route, limit: int, max_bytes: int, land: int = Landing.AS_DIGEST
) -> list[dict[str, Any]]:
    """Lease to a connection the next messages that land at ``land`` or sooner: those that came back, then new ones."""
    if mailbox.available <= 0:
        return []
    if land == Landing.AT_ONCE:
        ids = sorted(mailbox.urgent - mailbox.leased.keys())
        return fetch_ids(batch, mailbox, to, ids, limit, max_bytes) if ids else []
    passed_over = passed_by(mailbox, land)
    # offer all that came back: what has expired is not fetched, and must not hide what is behind it
    first = [i for i in mailbox.returned if i not in passed_over]
    taken: list[Delivery] = []
    shown: list[dict[str, Any]] = []
    skipped: list[int] = []
    worn: list[int] = []
    size, cursor, most = 0, mailbox.cursor, batch.settings.attempt_limit
    for mail in batch.store.fetch(mailbox.id, first, mailbox.cursor, batch.now.due_s):
        if len(taken) >= limit or len(skipped) + len(worn) >= _SKIPPED:
            break
        if mail.id in mailbox.leased:  # it landed at once, before what is older
            continue
        if mail.id in passed_over:
            skipped.append(mail.id)
        elif mail.attempts >= most:
            worn.append(mail.id)
        else:
            body = render(batch, mail, mailbox.name)
            size += encoded_size(body)
            if taken and size > max_bytes:
                break
            taken.append(mail)
            shown.append(body)
        cursor = max(cursor, mail.id)
    end_worn(batch, mailbox, worn)
    if not taken and not skipped:
        return []
    got = {m.id: None for m in taken}
    if skipped or mailbox.returned:
        batch.journal.set(mailbox, "returned", sorted([*(i for i in mailbox.returned if i not in got), *skipped]))
    batch.journal.set(mailbox, "cursor", cursor)
    lease(batch, mailbox, to, got)
    return shown


def fetch_ids(batch: Batch, mailbox: Mailbox, to: Route, ids: list[int], limit: int, max_bytes: int) -> list[dict[str, Any]]:
    """Lease to a connection those of the messages that are unread and on lease to nobody, whatever waits before them."""
    shown: dict[int, dict[str, Any]] = {}
    worn: list[int] = []
    size = 0
    for mail in batch.store.fetch(mailbox.id, [i for i in ids if i not in mailbox.leased], _NONE_NEW, batch.now.due_s):
        if mail.attempts >= batch.settings.attempt_limit:
            worn.append(mail.id)
            continue
        body = render(batch, mail, mailbox.name)
        size += encoded_size(body)
        if len(shown) >= limit or (shown and size > max_bytes):
            break
        shown[mail.id] = body
    end_worn(batch, mailbox, worn)
    if mailbox.returned and shown:
        batch.journal.set(mailbox, "returned", [i for i in mailbox.returned if i not in shown])
    lease(batch, mailbox, to, shown)
    return list(shown.values())


def lease(batch: Batch, mailbox: Mailbox, to: Route, ids: Iterable[int]) -> None:
    """Hand messages out for ``lease_s``, or until the connection ends."""
    held = Lease(batch.now.mono_s + batch.settings.lease_s, to, batch.now.term_s)
    for message_id in ids:
        add_lease(batch.state, mailbox, message_id, held, batch.journal)
    note_use(batch.state, to, mailbox)
    if mailbox.waking.ways:
        sign(batch, mailbox)
    batch.store.mark_delivered(mailbox.id, list(ids))


def count(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """How many messages a ``check`` would find, and whose; none is leased."""
    act_as(batch, session, request, "instance_id")
    mailbox = session.mailbox
    unread = mailbox.available
    found = {"unread": unread, "interrupt": len(mailbox.urgent - mailbox.leased.keys()), "digest": unread - mailbox.loud}
    if mailbox.available <= 0:
        return {**found, "from": {}}
    newest = str(batch.store.newest(mailbox.id))
    return {**found, "from": batch.store.senders(mailbox.id), "newest": newest, "instance_id": mailbox.name}


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
    if mailbox.from_far:
        told_read(batch, mailbox, gone, evidence_of(request))
    forget_mail(mailbox, gone, batch.journal)
    batch.store.mark_read(mailbox.id, sorted(gone), batch.now.term_s, evidence_of(request))
    if mailbox.available > 0:
        batch.wake(mailbox)
    return {"acked": len(gone)}


def evidence_of(request: Incoming) -> str | None:
    """By what the reader is known to have the mail. The doors of hosts before 0.4.0 did not say, and guessed at times."""
    evidence: str | None = request.body.get("evidence")
    return "inferred" if evidence is None and request.door in _GUESSING_DOORS else evidence


def release(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "instance_id")
    ids = read_ids(request) if request.body.get("ids") is not None else list(session.mailbox.leased)
    mailbox = session.mailbox
    if request.body.get("unseen"):
        batch.store.unmark_delivered(mailbox.id, [i for i in dict.fromkeys(ids) if i in mailbox.leased])
    ended = give_up(batch, mailbox, ids, request.body)
    count = return_leases(mailbox, ids, batch.journal)
    batch.offer_again(mailbox)
    return {"released": count, "ended": ended} if ended else {"released": count}


def give_up(batch: Batch, mailbox: Mailbox, ids: list[int], body: dict[str, Any]) -> int:
    """End the mail that its reader refuses, or whose handler failed for good or too often; how many messages."""
    refused, failed = body.get("refuse"), body.get("failed")
    if not (refused or failed):
        return 0
    held = [i for i in dict.fromkeys(ids) if i in mailbox.leased]
    held += batch.store.waiting(mailbox.id, [i for i in dict.fromkeys(ids) if i not in mailbox.leased])
    if not refused:
        held = [i for i in held if attempts_of(batch, mailbox, i) >= batch.settings.attempt_limit]
    if held:
        said = " ".join(str(body.get("why") or "").split())
        if failed:
            end_mail(batch, mailbox, held, Ending.DEAD, f"its handler failed: {said}" if said else "its handler failed")
        else:
            end_mail(batch, mailbox, held, Ending.REFUSED, said or "its reader does not want it")
    return len(held)


def attempts_of(batch: Batch, mailbox: Mailbox, message_id: int) -> int:
    copy = batch.store.copy_of(mailbox.id, message_id)
    return copy.attempts if copy is not None else 0


def end_worn(batch: Batch, mailbox: Mailbox, ids: list[int]) -> None:
    """End what was handed out ``attempt_limit`` times and never acknowledged."""
    if ids:
        times = batch.settings.attempt_limit
        end_mail(batch, mailbox, ids, Ending.DEAD, f"handed out {times} times and never acknowledged")


def touch(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """Lengthen leases, and keep them when the connection ends. A lease that is over is not renewed."""
    act_as(batch, session, request, "instance_id")
    mailbox = session.mailbox
    held = [i for i in dict.fromkeys(read_ids(request)) if i in mailbox.leased]
    until_s = batch.now.mono_s + (request.body.get("lease_s") or batch.settings.lease_s)
    for message_id in held:
        add_lease(batch.state, mailbox, message_id, Lease(until_s, None, mailbox.leased[message_id].since_s), batch.journal)
    return {"touched": len(held)}
