"""The link between brokers: how mail for another site is numbered, confirmed, sent again, taken in once and in order.

Theory of operation. A carrier (NATS JetStream, or any other) moves entries from site to site. It may lose, repeat and reorder
them, forget all it had, or be an older copy of itself. What is guaranteed is guaranteed here, by rows in both brokers' stores:

    sender                                                  receiver
    outbox row: number 1, 2, 3 ... of an epoch  --entry-->  high: all up to it is in; beyond it: held
    row leaves when                             <--mark---  {epoch, high, uid of high, held, cursor, born}

- A number is given in the transaction that accepts the mail. A row leaves when the receiver has it, whatever an engine said.
- An entry is taken once, in the order of its numbers, in one transaction with the receiver's ``high`` and place in the stream.
- A mark is of the epoch that began last. It counts up to the last number given, and where its ``uid`` is that of our row. Else,
  or if its epoch is none that this database knows as its own, the database is older than what was sent from here: the numbers
  begin anew, in another epoch, and the outbox is sent again. The receiver knows what it has by the message's id.
- A row is published again if its fate is not known, if its stream was made anew, or if the receiver has read past it without
  having it. Not by time alone: that would fill the stream of a site that is away.
- ``low`` in an entry is the first number that is still in the outbox. A receiver that was set back to an older copy, and finds
  nothing below ``low`` in the stream either, goes on from there.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from broker.core.batch import Batch, Outgoing
from broker.core.link_state import Inbound, LinkDoor, Outbound, OutboxRow, StreamPlace

WINDOW = 10_000
"""Numbers that are published beyond the receiver's mark."""
_FLIGHT_S = 30.0
"""Seconds after which the door has forgotten a row that it took and said nothing of."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0
"""Before a lost row is published again: doubled each time, since one that is never accepted must not fill the stream."""
_EPOCHS = 16
"""Epochs of a site that are remembered."""


class LinkEntry(NamedTuple):
    """One numbered thing from another site, verified by the door."""

    site: str
    epoch: str
    seq: int
    uid: str
    low: int
    redo: int
    body: dict[str, Any]


class SiteMark(NamedTuple):
    """A receiver's word of how far it is."""

    epoch: str
    high: int
    uid: str
    held: int | None
    cursor: int
    born: str

    def to_map(self) -> dict[str, Any]:
        return self._asdict()


def fresh(batch: Batch, digits: int) -> str:
    """Random hex digits."""
    return hashlib.sha256(batch.make_token().encode()).hexdigest()[:digits]


# out


def letter_uid(message_id: int, created_s: float) -> str:
    """What a letter is called at other sites: its number, and the microsecond it was written. They ascend with the numbers.

    A number that is given twice, in two copies of a database, has two such names.
    """
    return f"{message_id:012x}-{round(created_s * 1e6):x}"


def put_out(batch: Batch, site: str, message_id: int | None, uid: str, body: bytes | None = None) -> None:
    """Give the next number for a site to a message, or to word of one that came from there."""
    link, journal = batch.state.link, batch.journal
    out = link.outbound.get(site)
    if out is None:
        out = Outbound(site, fresh(batch, 12))
        batch.store.save_outbound(out)
    seq = out.assigned + 1
    journal.put(link.outbound, site, out._replace(assigned=seq))
    batch.store.add_outbox(OutboxRow(site, seq, message_id, uid, body))
    tell_door(batch)


def tell_door(batch: Batch) -> None:
    """Wake the door, if it has nothing to do. One that does not hear of it looks by itself before long."""
    door = batch.state.link.door.get("door")
    if door is not None and door.idle:
        batch.journal.put(batch.state.link.door, "door", door._replace(idle=False))
        batch.out.append(Outgoing(door.route, {"push": "link", "id": door.request_id}))


