"""The door between sites, in steps: it may die, or be stopped for long, between any two of them.

What it does is what ``bridges/link.py`` does: take and publish, read and hand over, say marks and hear them. It knows nothing
but what the broker and the carrier tell it.
"""

import random
from collections.abc import Callable, Generator
from typing import Any

from tests.deep.faults.link_carriers import Carrier, DirectCarrier, Mark, Network, Places, Row
from tests.deep.faults.model import Wrong

Ask = Callable[..., dict[str, Any] | None]
"""A request to the broker; None: it is gone."""
Steps = Generator[None, None, None]
REPEAT_S = 20.0
"""Marks are said again: one that is lost, or overwritten by an older one, would keep its rows in the outbox for ever."""
PATIENCE = ("storage_full", "storage_locked")


class Over(Exception):
    """Another door has opened, or the broker was started again: this one ends."""


class Door:
    """One door of one site. ``step`` does the next thing of one of its three tasks."""

    def __init__(self, site: str, ask: Ask, carrier: Carrier, network: Network) -> None:
        self.site = site
        self._ask = ask
        self._carrier = carrier
        self._network = network
        self._rng = random.Random(network.rng.random())  # noqa: S311 (a seeded test)
        self.lease = 0
        self.places: Places = {}
        self.marks: dict[str, Mark] = {}
        """Those that this site owes its sources."""
        self._unsaid: set[str] = set()
        self._said_s = 0.0
        self._heard: dict[str, Mark] = {}
        self.life = f"life-{network.rng.getrandbits(48):012x}"
        self._count = 0
        self._tasks: list[Steps] = [self._open()]
        self.moved = 0
        """Entries and marks that went through it."""

    def step(self) -> None:
        task = self._tasks[self._rng.randrange(len(self._tasks))]
        try:
            next(task)
        except StopIteration:
            self._tasks = [self._out(), self._in(), self._marks()]

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        reply = self._ask(action, **fields, **({"lease": self.lease} if self.lease else {}))
        if reply is None or reply.get("code") == "link_taken":
            raise Over
        if reply["status"] != "ok" and reply.get("code") not in PATIENCE:
            raise Wrong(f"{action} of {self.site}'s door was answered {reply}")
        return reply

    def _insist(self, action: str, **fields: Any) -> Generator[None, None, dict[str, Any]]:
        """Ask until there is room: what is not reported now would not be known by anyone."""
        while (reply := self.ask(action, **fields))["status"] != "ok":
            yield
        return reply

    def _open(self) -> Steps:
        opened = yield from self._insist("link_open", carrier=self._carrier.kind)
        self.lease = opened["lease"]
        self.places = dict(opened["streams"])
        self.marks = dict(opened["marks"])
        self._unsaid = set(self.marks)
        if isinstance(self._carrier, DirectCarrier):
            self._carrier.listening[self.site] = self.receive
            self._carrier.lives[self.site] = self.life
        return
        yield

    # out

    def _out(self) -> Steps:
        told, lasts = dict[str, str](), dict[str, int]()
        while True:
            streams = self._carrier.streams(self.site)  # before anything is published: an ack may come from an older one
            born = {to: text for to, (text, _last) in streams.items()}
            if any(told.get(to) != stream[0] or (stream[1] or 0) < lasts.get(to, 0) for to, stream in streams.items()):
                yield
                yield from self._insist("link_streams", born=streams)
                yield
            told, lasts = born, {to: last or 0 for to, (_text, last) in streams.items()}
            taken = yield from self._insist("link_take", limit=self._rng.choice((1, 5, 20, 64, 256)))
            yield
            by_site: dict[str, list[Row]] = {}
            for row in taken["rows"]:
                by_site.setdefault(row.pop("to"), []).append(row)
            for to, rows in by_site.items():
                yield from self._publish(to, rows, born.get(to, ""))
            yield

    def _publish(self, to: str, rows: list[Row], born: str) -> Steps:
        self.moved += len(rows)
        acked = self._carrier.publish(self.site, to, rows)
        yield
        known = {seq for seq, _ in acked}
        failed = [row["seq"] for row in rows if row["seq"] not in known]
        yield from self._insist("link_sent", to=to, epoch=rows[0]["epoch"], born=born, acked=acked, failed=failed)
        yield

    # in

    def _in(self) -> Steps:
        while True:
            for reading in self._carrier.read(self.site, self.places):
                self.moved += 1 + len(reading.entries)
                entries = [entry_of(row) for row in reading.entries if row["signed"]]
                yield
                where = {"stream": reading.stream, "born": reading.born, "cursor": reading.cursor}
                reply = yield from self._insist("link_arrived", **where, entries=entries)
                self.places[reading.stream] = where
                self._owe(reply["marks"])
            yield

    def receive(self, source: str, rows: list[Row]) -> tuple[str, int] | None:
        """Entries from another site's door. None: they are not in."""
        if not self.lease:
            return None
        self._count += 1
        self.moved += len(rows)
        entries = [{"from": source, **row, "at": self._count} for row in rows]
        for row in entries:
            row.pop("try", None)
        where = {"stream": "direct", "born": self.life, "cursor": self._count}
        try:
            reply = self.ask("link_arrived", **where, entries=entries)
        except Over:
            return None
        if reply["status"] != "ok":
            return None
        self.places["direct"] = where
        self._owe(reply["marks"])
        return self.life, self._count

    def _owe(self, marks: dict[str, Mark]) -> None:
        self.marks.update(marks)
        self._unsaid |= set(marks)

    # marks

    def _marks(self) -> Steps:
        while True:
            if self._network.now_s > self._said_s + REPEAT_S:
                self._said_s = self._network.now_s
                self._unsaid = set(self.marks)
                self._freshen()
            if self._unsaid:
                yield
                self._carrier.say(self.site, {source: self.marks[source] for source in sorted(self._unsaid)})
                self._unsaid = set()
            yield
            heard = self._carrier.hear(self.site)
            news = {site: mark for site, mark in heard.items() if self._heard.get(site) != mark}
            if news:
                self.moved += len(news)
                yield
                yield from self._insist("link_marks", marks=news)
                self._heard.update(news)
            yield

    def _freshen(self) -> None:
        """A source of which nothing came is told, too, how far its stream was read: what it had there may have been deleted."""
        for place in self.places.values():
            now = {name: place[name] for name in ("cursor", "born")}
            self.marks = {source: {**mark, **now} for source, mark in self.marks.items()}


def entry_of(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("signed", "try")}
