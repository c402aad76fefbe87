"""The link between brokers: how mail for another site is numbered, confirmed, sent again, taken in once and in order.

Theory of operation. A carrier (NATS JetStream, or any other) moves entries from site to site. It may lose, repeat and reorder
them, forget all it had, or be an older copy of itself. What is guaranteed is guaranteed here, by rows in both brokers' stores:

    sender                                                  receiver
    outbox row: number 1, 2, 3 ... of an epoch  --entry-->  high: all up to it is in; beyond it: held
    row leaves when                             <--mark---  {epoch, high, uid of high, held, cursor, born}

- A number is given in the transaction that accepts the mail. A row leaves when the receiver has it, whatever an engine said.
- An entry is taken once, in the order of its numbers, in one transaction with the receiver's ``high`` and place in the stream.
  It names the entry before it (``prev``), and is not taken behind another.
- A mark ends with the ``uid`` of a number. Where our row has another, or the number was never given, this database is older
  than what was sent from here: the numbers begin anew, in the next epoch, and the outbox is sent again. The receiver knows the
  letters that it has by their ids. Epochs are ordered. A mark of a later one than ours shows the same.
- A row is published again if its fate is not known, if its stream was made anew, or if the receiver has read past it without
  having it. Not by time alone: that would fill the stream of a site that is away.
- ``low`` in an entry is the first number that is still in the outbox. A receiver that was set back to an older copy, and finds
  nothing below ``low`` in the stream either, goes on from there.
- ``redo`` in an entry is how many rows the outbox had when its epoch began. What a receiver still holds of an earlier epoch
  once those are in, the sender has forgotten: it is taken then.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgpack

from broker.core.batch import Batch, Outgoing
from broker.core.link_state import LinkDoor, Outbound, OutboxRow, SiteMark

WINDOW = 10_000
"""Numbers that are published beyond the receiver's mark."""
_FLIGHT_S = 30.0
"""Seconds after which the door has forgotten a row that it took and said nothing of."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
"""Before a lost row is published again: doubled each time, since one that is never accepted must not fill the stream."""
_EPOCHS = 0xFFFF
"""An epoch is its count, 4 hex digits, and 8 random ones: two lives that begin the same one are told apart."""


SALT = "salt"
"""In the ``extra`` of a letter that goes to another site."""
GONE = {"k": "gone"}
"""The body of a number without a letter."""


def fresh(batch: Batch, digits: int) -> str:
    """Random hex digits."""
    return hashlib.sha256(batch.make_token().encode()).hexdigest()[:digits]


def epoch_of(batch: Batch, count: int) -> str:
    return f"{count:04x}{fresh(batch, 8)}"


def count_of(epoch: str) -> int:
    """The count of an epoch; that of the last one for a text that is none."""
    try:
        return int(epoch[:4], 16)
    except ValueError:
        return _EPOCHS


def letter_uid(message_id: int, created_s: float, salt: str) -> str:
    """What a letter is called at other sites: its number, the microsecond it was written, and random digits kept with it.

    A number that is given twice, in two copies of a database, has two such names. They ascend with the numbers.
    """
    return f"{message_id:012x}-{round(created_s * 1e6):x}-{salt}"


def put_out(batch: Batch, site: str, message_id: int | None, uid: str, body: bytes | None = None) -> None:
    """Give the next number for a site to a message, or to word of one that came from there."""
    link, journal = batch.state.link, batch.journal
    out = link.outbound.get(site)
    if out is None:
        out = Outbound(site, epoch_of(batch, 1))
        batch.store.save_outbound(out)
    seq = out.assigned + 1
    journal.put(link.outbound, site, out._replace(assigned=seq))
    batch.store.add_outbox(OutboxRow(site, seq, message_id, uid, body))
    tell_door(batch)


def put_body(batch: Batch, site: str, body: dict[str, Any]) -> None:
    """Give the next number for a site to something that is no letter."""
    put_out(batch, site, None, f"-{fresh(batch, 16)}", msgpack.packb(body))


def tell_door(batch: Batch) -> None:
    """Wake the door, if it has nothing to do. One that does not hear of it looks by itself before long."""
    door = batch.state.link.door.get("door")
    if door is not None and door.idle:
        batch.journal.put(batch.state.link.door, "door", door._replace(idle=False))
        batch.out.append(Outgoing(door.route, {"push": "link", "id": door.request_id}))


def take_rows(batch: Batch, limit: int) -> list[tuple[Outbound, OutboxRow, str]]:
    """At most ``limit`` rows to publish, each site's in order, with the uid of the row before each. Sites share the limit.

    They are noted as taken.
    """
    link, now_s = batch.state.link, batch.now.mono_s
    for key, taken_s in list(link.flying.items()):
        if taken_s + _FLIGHT_S > now_s:
            break
        batch.journal.drop(link.flying, key)
        batch.journal.put(link.again, key, now_s)
    due: dict[str, list[int]] = {}
    for (site, seq), due_s in link.again.items():
        if due_s <= now_s:
            due.setdefault(site, []).append(seq)
    busy = [out for out in link.outbound.values() if out.site in due or has_new(out)]
    found: list[tuple[Outbound, OutboxRow, str]] = []
    for place, out in enumerate(busy):
        share = max(1, (limit - len(found)) // (len(busy) - place))
        rows = take_of(batch, out, sorted(due.get(out.site, ())), min(share, limit - len(found)))
        before = uids_before(batch, out, rows)
        found += [(out, row, before[row.seq]) for row in rows]
    return found


def uids_before(batch: Batch, out: Outbound, rows: list[OutboxRow]) -> dict[int, str]:
    """By number the uid of the row before it; of the first row of the outbox that is what the site's mark ends with."""
    uids = {out.high: out.high_uid, **{row.seq: row.uid for row in rows}}
    missing = [row.seq - 1 for row in rows if row.seq - 1 not in uids]
    uids |= {row.seq: row.uid for row in batch.store.outbox_rows(out.site, missing)} if missing else {}
    return {row.seq: uids.get(row.seq - 1, "") for row in rows}


