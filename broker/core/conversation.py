"""Answers and questions: reply, ask, asks, forward, withdraw.

    ask --> open --reply--> answered
              |
              +--deadline--> stale --reply--> answered (a late answer arrives as mail)

An ``ask`` that waits gets its answer in its own reply, on lease like the mail of a ``check``; without one it is mail.
"""

from typing import Any

from broker.core import site_table
from broker.core.activity import standing_of
from broker.core.batch import Batch, Incoming
from broker.core.delivery import answer_ask
from broker.core.drafts import Draft
from broker.core.letters import extra_of, recipients, thread_of, whole_text
from broker.core.looks import PROCESS_S, look
from broker.core.lookup import next_hop, party_letter, passed_on, take_back
from broker.core.loop_guard import wrote_person
from broker.core.quiet import CALM, usual_landing
from broker.core.radar import answered
from broker.core.recipients import Target, resolve
from broker.core.repeats import Repeat, answered_before, sent_before
from broker.core.sending import post
from broker.core.sessions import act_as
from broker.core.state import Landing, Mailbox, Session
from broker.core.storage import OpenQuestion, StoredMessage
from broker.core.values import check_size, iso, iso_term, land_word, read_land, read_message
from broker.protocol.actions import ACTIONS
from broker.protocol.addresses import EVERY
from broker.protocol.errors import IpcError

DEFAULT_DEADLINE_S: float = ACTIONS["ask"].field("deadline_s").default
_EXCERPT = 200
_LISTED = 100


def reply(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "from_id")
    body, sender = request.body, session.mailbox
    content, data = read_message(batch, body["message"])
    client_id = body.get("message_id")
    letter = party_letter(batch, sender, body["to_message"])
    to = other_end(batch, sender, letter)
    known = sent_before(batch, sender, Repeat(client_id, content, data, reply_to=letter.id))
    if known is not None:
        return {**answered_before(known, str(client_id)), "to": to.name, "thread": str(thread_of(letter))}
    person = wrote_person(batch, session, request)
    land = read_land(body, usual_landing(sender, letter, body["message"], person=person))
    draft = Draft(sender, Target([to], to.name), content, data, client_id, land=land)
    draft.thread_id, draft.reply_to = thread_of(letter), letter.id
    if land == letter.land == Landing.AS_DIGEST and body.get("land") is None:
        draft.extra[CALM] = True
    if body.get("auto"):
        draft.extra["hops"] = next_hop(batch, letter)
    message_id, answer = post(batch, session, draft, person=person)
    if not person:
        answered(batch, sender, letter)
    answer.update(to=to.name, thread=str(draft.thread_id))
    if land == Landing.AS_DIGEST:
        answer["land"] = land_word(land)
    if close_question(batch, letter.id, to, message_id):
        answer["answers"] = str(letter.id)
    return answer


def close_question(batch: Batch, message_id: int, asker: Mailbox, answer_id: int) -> bool:
    """Close the asker's open question, if the message was one; an ``ask`` that waits gets the answer. True if so."""
    question = batch.store.find_question(message_id)
    if question is None or question.answer_id is not None or question.asker_id != asker.id:
        return False
    batch.store.save_question(question._replace(answer_id=answer_id))
    if any(w.question_id == message_id for w in asker.askers):
        batch.answered.append((asker, message_id, answer_id))
        batch.wake(asker)
    return True


def other_end(batch: Batch, sender: Mailbox, letter: StoredMessage) -> Mailbox:
    """The recipient of a reply: the message's writer, or for one's own message its one recipient.

    Mail that the home of a group has passed on is its first writer's.
    """
    if letter.sender_id != sender.id:
        writer = batch.state.by_id.get(letter.sender_id)
        extra = extra_of(letter) if writer is not None and writer.site else {}
        if "forwarded" in extra and extra.get("group") == letter.sender:
            target = resolve(batch, sender, extra["forwarded"]["from"])
            if len(target.mailboxes) == 1 and target.mailboxes[0] is not sender:
                return target.mailboxes[0]
        if writer is None:
            raise IpcError("not_answerable", name=letter.sender)
        return writer
    to = recipients(batch, letter)
    if len(to) != 1:
        raise IpcError("bad_request", detail="That message of yours went to several: write to one of them by name")
    return to[0]


