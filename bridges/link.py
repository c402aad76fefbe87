"""The link between sites: what any carrier must do, and who drives it.

    broker --link_take--> LinkDriver --publish--> carrier ~~~> carrier --read--> LinkDriver --link_arrived--> broker
           <--link_marks--          <--read_marks--      <~~~       <--send_mark--         <-- its answer: marks --

The broker owns numbers, outbox, marks and cursors, and trusts no carrier with more than carrying: a row leaves its outbox when
the receiver's mark says so. A carrier may lose, double and reorder; it must not change an entry nor say that another site sent
it. All it can't do now it answers with ``CarrierAway``, whose text a person reads; the driver then tries again.

The maps (rows, entries, marks) are those of the broker's actions ``link_*`` (broker/PROTOCOL.md).
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from bridges.tasks import run_together
from broker.client.aio import AsyncConnection
from broker.home.logs import Log
from broker.protocol.errors import IpcError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Map = dict[str, Any]

WINDOW = 256
"""Rows that are taken and published at once."""
_WINDOW_BYTES = 8 * 1024 * 1024
_POLL_S = 5.0
"""The broker wakes us when there is something to take. This is for the wake that a broker's restart loses."""
_MARKS_APART_S = 0.5
_TOLD_APART_S = 15.0
_REMINDED_AFTER_S = 11.0
"""The broker makes marks for all sites, also those of which nothing came, at most each 10 s."""
_FIRST_PAUSE_S, _LAST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 2.0, 20.0
"""Before something is tried again: the first, then twice as long each time up to the last; the longest for rows of one site.
The broker takes a row of which it hears nothing for 30 s as failed."""
_TIMEOUT_S = 30.0
_WORDS_S = 10.0
WHY_LENGTH = 400
"""Characters of why."""


class CarrierAway(Exception):
    """The carrier can't do it now. The text says why, to a person."""


class Published(NamedTuple):
    """What became of the rows for one site."""

    to: str
    born: str
    """The creation time of the stream that has them."""
    acked: list[tuple[int, int]]
    """(seq, the stream's sequence) of each row that the carrier has."""
    failed: list[int]
    """Numbers that it may not have; ``why`` says what was the matter."""
    why: str = ""


class ReadBatch(NamedTuple):
    """What was read of a stream: all entries for us up to ``cursor``, in stream order."""

    stream: str
    born: str
    cursor: int
    entries: list[Map]
    dropped: int = 0
    """How much of it did not count."""


class News(NamedTuple):
    """What the carrier knows now. ``why`` is empty while all goes well."""

    connected: bool
    why: str
    born: dict[str, str]
    """By site the creation time of the stream that carries mail to it."""
    keys: dict[str, Map]
    """Keys of sites that are newer than those that the broker had, as ``link_told`` takes them."""
    hints: Map
    """``sites``, ``agents`` and ``claims``, as ``link_told`` takes them; what is missing has not changed."""


class Carrier(Protocol):
    """One way between sites. Those that are awaited may raise CarrierAway, but for ``tend`` and ``close``."""

    name: str
    changed: asyncio.Event
    """Set when ``news`` may say something else."""

    def begin(self, opened: Map) -> None:
        """Start, or start again, from what ``link_open`` has answered: ``streams`` with our cursors, ``keys``."""

    async def ready(self) -> None:
        """Return if it can carry anything now."""

    async def publish(self, rows: list[Map]) -> list[Published]:
        """Hand over rows; return when each has an answer or had 3 s to get one."""

    async def read(self) -> ReadBatch:
        """The next batch behind our cursor; waits until there is one."""

    async def send_mark(self, source: str, mark: Map) -> None:
        """Tell a site how far we have read its mail. A newer mark replaces an older one."""

    async def read_marks(self) -> dict[str, Map]:
        """The newest marks of other sites for our mail; waits until there is a new one."""

    async def tend(self) -> None:
        """What goes on beside all this. Never ends."""

    def news(self) -> News:
        """What is known now; it is forgotten here once told."""

    async def show(self, hints: Map) -> None:
        """Let other sites see what ``link_hints`` has answered: what is new of it since the last time."""

    async def close(self) -> None:
        """End in order."""


class _Refused(Exception):
    """The broker will not take this request, however often it is made."""

    def __init__(self, reply: Map) -> None:
        super().__init__(str(reply.get("message")))
        self.code = str(reply.get("code"))


class _Reopen(Exception):
    """The broker has forgotten our lease, or is away: begin again."""