def has_new(out: Outbound) -> bool:
    return out.sent < min(out.assigned, out.high + WINDOW)


def has_work(batch: Batch) -> bool:
    """Whether there is anything to publish now."""
    link, now_s = batch.state.link, batch.now.mono_s
    return any(map(has_new, link.outbound.values())) or any(due_s <= now_s for due_s in link.again.values())


def take_of(batch: Batch, out: Outbound, due: list[int], limit: int) -> list[OutboxRow]:
    """Rows of one site: those that are due again first, which are the oldest."""
    link, journal, now_s = batch.state.link, batch.journal, batch.now.mono_s
    rows = batch.store.outbox_rows(out.site, due[:limit]) if due else []
    for seq in due[:limit]:
        journal.drop(link.again, (out.site, seq))
    last, room = out.sent, limit - len(rows)
    if room > 0 and has_new(out):
        new = batch.store.outbox_after(out.site, out.sent, min(room, out.high + WINDOW - out.sent))
        if new:
            last = new[-1].seq
            journal.put(link.outbound, out.site, out._replace(sent=last))
            rows += new
    for row in rows:
        journal.put(link.flying, (out.site, row.seq), now_s)
    batch.store.note_taken(out.site, [row.seq for row in rows if not row.tries])
    return rows


def put_back(batch: Batch, row: OutboxRow) -> None:
    """The door has no room for a row that was taken: the next time."""
    key = (row.site, row.seq)
    batch.journal.drop(batch.state.link.flying, key)
    batch.journal.put(batch.state.link.again, key, batch.now.mono_s)


def note_sent(batch: Batch, site: str, epoch: str, born: str, acked: Iterable[tuple[int, int]], failed: Iterable[int]) -> int:
    """The door's word of rows that it took: their places in the stream, or that their fate is not known. How many counted."""
    link = batch.state.link
    out = link.outbound.get(site)
    if out is None or out.epoch != epoch:
        return 0
    noted = [(seq, at) for seq, at in acked if out.high < seq <= out.assigned]
    batch.store.note_published(site, born, noted)
    for seq, _at in noted:
        batch.journal.drop(link.flying, (site, seq))
    lost = [seq for seq in failed if out.high < seq <= out.assigned]
    for seq in lost:
        batch.journal.drop(link.flying, (site, seq))
        batch.journal.put(link.again, (site, seq), batch.now.mono_s)
    return len(noted) + len(lost)


def note_streams(batch: Batch, streams: dict[str, tuple[str, int | None]]) -> int:
    """By destination when its stream was created, and its last place: what lay in an earlier one, or behind that, is lost.

    How many rows are published again.
    """
    link, count = batch.state.link, 0
    for site, (born, last) in streams.items():
        if site in link.outbound:
            lost = batch.store.lost_places(site, born, last)
            batch.store.note_lost(site, lost)
            for seq in lost:
                batch.journal.put(link.again, (site, seq), batch.now.mono_s)
            count += len(lost)
    return count


