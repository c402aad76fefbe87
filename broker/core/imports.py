"""Mail comes in from elsewhere, by the owner of the data folder: of another system, or of an export of ours (``ipc export``).

Of another system comes what is unread, one reader at a time, as new mail. Of ours comes the past: a message with all its
readers and what became of each copy, under a new id. It wakes nobody. What was read is read, and kept as if it had been read
now. What ended unread has ended, and is on nobody's list of dead letters. What was unread is filed without a delivery, or waits
if the request says so. Mail from and to other sites is theirs to deliver, so none of it waits.
"""

from typing import Any, NamedTuple

from broker.core.batch import Batch, Incoming
from broker.core.drafts import Draft, next_row, store_message
from broker.core.endings import ENDINGS
from broker.core.facts import Mark, Step
from broker.core.letters import thread_of
from broker.core.mailboxes import new_mailbox, room
from broker.core.outcomes import SENT
from broker.core.recipients import Target, resolve, with_room
from broker.core.repeats import Repeat, answered_before, is_text_of, sent_before
from broker.core.standing import Kind, standing, wanted
from broker.core.state import Landing, Mailbox
from broker.core.storage import StoredMessage
from broker.core.values import parse_id, read_land, read_message
from broker.protocol.addresses import is_address, parts
from broker.protocol.errors import IpcError
from broker.protocol.essentials import EVIDENCE
from broker.protocol.mail_rows import READER_STATES, YEAR_2200_S
from broker.protocol.names import is_name

_WHY_LENGTH = 400
_NAME_LENGTH = 80
_HOPS = 1000


class Reader(NamedTuple):
    """Who got a message, and what had become of that copy."""

    mailbox: Mailbox
    state: str
    at_s: float | None
    evidence: str | None
    why: str


def import_mail(batch: Batch, _session: None, request: Incoming) -> dict[str, Any]:
    """Store a message with its own sender and time; the owner of the data folder asks."""
    body = request.body
    if body.get("readers") is not None:
        return restore(batch, body)
    content, data = read_message(batch, body["message"])
    if body.get("to_id") is None:
        raise IpcError("bad_request", detail="import needs the field to_id, or readers")
    writer = body["from_id"]
    found = wanted(batch, writer)
    if found.kind is Kind.GROUP:
        raise IpcError("name_taken", name=writer)
    sender = found.mailbox or found.waiting or new_mailbox(batch, writer)
    known = sent_before(batch, sender, Repeat(body["message_id"], content, data, body["to_id"]), forever=True)
    if known is not None:
        return answered_before(known, body["message_id"])
    target, _full = with_room(batch, sender, resolve(batch, sender, body["to_id"]))
    when_s = min(float(body["timestamp"]), batch.now.wall_s)
    message_id = store_message(batch, Draft(sender, target, content, data, body["message_id"], written_s=when_s))
    return {"message": target.outcome or SENT, "message_id": str(message_id)}


def restore(batch: Batch, body: dict[str, Any]) -> dict[str, Any]:
    """Store a message of an export, with every reader and what had become of each copy."""
    content, data = read_message(batch, body["message"])
    sender = party(batch, body["from_id"]) or Mailbox(0, body["from_id"], False, 0.0, 0.0)
    client_id = body["message_id"]
    sent = batch.store.find_sent(sender.id, client_id)
    if sent is not None:
        letter = batch.store.find_letter(sent.id)
        if letter is not None and not is_text_of(letter, Repeat(client_id, content, data)):
            raise IpcError("id_conflict", id=client_id, what="another text")
        return answered_before(sent, client_id)
    here = known_letter(batch, body, "was") if body.get("own") else None
    if here is not None and is_text_of(here, Repeat(client_id, content, data)):
        return {"message": SENT, "message_id": client_id, "number": str(here.id), "duplicate": True}
    readers = [one for row in body["readers"] if (one := read_reader(batch, row)) is not None]
    group = body.get("group")
    if group is not None and not (is_name(group) or is_address(group)):
        raise IpcError("bad_request", detail="group must be the name of a group")
    to = list({one.mailbox.id: one.mailbox for one in readers}.values())
    if len(to) < len(readers):
        raise IpcError("bad_request", detail="two of the readers are one here")
    draft = Draft(sender, Target(to, group or (to[0].name if len(to) == 1 else "all"), group=group), content, data, client_id)
    draft.land, draft.extra = read_land(body), past(batch, sender, body)
    draft.written_s = min(float(body["timestamp"]), batch.now.wall_s)
    answered = known_letter(batch, body, "reply_to")
    began = known_letter(batch, body, "thread") or answered
    draft.reply_to = answered.id if answered is not None else None
    draft.thread_id = thread_of(began) if began is not None else None
    message_id = file_copies(batch, draft, readers, unread=bool(body.get("unread")))
    return {"message": SENT, "message_id": str(message_id), "number": str(message_id)}


def party(batch: Batch, name: str) -> Mailbox | None:
    """The mailbox of a name in an export. None for a name that nobody can have, such as ``system``."""
    address = parts(name) if "@" in name else None
    if address is not None and address[1] == batch.settings.site:
        name, address = address[0], None
    if address is None:
        if not is_name(name):
            raise IpcError("invalid_name")
        found = standing(batch.state, name, batch.now.due_s)
        if found.kind is Kind.GROUP:
            raise IpcError("name_taken", name=name)
        mailbox = found.mailbox or found.waiting
        if mailbox is None and found.kind is Kind.RESERVED:
            return None
    else:
        mailbox = batch.state.mailboxes.get(name)
    return mailbox or new_mailbox(batch, name)


