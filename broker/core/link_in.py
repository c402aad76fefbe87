"""Entries of other sites are taken in, once and in the order of their numbers (the rules: ``broker.core.link``)."""

from typing import Any

from broker.core.batch import Batch
from broker.core.link_state import Inbound, LinkEntry, SiteMark, StreamPlace


class Taker:
    """Takes entries in, in their order. ``take`` stores one; ``finish`` keeps how far each source is."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._link = batch.state.link
        self._changed: dict[str, None] = {}

    def take(self, site: str, uid: str, body: dict[str, Any]) -> None:
        raise NotImplementedError

    def enter(self, entry: LinkEntry) -> None:
        """One entry, in the stream's order."""
        site = entry.site
        source = self._link.inbound.get(site)
        if source is None or entry.epoch > source.epoch:
            source = self._put(Inbound(site, entry.epoch, redo=entry.redo))
        elif entry.epoch < source.epoch:  # what it had is sent again in the present one
            return
        if entry.low > source.high + 1:
            source = self._pass_gap(source, entry.low)
        source = self._take_former(source)
        if entry.seq == source.high + 1:
            self._drop_held(source, entry.seq)
            source = self._take_next(source, entry.uid, entry.prev, entry.body)
            self._take_held(source)
        elif entry.seq > source.high:
            self._hold(entry)

    def finish(self) -> None:
        for site in self._changed:
            self._batch.store.save_inbound(self._link.inbound[site])

    def _put(self, source: Inbound) -> Inbound:
        self._batch.journal.put(self._link.inbound, source.site, source)
        self._changed[source.site] = None
        return source

    def _take_next(self, source: Inbound, uid: str, prev: str, body: dict[str, Any]) -> Inbound:
        """Take the number behind the last one. One that follows another than that is of another life of its sender: dropped."""
        if source.uid and prev != source.uid:
            self._batch.event("link_entry_refused", site=source.site, number=source.high + 1, detail="it follows another one")
            return source
        self.take(source.site, uid, body)
        return self._take_former(self._put(source._replace(high=source.high + 1, uid=uid)))

    def _take_held(self, source: Inbound) -> None:
        """What is held right behind the last number that is in."""
        held = self._link.held.get((source.site, source.epoch))
        while held and source.high + 1 in held:
            before = source.high
            uid, prev, body = self._take_out(source.site, source.epoch, source.high + 1)
            source = self._take_next(source, uid, prev, body)
            if source.high == before:
                return

    def _pass_gap(self, source: Inbound, low: int) -> Inbound:
        """What is missing below ``low`` lies in no outbox any more, and not before this entry either."""
        last = ""
        for seq in sorted(seq for seq in self._link.held.get((source.site, source.epoch), ()) if seq < low):
            uid, _prev, body = self._take_out(source.site, source.epoch, seq)
            self.take(source.site, uid, body)
            last = uid if seq == low - 1 else ""
        self._batch.event("link_gap", site=source.site, missing=low - 1 - source.high)
        return self._put(source._replace(high=low - 1, uid=last))

    def _take_former(self, source: Inbound) -> Inbound:
        """The present epoch has repeated what its outbox had. What is still held of former ones, the sender has forgotten."""
        if source.high >= source.redo:
            for site, epoch in sorted(key for key, some in self._link.held.items() if some and key[0] == source.site):
                if epoch < source.epoch:
                    for seq in sorted(self._link.held[site, epoch]):
                        uid, _prev, body = self._take_out(site, epoch, seq)
                        self.take(site, uid, body)
        return source

    def _hold(self, entry: LinkEntry) -> None:
        """Of two of one number the later one counts: it is of the later life of its sender."""
        key = (entry.site, entry.epoch)
        if key not in self._link.held:
            self._batch.journal.put(self._link.held, key, {})
        self._batch.journal.put(self._link.held[key], entry.seq, None)
        self._batch.store.hold(entry)

    def _take_out(self, site: str, epoch: str, seq: int) -> tuple[str, str, dict[str, Any]]:
        found = self._batch.store.held(site, epoch, seq)
        self._batch.journal.drop(self._link.held[site, epoch], seq)
        self._batch.store.drop_held(site, epoch, seq)
        return found

    def _drop_held(self, source: Inbound, seq: int) -> None:
        held = self._link.held.get((source.site, source.epoch))
        if held and seq in held:
            self._batch.journal.drop(held, seq)
            self._batch.store.drop_held(source.site, source.epoch, seq)


def mark_for(batch: Batch, site: str, place: StreamPlace) -> SiteMark | None:
    """What this broker owes a site as word of how far it is."""
    source = batch.state.link.inbound.get(site)
    if source is None:
        return None
    held = batch.state.link.held.get((site, source.epoch))
    return SiteMark(source.epoch, source.high, source.uid, min(held) if held else None, *place)
