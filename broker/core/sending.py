"""Mail goes in: send, broadcast."""

from typing import Any

from broker.core import reach
from broker.core.batch import Batch, Incoming
from broker.core.drafts import Draft, store_message
from broker.core.letters import thread_of
from broker.core.lookup import party_letter, take_back
from broker.core.loop_guard import note_alternation, wrote_person
from broker.core.next_way import PERSON
from broker.core.outcomes import SENT, broadcast_to, everywhere, posted
from broker.core.quiet import landing_of_news
from broker.core.rate_limit import take_tokens
from broker.core.recipients import Target, everyone, resolve, with_room
from broker.core.repeats import Repeat, answered_before, sent_before
from broker.core.sessions import act_as
from broker.core.state import Landing, Session
from broker.core.values import land_word, read_land, read_message
from broker.core.wake_budget import note
from broker.protocol.addresses import EVERYWHERE

_OPTIONS = frozenset({"land", "ttl_s", "thread", "supersedes"})


def send(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "from_id")
    body, sender = request.body, session.mailbox
    content, data = read_message(batch, body["message"])
    client_id = body.get("message_id")
    known = sent_before(batch, sender, Repeat(client_id, content, data, body["to_id"]))
    if known is not None:
        return answered_before(known, str(client_id))
    draft = Draft(sender, resolve(batch, sender, body["to_id"]), content, data, client_id)
    if not _OPTIONS.isdisjoint(body):
        read_options(batch, session, body, draft)
    reply = post(batch, session, draft, person=wrote_person(batch, session, request))[1]
    if draft.thread_id is not None:
        reply["thread"] = str(draft.thread_id)
    supersedes = body.get("supersedes")
    if supersedes is not None:
        reply["superseded"] = take_back(batch, sender, draft.extra["supersedes"], f"superseded by #{reply['number']}")
    return reply


def read_options(batch: Batch, session: Session, body: dict[str, Any], draft: Draft) -> None:
    """Landing, time to live, thread, and the message that it takes the place of."""
    draft.land = read_land(body)
    draft.ttl_s = body.get("ttl_s")
    if body.get("thread") is not None:
        draft.thread_id = thread_of(party_letter(batch, session.mailbox, body["thread"]))
    if body.get("supersedes") is not None:
        letter = party_letter(batch, session.mailbox, body["supersedes"], own=True)
        draft.extra["supersedes"] = letter.id


def post(batch: Batch, session: Session | None, draft: Draft, *, person: bool = False) -> tuple[int, dict[str, Any]]:
    """Charge the session's rate limit, check the limits of the recipients, store: the message's id, and the reply."""
    sender, target = draft.sender, draft.target
    if session is not None:
        take_tokens(batch, session, max(1, len(target.mailboxes)))
    draft.target, full = with_room(batch, sender, target)
    if target.group is not None:
        draft.target = draft.target._replace(outcome=outcome_of(draft.target, target.group))
    elif target.mailboxes[0] is not sender:
        note_alternation(batch, sender, target.mailboxes[0], person=person)
    draft.person = person
    message_id = store_message(batch, draft)
    reply: dict[str, Any] = {
        "message": draft.target.outcome or SENT,
        "message_id": draft.client_id or str(message_id),
        "number": str(message_id),
    }
    if target.hint:
        reply["did_you_mean"] = target.hint
    if full:
        reply["mailbox_full"] = full
    if not person and (said := note(batch, sender, draft.target.mailboxes)):
        reply["note"] = said
    writers = (sender.name, PERSON) if person else (sender.name,)
    return message_id, {**reply, **reach.told(batch, draft.target.mailboxes, writers)}


def outcome_of(target: Target, group: str) -> str:
    to = target.mailboxes
    sites = sum(bool(mailbox.site) for mailbox in to) if group == EVERYWHERE else 0
    return everywhere(len(to) - sites, sites) if group == EVERYWHERE else posted(len(to), group)


def broadcast(batch: Batch, session: Session, request: Incoming) -> dict[str, Any]:
    act_as(batch, session, request, "from_id")
    body, sender = request.body, session.mailbox
    content, data = read_message(batch, body["message"])
    client_id = body.get("message_id")
    known = sent_before(batch, sender, Repeat(client_id, content, data))
    if known is not None:
        return answered_before(known, str(client_id))
    target, left_out = everyone(batch, sender)
    take_tokens(batch, session, max(1, len(target.mailboxes)))
    target, full = with_room(batch, sender, target)
    count = len(target.mailboxes)
    target = target._replace(outcome=broadcast_to(count))
    land = read_land(body, landing_of_news(content, data))
    person = wrote_person(batch, session, request)
    message_id = store_message(batch, Draft(sender, target, content, data, client_id, land=land, person=person))
    number = str(message_id)
    reply = {"message": target.outcome, "message_id": client_id or number, "number": number, "count": count}
    if land == Landing.AS_DIGEST:
        reply["land"] = land_word(land)
    if full:
        reply["mailbox_full"] = full
    if left_out:
        reply |= {"message": f"{target.outcome}; {left_out} that have ended were left out", "left_out": left_out}
    if not person and (said := note(batch, sender, target.mailboxes)):
        reply["note"] = said
    return reply
