"""Mail between sites (``broker.core.link``): the outbox, what is held, how far each stream and site is."""

from collections.abc import Iterable
from typing import Any

import msgpack

from broker.core.link_state import Inbound, LinkEntry, Outbound, OutboxRow, SiteKey, SiteLink, StreamPlace
from broker.store.epochs import BROKEN, RENUMBER, begin_other_epochs
from broker.store.link_tables import HeldRow, InboundRow, OutboundRow, SiteRow, StreamRow
from broker.store.transactions import Transactions, among

_ADD = "INSERT INTO outbox (site, seq, message_id, uid, body, at, born, tries) VALUES (?,?,?,?,?,?,?,?)"
_ROW = "SELECT site, seq, message_id, uid, body, at, born, tries FROM outbox WHERE site = ?"
_TAKEN_BACK = "(message_id IS NULL AND uid NOT LIKE '-%')"
"""A row that was a letter's. Word of letters has a uid of another form (``broker.core.far_word``)."""
_AT_ONCE = 256
_NO_END = 2**62


class LinkRows(Transactions):
    """The outbox, outbound, inbound, held, stream and site tables."""

    # the outbox

    def add_outbox(self, row: OutboxRow) -> None:
        self._statements.append((_ADD, row))

    def outbox_after(self, site: str, seq: int, limit: int) -> list[OutboxRow]:
        self._flush()
        found = self._sql.execute(f"{_ROW} AND seq > ? ORDER BY seq LIMIT ?", (site, seq, limit))
        return [OutboxRow._make(row) for row in found]

    def outbox_rows(self, site: str, seqs: list[int]) -> list[OutboxRow]:
        """Those of these numbers that are there, ascending."""
        self._flush()
        rows: list[OutboxRow] = []
        for start in range(0, len(seqs), _AT_ONCE):
            marks, numbers = among(seqs[start : start + _AT_ONCE])
            found = self._sql.execute(f"{_ROW} AND seq {marks} ORDER BY seq", (site, *numbers))
            rows += [OutboxRow._make(row) for row in found]
        return rows

    def outbox_of(self, message_id: int) -> list[OutboxRow]:
        """A message's rows, one for each site that does not have it yet."""
        self._flush()
        found = self._sql.execute(_ROW.replace("site = ?", "message_id = ?"), (message_id,))
        return [OutboxRow._make(row) for row in found]

    def outbox_size(self, site: str) -> tuple[int, int, int | None]:
        """(rows that wait, how many of them an engine has, the oldest message among them). What was taken back counts not."""
        self._flush()
        sql = f"SELECT count(*), ifnull(sum(at > 0), 0), min(message_id) FROM outbox WHERE site = ? AND NOT {_TAKEN_BACK}"
        waiting, stored, first = self._sql.execute(sql, (site,)).fetchone()
        return int(waiting), int(stored), first

    def take_back(self, site: str, message_id: int, body: bytes) -> None:
        """A letter that was never taken is withdrawn: its number goes out with this body instead."""
        sql = "UPDATE outbox SET message_id = NULL, body = ? WHERE site = ? AND message_id = ? AND tries = 0"
        self._statements.append((sql, (body, site, message_id)))

    def published_upto(self, site: str) -> tuple[int, list[int]]:
        """The highest number that an engine has, and the lower ones of which that is not known."""
        self._flush()
        sent = self._sql.execute("SELECT ifnull(max(seq), 0) FROM outbox WHERE site = ? AND at > 0", (site,)).fetchone()[0]
        rows = self._sql.execute("SELECT seq FROM outbox WHERE site = ? AND seq < ? AND at = 0 ORDER BY seq", (site, sent))
        return int(sent), [row[0] for row in rows]

    def note_taken(self, site: str, seqs: list[int]) -> None:
        """Before they are published: what may have left is not withdrawn any more. Not worth a sync."""
        if seqs:
            sql = "UPDATE outbox SET tries = 1 WHERE site = ? AND seq = ? AND tries = 0"
            self._light.append((sql, [(site, seq) for seq in seqs]))

    def note_published(self, site: str, born: str, places: Iterable[tuple[int, int]]) -> None:
        """(number, place in the stream) each. Not worth a sync: without it they are published again."""
        rows = [(at, born, site, seq) for seq, at in places]
        self._light.append(("UPDATE outbox SET at = ?, born = ? WHERE site = ? AND seq = ?", rows))

    def lost_places(self, site: str, born: str, last: int | None) -> list[int]:
        """Numbers whose place is in a stream that was created at another time, or behind the last place that it has."""
        self._flush()
        sql = "SELECT seq FROM outbox WHERE site = ? AND at > 0 AND (born <> ? OR at > ?) ORDER BY seq"
        return [row[0] for row in self._sql.execute(sql, (site, born, _NO_END if last is None else last))]

    def passed_over(self, site: str, after: int, before: int, cursor: int, born: str) -> list[OutboxRow]:
        """Rows between these numbers whose place in the stream the receiver has read past."""
        self._flush()
        sql = f"{_ROW} AND seq > ? AND seq < ? AND at BETWEEN 1 AND ? AND born = ? ORDER BY seq"
        return [OutboxRow._make(row) for row in self._sql.execute(sql, (site, after, before, cursor, born))]

    def note_lost(self, site: str, seqs: list[int]) -> None:
        rows = [(site, seq) for seq in seqs]
        self._light.append(("UPDATE outbox SET at = 0, tries = tries + 1 WHERE site = ? AND seq = ?", rows))

    def drop_outbox(self, site: str, upto: int) -> None:
        self._statements.append(("DELETE FROM outbox WHERE site = ? AND seq <= ?", (site, upto)))

    def renumber(self, site: str, by: int) -> None:
        """Take ``by`` from each number."""
        self._statements += [(sql, (by, site)) for sql in RENUMBER]

    def save_outbound(self, out: Outbound) -> None:
        self._add(OutboundRow.replace(site=out.site, epoch=out.epoch, high=out.high, high_uid=out.high_uid, redo=out.redo))

    # what comes in

    def save_inbound(self, source: Inbound) -> None:
        self._add(InboundRow.replace(**source._asdict()))

    def hold(self, e: LinkEntry) -> None:
        row = {"site": e.site, "epoch": e.epoch, "seq": e.seq, "uid": e.uid, "prev": e.prev, "body": msgpack.packb(e.body)}
        self._add(HeldRow.replace(**row))

    def held(self, site: str, epoch: str, seq: int) -> tuple[str, str, dict[str, Any]]:
        """(uid, prev, body) of an entry that is held."""
        self._flush()
        sql = "SELECT uid, prev, body FROM held WHERE site = ? AND epoch = ? AND seq = ?"
        uid, prev, body = self._sql.execute(sql, (site, epoch, seq)).fetchone()
        return str(uid), str(prev), msgpack.unpackb(body)

    def drop_held(self, site: str, epoch: str, seq: int) -> None:
        self._add(HeldRow.delete().where(HeldRow.site == site, HeldRow.epoch == epoch, HeldRow.seq == seq))

    def save_stream(self, name: str, place: StreamPlace) -> None:
        self._add(StreamRow.replace(name=name, **place._asdict()))

    def save_site_key(self, site: str, key: SiteKey) -> None:
        self._add(SiteRow.replace(site=site, **key._asdict()))

    def load_link(self, link: SiteLink) -> None:
        """Raises StoreError where a repaired outbox can't be numbered anew."""
        self._mend_outboxes()
        for site, epoch, high, high_uid, redo in OutboundRow.select().tuples():
            last = self._sql.execute("SELECT max(seq) FROM outbox WHERE site = ?", (site,)).fetchone()[0]
            link.outbound[site] = Outbound(site, epoch, high, high_uid, redo, max(high, last or 0), high)
        for row in InboundRow.select().tuples():
            link.inbound[row[0]] = Inbound(*row)
        for site, epoch, seq in self._sql.execute("SELECT site, epoch, seq FROM held ORDER BY site, epoch, seq"):
            link.held.setdefault((site, epoch), {})[seq] = None
        link.streams.update((row[0], StreamPlace(*row[1:])) for row in StreamRow.select().tuples())
        link.keys.update((row[0], SiteKey(*row[1:])) for row in SiteRow.select().tuples())

    def _mend_outboxes(self) -> None:
        """A repair may have lost rows: the receiver would wait for their numbers for ever."""
        broken = self._sql.execute(BROKEN).fetchall()
        if broken:
            with self._apart("FULL"):
                begin_other_epochs(self._sql, [site for (site,) in broken])