def take_rows(batch: Batch, limit: int) -> list[tuple[Outbound, OutboxRow]]:
    """At most ``limit`` rows to publish, each site's in order; sites share the limit. They are noted as taken."""
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
    rows: list[tuple[Outbound, OutboxRow]] = []
    for place, out in enumerate(busy):
        share = max(1, (limit - len(rows)) // (len(busy) - place))
        rows += [(out, row) for row in take_of(batch, out, sorted(due.get(out.site, ())), min(share, limit - len(rows)))]
    return rows


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


def note_streams(batch: Batch, born: dict[str, str]) -> int:
    """What is in a stream that is no more is published again; how many rows."""
    link, count = batch.state.link, 0
    for site, text in born.items():
        out = link.outbound.get(site)
        for seq in batch.store.published_elsewhere(site, text) if out is not None else ():
            batch.journal.put(link.again, (site, seq), batch.now.mono_s)
            count += 1
        if out is not None:
            batch.store.forget_places(site, text)
    return count


def take_mark(batch: Batch, site: str, mark: SiteMark) -> bool:
    """A site's mark of what it has of ours. True where it shows that this database is older than what was sent from it."""
    link, store, journal = batch.state.link, batch.store, batch.journal
    out = link.outbound.get(site)
    if out is None or mark.epoch in out.former:
        return False
    if mark.epoch != out.epoch or mark.high > out.assigned or not is_ours(batch, out, mark):
        renew(batch, out, mark.epoch)
        return True
    if mark.high > out.high:
        store.drop_outbox(site, mark.high)
        for seq in range(out.high + 1, mark.high + 1):
            journal.drop(link.flying, (site, seq))
            journal.drop(link.again, (site, seq))
        out = out._replace(high=mark.high, sent=max(out.sent, mark.high))
        journal.put(link.outbound, site, out)
        store.save_outbound(out)
    below = out.assigned + 1 if mark.held is None else mark.held
    lost = store.passed_over(site, mark.high, below, mark.cursor, mark.born)
    if mark.high < out.high < out.assigned:  # it lacks what is in no outbox any more
        lost += [row for row in store.outbox_rows(site, [out.high + 1]) if row.at <= mark.cursor and row not in lost]
    publish_again(batch, site, lost)
    if has_work(batch):
        tell_door(batch)
    return False


def is_ours(batch: Batch, out: Outbound, mark: SiteMark) -> bool:
    """Whether the number that the mark ends with was given to what the site has under it, as far as that can be seen."""
    if not mark.uid or mark.high <= out.high:
        return True
    rows = batch.store.outbox_rows(out.site, [mark.high])
    return bool(rows) and rows[0].uid == mark.uid


def publish_again(batch: Batch, site: str, lost: list[OutboxRow]) -> None:
    """After a pause, under another id: the engine would swallow the one that it knows."""
    link = batch.state.link
    new = [row for row in lost if (site, row.seq) not in link.again and (site, row.seq) not in link.flying]
    for row in new:
        pause_s = min(_PAUSE_S * 2 ** max(0, row.tries - 1), _LONGEST_PAUSE_S) if row.tries > 1 else 0.0
        batch.journal.put(link.again, (site, row.seq), batch.now.mono_s + pause_s)
    if new:
        batch.store.note_lost(site, [row.seq for row in new])


def renew(batch: Batch, out: Outbound, told: str) -> None:
    """Begin another epoch: the outbox is numbered from 1 on, and sent again. ``told``: the epoch of the mark that showed it."""
    link, rows = batch.state.link, out.assigned - out.high
    batch.store.renumber(out.site, out.high)
    former = tuple(dict.fromkeys((*out.former, out.epoch, told)))[-_EPOCHS:]
    new = Outbound(out.site, fresh(batch, 12), redo=rows, assigned=rows, former=former)
    batch.journal.put(link.outbound, out.site, new)
    batch.store.save_outbound(new)
    for table in (link.again, link.flying):
        for key in [key for key in table if key[0] == out.site]:
            batch.journal.drop(table, key)
    batch.event("link_renewed", to=out.site, rows=rows)
    tell_door(batch)


# in


class Taker:
    """Takes entries in, in their order. ``take`` stores one."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._link = batch.state.link

    def take(self, site: str, uid: str, body: dict[str, Any]) -> None:
        raise NotImplementedError

    def enter(self, entry: LinkEntry) -> None:
        """One entry, in the stream's order."""
        batch, link = self._batch, self._link
        key = (entry.site, entry.epoch)
        source = link.inbound.get(key) or self._begin(entry)
        source = self._pass_gap(source, entry.low)
        held = link.held.get(key, {})
        if entry.seq == source.high + 1:
            self.take(entry.site, entry.uid, entry.body)
            source = self._take_held(source._replace(high=entry.seq, uid=entry.uid))
            self._save(source)
        elif entry.seq > source.high and entry.seq not in held:
            if key not in link.held:
                batch.journal.put(link.held, key, {})
            batch.journal.put(link.held[key], entry.seq, None)
            batch.store.hold(entry.site, entry.epoch, entry.seq, entry.uid, entry.body)
        if source.high >= source.redo:
            self._take_former(source)

    def _begin(self, entry: LinkEntry) -> Inbound:
        """The first entry of an epoch that is read here."""
        site, link = entry.site, self._link
        known = sorted((one for one in link.inbound.values() if one.site == site), key=lambda one: one.turn)
        for old in known[: max(0, len(known) + 1 - _EPOCHS)]:
            self._take_all_held(old)
            self._batch.journal.drop(link.inbound, (site, old.epoch))
            self._batch.store.drop_inbound(site, old.epoch)
        source = Inbound(site, entry.epoch, known[-1].turn + 1 if known else 1, redo=entry.redo)
        self._save(source)
        return source

    def _save(self, source: Inbound) -> None:
        self._batch.journal.put(self._link.inbound, (source.site, source.epoch), source)
        self._batch.store.save_inbound(source)

    def _pass_gap(self, source: Inbound, low: int) -> Inbound:
        """What is missing below ``low`` lies in no outbox any more, and not before this entry either."""
        if low <= source.high + 1:
            return source
        for seq in sorted(seq for seq in self._link.held.get((source.site, source.epoch), ()) if seq < low):
            self._take_one_held(source, seq)
        self._batch.event("link_gap", site=source.site, missing=low - 1 - source.high)
        source = self._take_held(source._replace(high=low - 1, uid=""))
        self._save(source)
        return source

    def _take_held(self, source: Inbound) -> Inbound:
        """What is held right behind the last number that is in."""
        held = self._link.held.get((source.site, source.epoch))
        while held and source.high + 1 in held:
            source = source._replace(high=source.high + 1, uid=self._take_one_held(source, source.high + 1))
        return source

    def _take_one_held(self, source: Inbound, seq: int) -> str:
        uid, body = self._batch.store.held(source.site, source.epoch, seq)
        self._batch.journal.drop(self._link.held[source.site, source.epoch], seq)
        self._batch.store.drop_held(source.site, source.epoch, seq)
        self.take(source.site, uid, body)
        return uid

    def _take_all_held(self, source: Inbound) -> None:
        for seq in sorted(self._link.held.get((source.site, source.epoch), ())):
            self._take_one_held(source, seq)

    def _take_former(self, source: Inbound) -> None:
        """The present epoch has repeated what its outbox had. What is still held of former ones, the sender has forgotten."""
        former = [one for key in list(self._link.held) if key[0] == source.site and (one := self._link.inbound.get(key))]
        for one in sorted(former, key=lambda one: one.turn):
            if one.turn < source.turn and self._link.held.get((one.site, one.epoch)):
                self._take_all_held(one)


def newest_of(batch: Batch, site: str) -> Inbound | None:
    """The epoch of a site that began last."""
    known = [one for one in batch.state.link.inbound.values() if one.site == site]
    return max(known, key=lambda one: one.turn, default=None)


def mark_for(batch: Batch, site: str, place: StreamPlace) -> SiteMark | None:
    """What this broker owes a site as word of how far it is."""
    source = newest_of(batch, site)
    if source is None:
        return None
    held = batch.state.link.held.get((site, source.epoch))
    return SiteMark(source.epoch, source.high, source.uid, min(held) if held else None, *place)


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