class LinkDriver:
    """Runs a site's link over one carrier until it is cancelled. ``say`` keeps what a person may see in the run file."""

    def __init__(self, broker: AsyncConnection, key: str, carrier: Carrier, log: Log, say: Callable[..., None]) -> None:
        self._broker = broker
        self._key = key
        self._carrier = carrier
        self._log = log
        self._say = say
        self._lease = 0
        self._wake = asyncio.Event()
        self._owed: dict[str, Map] = {}
        self._owe = asyncio.Event()
        self._why: dict[str, tuple[str, float]] = {}
        """By part what it waits for, and when it said so."""
        self._why_site: dict[str, str] = {}
        """By site why its mail waits; empty once it does not."""
        self._said: tuple[bool, str] | None = None
        self._failed: list[tuple[float, Map]] = []
        """(when to tell, what) of rows that failed."""
        self._pauses: dict[str, tuple[float, float]] = {}
        """By site that fails how long it waits, and until when."""
        self._place: Map = {}
        """Up to where the last batch was read."""
        self._lacking_s: float | None = None
        """When an entry was dropped whose sender may not know yet that we lack it."""
        self._loop = asyncio.get_running_loop()
        self.counted = {"sent": 0, "arrived": 0, "failed": 0}

    async def run(self) -> None:
        """Drive the link for ever. Raises what is not expected."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                await self._open()
                pause_s = _FIRST_PAUSE_S
                await self._drive()
            except _Reopen as e:
                self._log.info("link_reopens", detail=str(e))
            except _Refused as e:  # an older broker, or one without a site
                self._log.refusal("link_refused", code=e.code, detail=str(e))
                pause_s = _LAST_PAUSE_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    # the broker

    async def _open(self) -> None:
        body = {"action": "link_open", "session_token": self._key, "carrier": self._carrier.name}
        number, future = self._broker.begin(body, _TIMEOUT_S)
        self._broker.on_push[number] = lambda _push: self._wake.set()
        opened = _checked(await future)
        self._lease = opened["lease"]
        self._failed, self._pauses, self._lacking_s = [], {}, None
        self._owed = dict(opened["marks"])
        if self._owed:
            self._owe.set()
        self._carrier.begin(opened)

    async def _ask(self, action: str, **fields: Any) -> Map:
        body = {"action": action, "session_token": self._key, "lease": self._lease, **fields}
        try:
            return _checked(await self._broker.request(body, _TIMEOUT_S))
        except IpcError as e:  # no answer in time
            raise _Reopen(str(e)) from None

    async def _drive(self) -> None:
        """All that goes on at once; the end of one part ends all."""
        parts = (self._send, self._receive, self._send_marks, self._take_marks, self._tell, self._carrier.tend)
        await run_together(*(part() for part in parts))

    async def _persist(self, part: str, what: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """What the carrier answers, however long it is away."""
        pause_s = _FIRST_PAUSE_S
        while True:
            asks = "link"
            try:
                await self._carrier.ready()
                self._waits(asks, "")
                asks = part
                found = await what()
                self._waits(asks, "")
            except CarrierAway as e:
                self._waits(asks, str(e))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            else:
                return found

    def _waits(self, part: str, why: str) -> None:
        before = self._why.pop(part, ("", 0.0))[0]
        if why:
            self._why[part] = why, self._loop.time()
        if before != why:
            self._carrier.changed.set()

    def _waiting_for(self) -> str:
        """Why something waits. A part that reads again says nothing until there is something to read, so words get old."""
        end_s = self._loop.time() - _WORDS_S
        return next((why for why, said_s in self._why.values() if said_s > end_s), "")

    # out

    async def _send(self) -> None:
        while True:
            await self._persist("send", self._carrier.ready)
            self._wake.clear()
            await self._own_up()
            taken = await self._ask("link_take", limit=WINDOW, max_bytes=_WINDOW_BYTES)
            if taken["rows"]:
                await self._publish(taken["rows"])
            elif not taken["more"]:
                await _within(min([_POLL_S, *(due_s - self._loop.time() for due_s, _ in self._failed)]), self._wake)

    async def _publish(self, rows: list[Map]) -> None:
        """Publish rows and tell the broker what became of them, of failures after a pause: it offers them at once again."""
        epochs = {row["to"]: row["epoch"] for row in rows}
        try:
            parts = await self._carrier.publish(rows)
        except CarrierAway as e:
            parts = [Published(to, "", [], [row["seq"] for row in rows if row["to"] == to], str(e)) for to in epochs]
        for part in parts:
            place = {"to": part.to, "epoch": epochs[part.to], "born": part.born}
            if part.acked:
                await self._ask("link_sent", **place, acked=[list(one) for one in part.acked])
            if part.failed:
                self._failed.append((self._again_s(part.to), {**place, "acked": [], "failed": part.failed}))
            elif self._pauses.pop(part.to, None):  # it goes again: what failed before need not wait
                self._failed = [(0.0 if one["to"] == part.to else due_s, one) for due_s, one in self._failed]
            self.counted["sent"] += len(part.acked)
            self.counted["failed"] += len(part.failed)
            if self._why_site.get(part.to, "") != (why := part.why if part.failed else ""):
                self._why_site[part.to] = why
                self._carrier.changed.set()

    def _again_s(self, site: str) -> float:
        """When rows for a site are tried again. All that fail until then wait for the same moment; the next pause is longer."""
        now_s = self._loop.time()
        pause_s, due_s = self._pauses.get(site, (_FIRST_PAUSE_S / 2, 0.0))
        if due_s <= now_s:
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            due_s = now_s + pause_s
            self._pauses[site] = pause_s, due_s
        return due_s

    async def _own_up(self) -> None:
        """Tell the broker of the failures whose pause is over."""
        now_s = self._loop.time()
        due = [fields for due_s, fields in self._failed if due_s <= now_s]
        self._failed = [(due_s, fields) for due_s, fields in self._failed if due_s > now_s]
        for fields in due:
            await self._ask("link_sent", **fields)

    # in

    async def _receive(self) -> None:
        while True:
            batch: ReadBatch = await self._persist("receive", self._carrier.read)
            try:
                await self._arrived(batch, batch.entries)
            except _Refused:
                await self._one_by_one(batch)

    async def _arrived(self, batch: ReadBatch, entries: list[Map]) -> None:
        cursor = batch.cursor if entries is batch.entries or not entries else entries[-1]["at"]
        self._place = {"stream": batch.stream, "born": batch.born, "cursor": cursor}
        await self._take_in(entries)
        self.counted["arrived"] += len(entries)
        if batch.dropped:
            self._lacking_s = self._loop.time()

    async def _take_in(self, entries: list[Map]) -> None:
        reply = await self._ask("link_arrived", **self._place, entries=entries)
        if reply["marks"]:
            self._owed |= reply["marks"]
            self._owe.set()

    async def _remind(self) -> None:
        """Have marks made for all sites some seconds after an entry was dropped, so that who sent it hears that we lack it."""
        if self._lacking_s is not None and self._loop.time() > self._lacking_s + _REMINDED_AFTER_S:
            self._lacking_s = None
            await self._take_in([])

    async def _one_by_one(self, batch: ReadBatch) -> None:
        """Leave out the entries that the broker refuses, so that one site's nonsense does not stop the mail of all."""
        for entry in batch.entries:
            try:
                await self._arrived(batch, [entry])
            except _Refused as e:
                self._log.refusal("entry_refused", site=entry["from"], seq=entry["seq"], code=e.code, detail=str(e))
        await self._arrived(ReadBatch(batch.stream, batch.born, batch.cursor, []), [])

    # marks

    async def _send_marks(self) -> None:
        while True:
            await self._owe.wait()
            self._owe.clear()
            owed, self._owed = self._owed, {}
            for source, mark in owed.items():
                await self._persist("marks", partial(self._carrier.send_mark, source, mark))
            await asyncio.sleep(_MARKS_APART_S)

    async def _take_marks(self) -> None:
        while True:
            marks = await self._persist("marks of others", self._carrier.read_marks)
            reply = await self._ask("link_marks", marks=marks)
            if reply["renewed"]:
                self._log.warning("epoch_renewed", sites=reply["renewed"])
            self._wake.set()  # there may be room for more

    # what is known

    async def _tell(self) -> None:
        while True:
            self._carrier.changed.clear()
            await self._told(self._carrier.news())
            hints = await self._ask("link_hints")
            with contextlib.suppress(CarrierAway):  # they are hints; the next turn shows them
                await self._carrier.show({"agents": hints["agents"], "claims": hints["claims"]})
            await self._remind()
            await _within(_WORDS_S if self._why else _TOLD_APART_S, self._carrier.changed)
            await asyncio.sleep(_FIRST_PAUSE_S)

    async def _told(self, news: News) -> None:
        why = news.why or self._waiting_for()
        connected = news.connected and not why
        sites = {
            site: {**news.hints.get("sites", {}).get(site, {}), "why": text} for site, text in self._why_site.items() if text
        }
        hints = {**news.hints, "sites": {**news.hints.get("sites", {}), **sites}}
        await self._ask("link_told", connected=connected, why=why[:WHY_LENGTH], keys=news.keys, **hints)
        if news.born:
            await self._ask("link_streams", born=news.born)
            self._wake.set()
        if self._said != (connected, why):
            self._said = (connected, why)
            self._log.info("link_connected") if connected else self._log.refusal("link_waits", detail=why)
        self._say(connected=connected, why=why, **self.counted)


def _checked(reply: Map) -> Map:
    """The reply. Raises _Reopen where beginning again helps, else _Refused."""
    if reply.get("status") == "ok":
        return reply
    if reply.get("code") in ("link_taken", "timeout") or (reply.get("retryable") and reply.get("code") != "internal"):
        raise _Reopen(str(reply.get("message")))
    raise _Refused(reply)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for the event, at most so long."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
