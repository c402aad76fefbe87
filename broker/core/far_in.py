"""What comes from another site: its letters are stored once, and what it says of ours is noted.

Everything in a body is another site's word: it was signed by that site and is bounded here, and it speaks for that site's names
alone. What can't be delivered ends with a word to its sender, as it would here, and stops nothing behind it.
"""

import math
from contextlib import suppress
from typing import Any, NamedTuple

from broker.core.batch import Batch
from broker.core.conversation import close_question
from broker.core.drafts import Draft, store_message
from broker.core.endings import ENDINGS, Ending, end_mail
from broker.core.far_names import far_mailbox
from broker.core.far_out import uid_of
from broker.core.far_word import put_word
from broker.core.groups import drop_member
from broker.core.letters import recipients, thread_of
from broker.core.link import Taker
from broker.core.loop_guard import note_alternation
from broker.core.mailboxes import forget_mail
from broker.core.recipients import Target, everyone, resolve, with_room
from broker.core.state import Mailbox
from broker.core.storage import OpenQuestion, StoredMessage
from broker.core.values import read_land, read_message
from broker.protocol.addresses import EVERY, is_address
from broker.protocol.errors import IpcError
from broker.protocol.essentials import EVIDENCE, LANDINGS
from broker.protocol.names import is_name

_NAMES = 1000
"""Names that one letter may go to at a site."""
_WORDS = 200
"""Characters of a reason."""
_UID_LENGTH = 64
_LONGEST_TTL_S, _LONGEST_WAIT_S, _YEAR_2200_S = 31_536_000.0, 604_800.0, 7_258_118_400.0


class Malformed(Exception):
    """A body that no broker makes."""


class Reference(NamedTuple):
    """A letter as sites name it."""

    site: str
    uid: str


class LetterOptions(NamedTuple):
    """What a letter says beside its text."""

    land: int
    ttl_s: float | None
    deadline_s: float | None
    """Of a question: seconds that are left."""
    written_s: float
    answers: Reference | None
    thread: Reference | None
    extra: dict[str, Any]


class FarMail(Taker):
    """Stores what comes in."""

    def take(self, site: str, uid: str, body: dict[str, Any]) -> None:
        batch = self._batch
        try:
            kind = body.get("k")
            if kind == "mail":
                take_letter(batch, site, text(uid, _UID_LENGTH), body)
            elif kind in ("read", "ended", "spread", "away"):
                note_word(batch, site, kind, body)
            elif kind in ("join", "leave"):
                change_group(batch, site, kind, body)
            elif kind != "gone":
                raise Malformed(f"kind {str(kind)[:32]}")
        except (Malformed, IpcError) as e:
            batch.state.link.dropped += 1
            batch.event("link_malformed", site=site, detail=str(e))


def text(value: object, most: int) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise Malformed(f"a text of 1 to {most} characters is missing")
    return value


def party(value: object) -> str:
    """A name or an address: readers see it in a message's heading, beside what their own broker says."""
    if isinstance(value, str) and (is_name(value) or is_address(value)):
        return value
    raise Malformed("a name or an address is missing")


def number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise Malformed("a number is missing")
    return float(value)


def reference(value: object) -> Reference | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise Malformed("a letter is named by site and uid")
    return Reference(text(value.get("site"), 32), text(value.get("uid"), _UID_LENGTH))


# letters


def take_letter(batch: Batch, site: str, uid: str, body: dict[str, Any]) -> None:
    """Store a letter, once for each of its names here that it can reach; of the others its sender is told."""
    name = text(body.get("from"), 32)
    if not (is_name(name) or name == EVERY):
        raise Malformed("no name")
    names = body.get("to")
    if not isinstance(names, list) or not 0 < len(names) <= _NAMES:
        raise Malformed("names are missing")
    names = [text(one, 32) for one in names]
    options = options_of(body)
    try:
        sender = far_mailbox(batch, name, site)
    except IpcError as e:
        refuse(batch, site, uid, names, e.text)
        return
    if batch.store.find_sent(sender.id, uid) is not None:
        return
    try:
        content, data = read_message(batch, {"content": body.get("content"), "data": body.get("data")})
    except IpcError as e:
        refuse(batch, site, uid, names, e.text)
        return
    draft = Draft(sender, Target([], name), content, data, uid, land=options.land, ttl_s=options.ttl_s)
    draft.extra = {**options.extra, "uid": uid}
    draft.written_s = min(options.written_s, batch.now.wall_s)
    answered, began = find_named(batch, sender, options.answers), find_named(batch, sender, options.thread)
    if answered is not None:
        draft.reply_to, draft.thread_id = answered.id, thread_of(answered)
    elif began is not None:
        draft.thread_id = thread_of(began)
    address(batch, site, uid, draft, names, answered)
    if draft.target.mailboxes:
        deliver(batch, draft, options.deadline_s, answered)


