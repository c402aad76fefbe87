"""What another site says of our letters, and of groups: ``broker.core.far_word`` has what we say.

    {k: read, uid, to, evidence?}      {k: ended, uid, to, ending, why}     {k: spread, uid, to, count}
    {k: away, uid, to, nobody?}        its reader there is away too long, or nobody has the name
    {k: join | leave, group, name}     {k: not_joined, group, name, why}    of a group that is at home here; of one there

A site speaks for its own names: it can say nothing of a letter that did not go to one of them.
"""

from typing import Any

from broker.core import far_checks
from broker.core.batch import Batch
from broker.core.endings import ENDINGS, Ending, end_mail, owe
from broker.core.facts import Mark, Step
from broker.core.far_checks import Malformed
from broker.core.far_names import far_mailbox, note_sign
from broker.core.far_out import sent_uid
from broker.core.far_steps import NOBODY, SPREAD
from broker.core.far_word import put_word
from broker.core.groups import drop_member, is_full
from broker.core.mailboxes import forget_mail
from broker.core.notices import notify
from broker.core.standing import standing
from broker.core.state import Mailbox
from broker.core.storage import StoredMessage
from broker.protocol.errors import IpcError
from broker.protocol.essentials import EVIDENCE
from broker.protocol.names import is_name

_MOST = 1_000_000
"""Readers of one letter at a site, as far as they are counted."""
NO_GROUP, FULL = "no_group", "full"
_NOT_JOINED = {
    NO_GROUP: "You did not join {group}: there is no such group at {site}. Whoever is there can see its groups.",
    FULL: "You did not join {group}: you are in as many groups at {site} as it allows.",
}


def take(batch: Batch, site: str, kind: object, body: dict[str, Any]) -> None:
    """Raises ``Malformed`` where it makes no sense."""
    if kind in ("read", "spread", "ended", "away"):
        found = find_copy(batch, site, body)
        if found is not None:
            (note_ended if kind == "ended" else note_away if kind == "away" else note_read)(batch, *found, body)
    elif kind in ("join", "leave"):
        change_group(batch, site, str(kind), body)
    elif kind == "not_joined":
        note_not_joined(batch, site, body)
    else:
        raise Malformed(f"kind {str(kind)[:32]}")


# letters


def own_letter(batch: Batch, uid: str) -> StoredMessage | None:
    """A letter that went out from here, by what other sites call it."""
    digits = uid.partition("-")[0]
    try:
        letter = batch.store.find_letter(int(digits, 16) if len(digits) <= 15 else 0)
    except ValueError:
        return None
    return letter if letter is not None and sent_uid(letter) == uid else None


def find_copy(batch: Batch, site: str, body: dict[str, Any]) -> tuple[Mailbox, StoredMessage] | None:
    """Our letter and its reader at the site that speaks; None where no such letter went there."""
    uid, name = far_checks.text(body.get("uid"), far_checks.UID_LENGTH), far_checks.sender_name(body.get("to"))
    letter, mailbox = own_letter(batch, uid), batch.state.mailboxes.get(f"{name}@{site}")
    return None if letter is None or mailbox is None else (mailbox, letter)


def note_read(batch: Batch, mailbox: Mailbox, letter: StoredMessage, body: dict[str, Any]) -> None:
    """It is in somebody's context, or was given to several. This is so also where we had no word for too long."""
    evidence = body.get("evidence")
    told = evidence if evidence in EVIDENCE else None
    if body["k"] == "spread":
        told = f"{SPREAD} {int(far_checks.number(body.get('count'), 0, _MOST))}"
    copy, now_s = batch.store.copy_of(mailbox.id, letter.id), batch.now.term_s
    if copy is None or not (copy.queued or copy.ending == Ending.EXPIRED):
        return
    note_sign(batch, mailbox)
    if copy.queued:
        forget_mail(mailbox, {letter.id}, batch.journal)
        batch.store.mark_read(mailbox.id, [letter.id], now_s, told)
    else:
        batch.store.was_read(mailbox.id, letter.id, now_s, told)


def note_ended(batch: Batch, mailbox: Mailbox, letter: StoredMessage, body: dict[str, Any]) -> None:
    ending, why = body.get("ending"), far_checks.line(body.get("why"))
    copy = batch.store.copy_of(mailbox.id, letter.id)
    if copy is not None and copy.queued:
        of_a_reader = isinstance(ending, str) and ending in ENDINGS and ending != Ending.WITHDRAWN
        end_mail(batch, mailbox, [letter.id], str(ending) if of_a_reader else Ending.REFUSED, why)


def note_away(batch: Batch, mailbox: Mailbox, letter: StoredMessage, body: dict[str, Any]) -> None:
    """Its reader is away for longer than that site lets senders wait: our sender is told, once."""
    unread = batch.store.unread_of(mailbox.id, [letter.id])
    if unread and not unread[0].told:
        way = NOBODY if body.get("nobody") is True else ""
        batch.store.add_steps([Step(letter.id, mailbox.id, Mark.AWAY, way, batch.now.term_s)])
        batch.store.add_untold([(letter.sender_id, letter.id, mailbox.id)])
        owe(batch.state, {letter.sender_id}, batch.now, batch.journal)


# groups


def change_group(batch: Batch, site: str, kind: str, body: dict[str, Any]) -> None:
    """A name of another site joins or leaves a group that is at home here."""
    name, wanted = far_checks.name(body.get("name")), far_checks.name(body.get("group"))
    group = batch.state.groups.get(wanted)
    if kind == "leave":
        mailbox = batch.state.mailboxes.get(f"{name}@{site}")
        if mailbox is not None and group is not None:
            drop_member(batch.state, batch.store, group, mailbox.id, batch.journal)
        return
    refused = {"k": "not_joined", "group": wanted, "name": name}
    if group is None:
        put_word(batch, site, {**refused, "why": NO_GROUP})
        return
    try:
        mailbox = far_mailbox(batch, name, site)
    except IpcError:  # too many names of that site
        put_word(batch, site, {**refused, "why": FULL})
        return
    if mailbox.id in group.members:
        return
    if is_full(batch, mailbox):
        put_word(batch, site, {**refused, "why": FULL})
    else:
        batch.journal.put(group.members, mailbox.id, None)
        batch.store.save_group(group)


def note_not_joined(batch: Batch, site: str, body: dict[str, Any]) -> None:
    name, group = far_checks.name(body.get("name")), far_checks.name(body.get("group"))
    why = body.get("why")
    text = _NOT_JOINED[FULL if why == FULL else NO_GROUP]
    reader = standing(batch.state, name, batch.now.due_s).mailbox
    if reader is not None:
        notify(batch, [reader], text.format(group=f"{group}@{site}", site=site))


def follow_rename(batch: Batch, site: str, group: str, old: str, new: str) -> None:
    """Mail of a group of that site came for a former name: the group has the present one from now on."""
    name, _at, home = group.partition("@")
    if home == site and is_name(name):
        put_word(batch, site, {"k": "join", "group": name, "name": new})
        put_word(batch, site, {"k": "leave", "group": name, "name": old})