def take_mark(batch: Batch, site: str, mark: SiteMark) -> bool:
    """A site's mark of what it has of ours. True where it shows that this database is older than what was sent from it."""
    store, journal = batch.store, batch.journal
    out = batch.state.link.outbound.get(site)
    if out is None:
        return False
    if mark.epoch > out.epoch or (mark.epoch == out.epoch and is_of_another_life(batch, out, mark)):
        return renew(batch, out, max(count_of(mark.epoch), count_of(out.epoch)) + 1)
    if mark.epoch < out.epoch:  # it has nothing of this epoch yet
        mark = mark._replace(high=0, uid="", held=None)
    if mark.high > out.high:
        uid = store.outbox_rows(site, [mark.high])[0].uid
        store.drop_outbox(site, mark.high)
        for seq in range(out.high + 1, mark.high + 1):
            journal.drop(batch.state.link.flying, (site, seq))
            journal.drop(batch.state.link.again, (site, seq))
        out = out._replace(high=mark.high, high_uid=uid, sent=max(out.sent, mark.high))
        journal.put(batch.state.link.outbound, site, out)
        store.save_outbound(out)
    below = out.assigned + 1 if mark.held is None else mark.held
    publish_again(batch, site, store.passed_over(site, mark.high, below, mark.cursor, mark.born))
    if mark.high < out.high:  # it lacks what is in no outbox any more, and goes on with the next entry that says so
        if out.assigned == out.high:
            put_body(batch, site, GONE)
        else:
            publish_again(batch, site, [row for row in store.outbox_rows(site, [out.high + 1]) if row.at])
    if has_work(batch):
        tell_door(batch)
    return False


def is_of_another_life(batch: Batch, out: Outbound, mark: SiteMark) -> bool:
    """Whether the site has numbers of this epoch that were not given by this database, as far as the mark shows."""
    if max(mark.high, mark.held or 0) > out.assigned:
        return True
    if not mark.uid or mark.high < out.high:
        return False
    if mark.high == out.high:
        return mark.uid != (out.high_uid or mark.uid)
    rows = batch.store.outbox_rows(out.site, [mark.high])
    return not rows or rows[0].uid != mark.uid


def publish_again(batch: Batch, site: str, lost: list[OutboxRow]) -> None:
    """After a pause, under another id: the engine would swallow the one that it knows."""
    link = batch.state.link
    new = [row for row in lost if (site, row.seq) not in link.again and (site, row.seq) not in link.flying]
    for row in new:
        pause_s = min(_PAUSE_S * 2 ** min(row.tries - 2, 8), _LONGEST_PAUSE_S) if row.tries > 1 else 0.0
        batch.journal.put(link.again, (site, row.seq), batch.now.mono_s + pause_s)
    if new:
        batch.store.note_lost(site, [row.seq for row in new])


def renew(batch: Batch, out: Outbound, count: int) -> bool:
    """Begin the epoch of this count: the outbox is numbered from 1 on, and sent again. False if there is no further one."""
    if count > _EPOCHS:
        batch.event("link_epochs_used_up", to=out.site)
        return False
    link, rows = batch.state.link, out.assigned - out.high
    batch.store.renumber(out.site, out.high)
    new = Outbound(out.site, epoch_of(batch, count), redo=rows, assigned=rows)
    batch.journal.put(link.outbound, out.site, new)
    batch.store.save_outbound(new)
    for table in (link.again, link.flying):
        for key in [key for key in table if key[0] == out.site]:
            batch.journal.drop(table, key)
    if not rows:  # the receiver is to hear of the epoch
        put_body(batch, out.site, GONE)
    batch.event("link_renewed", to=out.site, rows=rows)
    tell_door(batch)
    return True


def opened(batch: Batch, door: LinkDoor) -> None:
    """A door begins. What an earlier one took and did not speak of is taken again."""
    link = batch.state.link
    batch.journal.put(link.door, "door", door)
    for table in (link.again, link.flying):
        for key in list(table):
            batch.journal.drop(table, key)
    for out in list(link.outbound.values()):
        sent, unsent = batch.store.published_upto(out.site)
        batch.journal.put(link.outbound, out.site, out._replace(sent=max(sent, out.high)))
        for seq in unsent:
            batch.journal.put(link.again, (out.site, seq), batch.now.mono_s)