def options_of(body: dict[str, Any]) -> LetterOptions:
    """The fields that few letters have, checked."""
    land = body.get("land", "tool")
    if land not in LANDINGS:
        raise Malformed("no landing")
    ttl_s = None if body.get("ttl_s") is None else min(max(1.0, number(body["ttl_s"])), _LONGEST_TTL_S)
    extra: dict[str, Any] = {}
    if body.get("hops") is not None:
        extra["hops"] = int(min(max(0.0, number(body["hops"])), 1000.0))
    if body.get("group") is not None:
        extra["group"] = party(body["group"])
    first = body.get("forwarded")
    if first is not None:
        if not isinstance(first, dict):
            raise Malformed("who wrote it first is missing")
        at = min(max(0.0, number(first.get("at"))), _YEAR_2200_S)
        extra["forwarded"] = {"from": party(first.get("from")), "id": text(first.get("id"), _UID_LENGTH), "at": at}
    question, deadline_s = body.get("question"), None
    if question is not None:
        deadline_s = min(max(0.0, number(question.get("deadline_s") if isinstance(question, dict) else None)), _LONGEST_WAIT_S)
    written_s = min(max(0.0, number(body.get("at"))), _YEAR_2200_S)
    named = reference(body.get("reply_to")), reference(body.get("thread"))
    return LetterOptions(read_land({"land": land}), ttl_s, deadline_s, written_s, *named, extra)


def address(batch: Batch, site: str, uid: str, draft: Draft, names: list[str], answered: StoredMessage | None) -> None:
    """Find who gets it. Several names, a group or everyone make one letter with several readers."""
    sender, reached, addressed = draft.sender, dict[int, Mailbox](), dict[str, str]()
    for name in names:
        try:
            target = target_of(batch, sender, name, answered)
            target, _full = with_room(batch, sender, target)
        except IpcError as e:
            refuse(batch, site, uid, [name], e.text)
            continue
        if target.many:
            put_word(batch, site, {"k": "spread", "uid": uid, "to": name, "count": len(target.mailboxes)})
            if target.group is not None:
                draft.extra["group"] = target.group
        for mailbox in target.mailboxes:
            reached[mailbox.id] = mailbox
            if not target.many and mailbox.name != name:
                addressed[str(mailbox.id)] = name
    if addressed:
        draft.extra["as"] = addressed
    several = len(reached) > 1 or "group" in draft.extra
    draft.target = Target(list(reached.values()), names[0], group=draft.extra.pop("group", None), many=several)


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
        if not mailbox.site:
            batch.journal.add(mailbox.from_far, message_id)
    if "question" in draft.extra:
        deadline_s = draft.extra["question"]["deadline"]
        batch.store.save_question(OpenQuestion(message_id, draft.sender.id, readers[0].id, deadline_s, None))
    if answered is not None and len(readers) == 1:
        close_question(batch, answered.id, readers[0], message_id)
    if len(readers) == 1:
        with suppress(IpcError):  # what is on its way is delivered; the next one from here is refused
            note_alternation(batch, draft.sender, readers[0], person=False)


def find_named(batch: Batch, sender: Mailbox, named: Reference | None) -> StoredMessage | None:
    """A letter between the sender and somebody here that another site names; None where it is not known, or not theirs."""
    if named is None:
        return None
    if named.site != batch.settings.site:
        sent = batch.store.find_sent(sender.id, named.uid)
        return batch.store.find_letter(sent.id) if sent is not None else None
    letter = own_letter(batch, named.uid)
    return letter if letter is not None and sender in recipients(batch, letter) else None


def own_letter(batch: Batch, uid: str) -> StoredMessage | None:
    """A letter that was written here, by what other sites call it."""
    digits = uid.partition("-")[0]
    try:
        letter = batch.store.find_letter(int(digits, 16) if len(digits) <= 15 else 0)
    except ValueError:
        raise Malformed("no name of a letter") from None
    return letter if letter is not None and uid_of(letter) == uid else None


def refuse(batch: Batch, site: str, uid: str, names: list[str], why: str) -> None:
    for name in names:
        put_word(batch, site, {"k": "ended", "uid": uid, "to": name, "ending": Ending.REFUSED, "why": why[:_WORDS]})


# word of our letters


def note_word(batch: Batch, site: str, kind: str, body: dict[str, Any]) -> None:
    """What became of a letter of ours at one name of a site."""
    letter = own_letter(batch, text(body.get("uid"), _UID_LENGTH))
    mailbox = batch.state.mailboxes.get(f"{text(body.get('to'), 32)}@{site}")
    if letter is None or mailbox is None:
        return
    copy = batch.store.copy_of(mailbox.id, letter.id)
    if copy is None or not copy.queued:
        return
    if kind in ("read", "spread"):
        evidence = body.get("evidence")
        forget_mail(mailbox, {letter.id}, batch.journal)
        told = "spread" if kind == "spread" else evidence if evidence in EVIDENCE else None
        batch.store.mark_read(mailbox.id, [letter.id], batch.now.term_s, told)
    elif kind == "ended":
        ending = body.get("ending")
        why = " ".join(text(body.get("why"), _WORDS).split())
        end_mail(batch, mailbox, [letter.id], ending if ending in ENDINGS else Ending.REFUSED, why)


# groups


def change_group(batch: Batch, site: str, kind: str, body: dict[str, Any]) -> None:
    """A name of another site joins or leaves a group that is at home here."""
    group = batch.state.groups.get(text(body.get("group"), 32))
    name = text(body.get("name"), 32)
    if group is None or not is_name(name):
        return
    if kind == "leave":
        mailbox = batch.state.mailboxes.get(f"{name}@{site}")
        if mailbox is not None:
            drop_member(batch, group, mailbox.id)
        return
    mailbox = far_mailbox(batch, name, site)
    batch.journal.put(group.members, mailbox.id, None)
    batch.store.save_group(group)
