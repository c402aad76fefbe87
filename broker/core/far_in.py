"""What comes from another site: its letters are stored once, and what it says of ours is noted (``broker.core.far_news``).

Everything in a body is another site's word: it was signed by that site and is bounded here (``broker.core.far_checks``), and it
speaks for that site's names alone. What can't be delivered ends with a word to its sender, as it would here, and stops nothing
behind it. A letter that no name here could get is remembered like those that came: one that comes again is not delivered then.
"""

from contextlib import suppress
from typing import Any

from broker.core import far_checks, far_news
from broker.core.batch import Batch
from broker.core.conversation import close_question
from broker.core.drafts import Draft, store_message
from broker.core.endings import Ending
from broker.core.facts import Mark, Step
from broker.core.far_checks import Malformed, Reference
from broker.core.far_names import far_mailbox
from broker.core.far_word import put_word
from broker.core.letters import recipients, thread_of
from broker.core.link_in import Taker
from broker.core.loop_guard import note_alternation
from broker.core.recipients import Target, everyone, resolve, with_room
from broker.core.state import Mailbox
from broker.core.steps import note_step
from broker.core.storage import OpenQuestion, StoredMessage
from broker.core.values import read_message
from broker.protocol.addresses import EVERY, is_address
from broker.protocol.errors import IpcError
from broker.protocol.names import is_name


class FarMail(Taker):
    """Stores what comes in."""

    def __init__(self, batch: Batch) -> None:
        super().__init__(batch)
        self._logged: set[str] = set()
        """Sites of which the log has been told that they make no sense, in this batch."""

    def take(self, site: str, uid: str, body: dict[str, Any]) -> None:
        """One entry. What makes no sense is dropped alone: all of a body is checked before anything of it is done."""
        batch = self._batch
        try:
            kind = body.get("k")
            if kind == "mail":
                take_letter(batch, site, far_checks.text(uid, far_checks.UID_LENGTH), body)
            elif kind != "gone":
                far_news.take(batch, site, kind, body)
        except Malformed as e:
            batch.state.link.dropped += 1
            if site not in self._logged:
                self._logged.add(site)
                batch.event("link_entry_refused", site=site, detail=str(e))


def take_letter(batch: Batch, site: str, uid: str, body: dict[str, Any]) -> None:
    """Store a letter, once for each of its names here that it can reach; of the others its sender is told."""
    name, names = far_checks.sender_name(body.get("from")), far_checks.names(body.get("to"))
    options, message = far_checks.options_of(body), far_checks.message(body)
    if batch.store.find_sent(far_mailbox(batch, EVERY, site).id, uid) is not None:
        return  # it was refused
    try:
        sender = far_mailbox(batch, name, site)
        if batch.store.find_sent(sender.id, uid) is not None:
            return
        if options.extra.get("hops", 0) > batch.settings.hop_limit:
            raise IpcError("too_many_hops", limit=batch.settings.hop_limit)
        content, data = read_message(batch, message)
    except IpcError as e:
        refuse(batch, site, uid, names, e.text)
        remember_refused(batch, site, uid)
        return
    draft = Draft(sender, Target([], name), content, data, uid, land=options.land, ttl_s=options.ttl_s, person=options.person)
    draft.extra = {**options.extra, "uid": uid}
    if "group" in draft.extra and not is_address(draft.extra["group"]):
        draft.extra["group"] = f"{draft.extra['group']}@{site}"
    draft.written_s = min(options.written_s, batch.now.wall_s)
    answered, began = find_named(batch, sender, options.answers), find_named(batch, sender, options.thread)
    if answered is not None:
        draft.reply_to, draft.thread_id = answered.id, thread_of(answered)
    elif began is not None:
        draft.thread_id = thread_of(began)
    address(batch, site, uid, draft, names, answered, asks=options.deadline_s is not None)
    if draft.target.mailboxes:
        deliver(batch, draft, options.deadline_s, answered)
    else:
        remember_refused(batch, site, uid)