def ask(batch: Batch, session: Session, request: Incoming) -> dict[str, Any] | None:
    act_as(batch, session, request, "from_id")
    body, sender = request.body, session.mailbox
    content, data = read_message(batch, body["message"])
    client_id = body.get("message_id")
    known = sent_before(batch, sender, Repeat(client_id, content, data, body["to_id"]))
    if known is not None:
        question = batch.store.find_question(known.id)
        if question is None:
            raise IpcError("id_conflict", id=client_id, what="a message that is no question")
        return answer_ask(batch, session, request, question, answered_before(known, str(client_id)) | asked_is(batch, question))
    target = resolve(batch, sender, body["to_id"])
    if target.many or target.name.startswith(EVERY):
        raise IpcError("bad_request", detail="ask takes one name; write to the group with send")
    deadline_s = batch.now.term_s + (body.get("deadline_s") or DEFAULT_DEADLINE_S)
    draft = Draft(sender, target, content, data, client_id, land=read_land(body))
    draft.extra["question"] = {"deadline": deadline_s, "asker": sender.id}
    message_id, answer = post(batch, session, draft, person=wrote_person(batch, session, request))
    question = OpenQuestion(message_id, sender.id, target.mailboxes[0].id, deadline_s, None)
    batch.store.save_question(question)
    look(batch, target.mailboxes[0], PROCESS_S)
    return answer_ask(batch, session, request, question, answer | asked_is(batch, question))


def asks(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    """At most 100 questions that one asked or was asked, newest first."""
    rows: list[dict[str, Any]] = []
    for question in batch.store.questions_of(session.mailbox.id):
        letter = batch.store.find_letter(question.message_id)
        asked = batch.state.by_id.get(question.asked_id)
        if letter is None or asked is None:
            continue  # the message has expired
        state = state_of_question(batch, question)
        if request.body.get("state") in (None, state) and len(rows) < _LISTED:
            row = {"id": str(letter.id), "from": letter.sender, "to": asked.name, "content": letter.content[:_EXCERPT]}
            row |= {"asked_at": iso(letter.created_s), "deadline": iso_term(batch, question.deadline_s), "state": state}
            row |= asked_is(batch, question)
            rows.append(row if question.answer_id is None else {**row, "answer": str(question.answer_id)})
    return {"asks": rows}


def asked_is(batch: Batch, question: OpenQuestion) -> dict[str, str]:
    """What the asked one does now, as a field of replies."""
    asked = batch.state.by_id.get(question.asked_id)
    if asked is None:
        return {}
    if not asked.site:
        return {"asked_is": standing_of(batch, asked)}
    said = site_table.presence_of(batch, asked)
    return {} if said is None else {"asked_is": {"gone": "away", "idle": "idle"}.get(said, "working")}


def state_of_question(batch: Batch, question: OpenQuestion) -> str:
    if question.answer_id is not None:
        return "answered"
    return "stale" if question.deadline_s <= batch.now.due_s else "open"


def forward(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "from_id")
    body, sender = request.body, session.mailbox
    client_id = body.get("message_id")
    letter = party_letter(batch, sender, body["forward_id"])
    text = whole_text(batch, letter)
    content = f"{body['note']}\n\n{text}" if body.get("note") else text
    known = sent_before(batch, sender, Repeat(client_id, content, letter.data, body["to_id"]))
    if known is not None:
        return answered_before(known, str(client_id))
    check_size(batch, content)
    draft = Draft(sender, resolve(batch, sender, body["to_id"]), content, letter.data, client_id, land=read_land(body))
    draft.extra |= passed_on(batch, letter)
    return post(batch, session, draft, person=wrote_person(batch, session, request))[1]


def withdraw(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    letter = party_letter(batch, session.mailbox, request.body["withdraw_id"], own=True)
    return {"withdrawn": take_back(batch, session.mailbox, letter.id, "its sender withdrew it")}
