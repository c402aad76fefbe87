"""Runs of ordinary sends, decided together. The general path gives the same result, one request at a time.

Theory of operation. Nearly all load is one shape: an agent's frame of plain texts for names that somebody has. For a run of
such sends the session is looked up once, the rate limit charged once, each mailbox's guards asked once; the loop that is left
makes a row, a delivery and a reply of each, and memory is changed, through the journal, when the run is over.

    frame:  send send send  check  send send{data} send
            '-- a run ---'  general '-run'  general '-run'

The lane refuses nothing. A request that is not ordinary ends the run before it leaves a trace: another action or session, an
option, data, a long text, a name that is free, forwarded, a group or full, a sender who is blocked or over the rate limit, two
who answer each other, a recipient whose budget of wakes is spent. The general path decides that request, and a new run may
begin behind it. An id that was sent before ends a run, too; whether one was is looked up where ids do not ascend.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from broker.core import reach
from broker.core.batch import Answers, Batch, Frame
from broker.core.drafts import MESSAGE_JSON_BYTES
from broker.core.loop_guard import settled
from broker.core.mailboxes import room
from broker.core.outcomes import SENT
from broker.core.rate_limit import bucket, charge
from broker.core.sessions import authenticate
from broker.core.state import Landing, Mailbox, Route, Session
from broker.core.storage import ORDINARY
from broker.core.values import ESCAPED
from broker.core.wake_budget import is_spent
from broker.protocol.errors import IpcError

_NEEDED = frozenset({"id", "action", "to_id", "message"})
_CHECKED = frozenset({"session_token", "door", "from_id"})
"""Fields that must say of each request in a run what they say of its first."""
_ORDINARY = _NEEDED | _CHECKED | {"message_id"}
_ID_LENGTH = 64
_OWN_ID = ORDINARY.index("client_id")
_LONGEST = MESSAGE_JSON_BYTES // ESCAPED
_SHARE = 4
"""Bytes that a character of text can take."""


@dataclass(slots=True)
class Box:
    """A mailbox that a run writes to, with room for ``room`` more messages, and how many it has taken."""

    mailbox: Mailbox
    room: int
    reply: dict[str, Any]
    """A reply without its ids: that the message is stored, and how the recipient is reached. A copy costs half of a merge."""
    taken: int = 0


class RunOfSends(NamedTuple):
    """What a run has taken so far."""

    boxes: dict[str, Box]
    rows: list[Any]
    replies: list[dict[str, Any]]
    rate: float
    filled: float
    """The sender's bucket before the run (``rate_limit.bucket``)."""


def take_run(batch: Batch, frame: Frame, start: int, token: Any, door: Any) -> int:
    """Decide the ordinary sends of a frame from ``start`` on, whose token and door these are; how many those were."""
    session = begin(batch, frame.bodies[start], token)
    if session is None:
        return 0
    sender, now_s = session.mailbox, batch.now.wall_s
    sender_id, name, expires_s = sender.id, sender.name, batch.now.term_s + batch.settings.unread_ttl_s
    longest = longest_text(batch)
    message_id = batch.state.last_message_id
    boxes, rows, replies, rate, filled = taken = RunOfSends({}, [], [], *bucket(batch, session))
    highest = batch.store.highest_id(sender_id)
    stored: set[str] = set()
    known: tuple[str, ...] = ()
    checked, said = False, (token, door, name)
    for body in frame.bodies[start : start + int(filled)] if rate > 0 else frame.bodies[start:]:
        fields = tuple(body)
        if fields != known:
            if not (_NEEDED.issubset(fields) and _ORDINARY.issuperset(fields)):
                break
            known, checked = fields, not _CHECKED.isdisjoint(fields)
        if checked and (body.get("session_token", token), body.get("door", door), body.get("from_id", name)) != said:
            break
        message, to, client_id = body["message"], body["to_id"], body.get("message_id")
        if body["action"] != "send" or type(message) is not dict or len(message) != 1 or type(to) is not str:
            break
        content = message.get("content")
        if type(content) is not str or len(content) > longest:
            break
        box = boxes.get(to) or open_box(batch, sender, to, boxes)
        if box is None or box.taken == box.room:
            break
        if client_id is not None:
            if type(client_id) is not str or not 0 < len(client_id) <= _ID_LENGTH:
                break
            if client_id > highest:
                highest = client_id
            elif client_id in (stored := stored or ids_before(batch, frame, rows, sender_id)):
                break
            if stored:
                stored.add(client_id)
        message_id += 1
        box.taken += 1
        rows += (message_id, sender_id, name, client_id, now_s, expires_s, content, box.mailbox.id)
        number = str(message_id)
        reply = box.reply.copy()
        reply["id"], reply["message_id"], reply["number"] = body["id"], client_id or number, number
        replies.append(reply)
    if replies:
        settle(batch, session, frame.route, taken, message_id, ascending=not stored)
    return len(replies)


def ids_before(batch: Batch, frame: Frame, rows: list[Any], sender_id: int) -> set[str]:
    """The own ids of this run, those of the frame that were stored before, and the empty text, so that a run asks once."""
    ids = [i for body in frame.bodies if type(i := body.get("message_id")) is str and 0 < len(i) <= _ID_LENGTH]
    return {"", *filter(None, rows[_OWN_ID :: len(ORDINARY)]), *batch.store.known_ids(sender_id, ids)}


def begin(batch: Batch, first: dict[str, Any], token: Any) -> Session | None:
    """The session that the run is of; None where none can begin, which costs next to nothing to see."""
    message = first.get("message")
    if first.get("action") != "send" or type(message) is not dict:
        return None
    if len(message) != 1 or not _ORDINARY.issuperset(first):
        return None
    try:
        return authenticate(batch, token)
    except IpcError:
        return None


def longest_text(batch: Batch) -> int:
    """Characters of a text that surely needs no file and is surely not too large."""
    settings = batch.settings
    return min(settings.large_message_bytes // _SHARE, settings.message_limit_bytes // _SHARE, _LONGEST)


def open_box(batch: Batch, sender: Mailbox, to: str, boxes: dict[str, Box]) -> Box | None:
    """The mailbox of a name, if nothing stands between it and the sender; None leaves the message to the general path."""
    mailbox = batch.state.mailboxes.get(to)
    if mailbox is None or not mailbox.claimed or sender.id in mailbox.blocked or not settled(batch, sender, mailbox):
        return None
    if mailbox.waking.ways and is_spent(batch, mailbox, sender.id):
        return None
    reply = {"id": None, "status": "ok", "message": SENT, "message_id": "", "number": "", **reach.told(batch, [mailbox])}
    box = Box(mailbox, room(batch.settings, mailbox), reply)
    boxes[to] = box
    return box


def settle(batch: Batch, session: Session, route: Route, run: RunOfSends, last_id: int, *, ascending: bool) -> None:
    """What the run stores and changes in memory, and who is to hear of it."""
    batch.store.add_ordinary(run.rows, ascending=ascending)
    batch.out.append(Answers(route, run.replies))
    batch.journal.set(batch.state, "last_message_id", last_id)
    if run.rate > 0:
        charge(batch, session, run.filled - len(run.replies))
    for box in run.boxes.values():
        mailbox = box.mailbox
        if box.taken:
            batch.journal.set(mailbox, "queued", mailbox.queued + box.taken)
            batch.wake(mailbox)
            if mailbox.watchers:
                batch.note_arrival(mailbox, session.mailbox.name, Landing.AFTER_TOOL)