def address(
    batch: Batch, site: str, uid: str, draft: Draft, names: list[str], answered: StoredMessage | None, *, asks: bool
) -> None:
    """Find who gets it. Several names, a group or everyone make one letter with several readers."""
    sender, reached, addressed = draft.sender, dict[int, Mailbox](), dict[str, str]()
    group = draft.extra.pop("group", None)
    for name in names:
        try:
            target = target_of(batch, sender, name, answered)
            if target.many and asks:
                raise IpcError("bad_request", detail=f"ask takes one name, and {name} are several: write to them with send")
            target, _full = with_room(batch, sender, target)
        except IpcError as e:
            refuse(batch, site, uid, [name], e.text)
            continue
        if target.many:
            put_word(batch, site, {"k": "spread", "uid": uid, "to": name, "count": len(target.mailboxes)})
            group = target.group or group
        for mailbox in target.mailboxes:
            reached[mailbox.id] = mailbox
            if not target.many:
                addressed[str(mailbox.id)] = name
                if group is not None and mailbox.name != name:
                    far_news.follow_rename(batch, site, group, name, mailbox.name)
    draft.extra["as"] = addressed
    several = len(reached) > 1 or group is not None
    draft.target = Target(list(reached.values()), names[0], group=group, many=several)


def target_of(batch: Batch, sender: Mailbox, name: str, answered: StoredMessage | None) -> Target:
    """Whom a name means. An answer goes to whoever wrote what it answers, whatever that one is called by now."""
    if name == EVERY:
        return everyone(batch, sender)[0]
    writer = batch.state.by_id.get(answered.sender_id) if answered is not None else None
    if writer is not None and not writer.site and answered is not None and answered.sender == name:
        return Target([writer], name)
    if not is_name(name):
        raise IpcError("invalid_recipient")
    return resolve(batch, sender, name)


def deliver(batch: Batch, draft: Draft, left_s: float | None, answered: StoredMessage | None) -> None:
    """Store it. ``left_s``: of a question, the seconds until its deadline."""
    readers = draft.target.mailboxes
    if left_s is not None and len(readers) == 1:
        draft.extra["question"] = {"deadline": batch.now.term_s + left_s, "asker": draft.sender.id}
    message_id = store_message(batch, draft)
    for mailbox in readers:
        if not (mailbox.site or draft.sender.id in mailbox.blocked):
            batch.journal.add(mailbox.from_far, message_id)
    if "question" in draft.extra:
        deadline_s = draft.extra["question"]["deadline"]
        batch.store.save_question(OpenQuestion(message_id, draft.sender.id, readers[0].id, deadline_s, None))
    if answered is not None and len(readers) == 1:
        close_question(batch, answered.id, readers[0], message_id)
        note_answer(batch, draft.sender, answered)
    if len(readers) == 1:
        with suppress(IpcError):  # what is on its way is delivered; the next one from here is refused
            note_alternation(batch, draft.sender, readers[0], person=draft.person)


def note_answer(batch: Batch, sender: Mailbox, answered: StoredMessage) -> None:
    """The receipt of a letter says that it was answered, also where its reader has another name by now."""
    there = [m for m in recipients(batch, answered) if m.site == sender.site]
    if sender not in there and len(there) == 1:
        note_step(batch, Step(answered.id, there[0].id, Mark.ANSWERED, "", batch.now.wall_s))


def find_named(batch: Batch, sender: Mailbox, named: Reference | None) -> StoredMessage | None:
    """A letter between the sender's site and somebody here; None where it is not known, or was not to that site."""
    if named is None:
        return None
    if named.site == batch.settings.site:
        letter = far_news.own_letter(batch, named.uid)
        known = letter is not None and any(m.site == sender.site for m in recipients(batch, letter))
        return letter if known else None
    if named.site != sender.site:
        return None
    writer = sender if named.name is None else batch.state.mailboxes.get(f"{named.name}@{named.site}", sender)
    sent = batch.store.find_sent(writer.id, named.uid)
    return batch.store.find_letter(sent.id) if sent is not None else None


def refuse(batch: Batch, site: str, uid: str, names: list[str], why: str) -> None:
    for name in names:
        put_word(
            batch,
            site,
            {"k": "ended", "uid": uid, "to": name, "ending": Ending.REFUSED, "why": why[: far_checks.REASON_LENGTH]},
        )


def remember_refused(batch: Batch, site: str, uid: str) -> None:
    """Kept as long as a message that came, under the name that stands for all of its site."""
    store_message(batch, Draft(far_mailbox(batch, EVERY, site), Target([], EVERY), "", None, uid))