def read_reader(batch: Batch, row: Any) -> Reader | None:
    """One of a request's ``readers``. None for a name that nobody can have."""
    if not isinstance(row, dict) or not isinstance(row.get("name"), str) or row.get("state") not in READER_STATES:
        raise IpcError("bad_request", detail=f"A reader has a name and a state, one of {', '.join(READER_STATES)}")
    evidence = row.get("evidence")
    if evidence is not None and evidence not in EVIDENCE:
        raise IpcError("bad_request", detail=f"evidence of a reader must be one of {', '.join(EVIDENCE)}")
    at_s = None if row.get("at") is None else number(row["at"], YEAR_2200_S, "at of a reader")
    why = text(row.get("why") or "", _WHY_LENGTH, "why of a reader")
    mailbox = party(batch, row["name"])
    return None if mailbox is None else Reader(mailbox, row["state"], at_s, evidence, why)


def number(value: Any, most: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise IpcError("bad_request", detail=f"{what} must be a number up to {most:,}")
    return float(value)


def text(value: Any, most: int, what: str) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise IpcError("bad_request", detail=f"{what} must be text of at most {most} characters")
    return value


def past(batch: Batch, sender: Mailbox, body: dict[str, Any]) -> dict[str, Any]:
    """What few messages have, of a request's ``past``, and the id that it had where it comes from."""
    given = body.get("past") or {}
    extra: dict[str, Any] = {"was": body["was"]} if body.get("was") is not None else {}
    first, question = given.get("forwarded"), given.get("question")
    if first is not None:
        first = first if isinstance(first, dict) else {}
        extra["forwarded"] = {name: text(first.get(name), _NAME_LENGTH, f"forwarded.{name}") for name in ("from", "id")}
        extra["forwarded"]["at"] = number(first.get("at"), YEAR_2200_S, "forwarded.at")
    if given.get("hops") is not None:
        extra["hops"] = int(number(given["hops"], _HOPS, "hops"))
    if given.get("resends") is not None:
        extra["resends"] = text(given["resends"], _NAME_LENGTH, "resends")
    if question is not None:
        deadline_s = number(question.get("deadline") if isinstance(question, dict) else None, YEAR_2200_S, "question.deadline")
        extra["question"] = {"deadline": deadline_s - batch.now.ahead_s, "asker": sender.id}
    supersedes = known_letter(batch, body, "supersedes")
    return extra if supersedes is None else {**extra, "supersedes": supersedes.id}


def known_letter(batch: Batch, body: dict[str, Any], field: str) -> StoredMessage | None:
    """The message here that a field names; None where it names none, or one that is gone.

    ``WRITER/MESSAGE_ID`` is one that was imported under that id, such as a moment ago in the same frame.
    """
    named = body.get(field)
    writer, slash, client_id = (named or "").partition("/")
    if slash:
        mailbox = party(batch, writer)
        sent = batch.store.find_sent(0 if mailbox is None else mailbox.id, client_id)
        return None if sent is None else batch.store.find_letter(sent.id)
    message_id = parse_id(named) if named is not None else None
    if named is not None and message_id is None:
        raise IpcError("bad_request", detail=f"{field} must be the number of a message here, or WRITER/MESSAGE_ID")
    return batch.store.find_letter(message_id) if message_id is not None else None


def file_copies(batch: Batch, draft: Draft, readers: list[Reader], *, unread: bool) -> int:
    """Store the message and what became of each copy. Returns its id."""
    waits = [one for one in readers if unread and one.state == "unread" and not (draft.sender.site or one.mailbox.site)]
    for one in waits:
        if not room(batch.settings, one.mailbox):
            raise IpcError("mailbox_full", name=one.mailbox.name, limit=batch.settings.mailbox_limit)
    row = next_row(batch, draft)
    batch.store.add_message(row, [one.mailbox.id for one in waits])
    if not readers:
        batch.store.file_nobodys(row.id, batch.now.term_s)
    steps = []
    for one in readers:
        if one in waits:
            count_in_quietly(batch, one.mailbox, row.id, draft.land)
            steps.append(Step(row.id, one.mailbox.id, Mark.BOUNCED, "", batch.now.term_s))  # that it is late is no news
        elif one.state == "unread":
            batch.store.file_muted(one.mailbox.id, row.id, batch.now.term_s)
        else:
            ending = one.state if one.state in ENDINGS else None
            batch.store.file_past(one.mailbox.id, row.id, batch.now.term_s, one.evidence, ending, one.why or None)
            if one.at_s is not None:
                steps.append(Step(row.id, one.mailbox.id, Mark.LEFT, "", one.at_s - batch.now.ahead_s))
    if steps:
        batch.store.add_steps(steps)
    return row.id


def count_in_quietly(batch: Batch, mailbox: Mailbox, message_id: int, land: int) -> None:
    """Count mail in that nobody is told of: it comes with whatever comes next."""
    batch.journal.set(mailbox, "queued", mailbox.queued + 1)
    if land == Landing.AT_ONCE:
        batch.journal.add(mailbox.urgent, message_id)
    elif land != Landing.AFTER_TOOL:
        batch.journal.add(mailbox.later, message_id)
