"""What goes to another site: a letter as an entry's body.

    {k: mail, to: [names], from, number, content, land, at, ...}      a letter
    {k: gone}                                                         its number, where it was withdrawn or has ended meanwhile

Times of another site's clock are never compared with ours: what ends goes as seconds that are left.
"""

from typing import Any

import msgpack

from broker.core.batch import Batch
from broker.core.letters import extra_of, recipients, whole_text
from broker.core.link import GONE, SALT, letter_uid
from broker.core.storage import StoredMessage
from broker.core.values import land_word
from broker.protocol.addresses import EVERY, parts, site_of
from broker.protocol.errors import IpcError


def uid_of(letter: StoredMessage) -> str:
    """What a letter is called at other sites: as it came from there, or as it goes out from here."""
    extra = extra_of(letter)
    return str(extra["uid"]) if "uid" in extra else sent_uid(letter)


def sent_uid(letter: StoredMessage) -> str:
    """What a letter is called that went out from here, also where it had come from elsewhere."""
    return letter_uid(letter.id, letter.created_s, str(extra_of(letter).get(SALT, "")))


def body_of(batch: Batch, site: str, message_id: int) -> dict[str, Any]:
    """The body of a letter for a site; ``GONE`` where nobody there is to get it any more."""
    letter = batch.store.find_letter(message_id)
    if letter is None:
        return GONE
    boxes = [m for m in recipients(batch, letter) if m.site == site]
    unread = {m.id: row for m in boxes for row in batch.store.unread_of(m.id, [message_id])}
    if not unread:
        return GONE
    extra = extra_of(letter)
    body: dict[str, Any] = {
        "k": "mail",
        "to": [m.name.partition("@")[0] for m in boxes if m.id in unread],
        "number": letter.id,
        "content": text_of(batch, letter),
        "land": land_word(letter.land),
        "at": letter.created_s,
    }
    if letter.data is not None:
        body["data"] = msgpack.unpackb(letter.data)
    row = next(iter(unread.values()))
    if row.brief or row.expires_s <= batch.now.due_s:
        body["ttl_s"] = max(1.0, row.expires_s - batch.now.due_s)
    for field, other in (("reply_to", letter.reply_to), ("thread", letter.thread_id)):
        if other is not None and (named := name_of(batch, other, site)) is not None:
            body[field] = named
    if "question" in extra:
        body["question"] = {"deadline_s": max(0.0, extra["question"]["deadline"] - batch.now.due_s)}
    body |= {name: extra[name] for name in ("hops", "group", "person") if name in extra}
    return body | writer_of(batch, letter, extra)


def text_of(batch: Batch, letter: StoredMessage) -> str:
    try:
        return whole_text(batch, letter)
    except IpcError:  # its file is gone: the beginning of it and where it was is what there is
        return letter.content


def writer_of(batch: Batch, letter: StoredMessage, extra: dict[str, Any]) -> dict[str, Any]:
    """Who wrote it. A site speaks for its own names alone: what it passes on comes from its group, with the writer named."""
    own, sender = batch.settings.site, batch.state.by_id.get(letter.sender_id)
    forwarded = extra.get("forwarded")
    if sender is not None and sender.site:
        first = forwarded or {"from": sender.name, "id": uid_of(letter), "at": letter.created_s}
        return {"from": str(extra.get("group", EVERY)), "forwarded": first, "hops": int(extra.get("hops", 0)) + 1}
    name = sender.name if sender is not None else letter.sender
    if forwarded is None:
        return {"from": name}
    first = forwarded if parts(forwarded["from"]) else {**forwarded, "from": f"{forwarded['from']}@{own}"}
    return {"from": name, "forwarded": first}


def name_of(batch: Batch, message_id: int, site: str) -> dict[str, str] | None:
    """A letter as another site knows it: where it came from to there, what it is called, and as whose."""
    letter = batch.store.find_letter(message_id)
    if letter is None:
        return None
    extra, came_from = extra_of(letter), site_of(letter.sender)
    if came_from == site:
        return {"site": site, "uid": str(extra.get("uid", ""))}
    name = str(extra.get("group", EVERY)).partition("@")[0] if came_from else letter.sender
    return {"site": batch.settings.site, "uid": sent_uid(letter), "name": name}
