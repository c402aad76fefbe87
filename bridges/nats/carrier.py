"""The carrier of a link over NATS JetStream: windows of sealed, signed entries out, entries in stream order in, and marks.

Nothing that comes is believed for its subject alone: what a site has not signed for this pair of sites is dropped, logged at a
bounded rate, and counted.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from bridges.link import CarrierAway, News, Published, ReadBatch
from bridges.nats.acks import Acks
from bridges.nats.bodies import Bodies, large
from bridges.nats.directory import Heartbeats, Keys
from bridges.nats.envelope import ENTRY, MARK, Forged, Identity, between, packed, sealed, unpacked, verified, verify
from bridges.nats.layout import MARKS, mail_stream, mail_subject, mark_subject, own_streams, stream_number
from bridges.nats.names import Names
from bridges.nats.nats_client import NatsClient
from bridges.nats.site_lease import SiteLease
from bridges.nats.stream_reader import Read, StreamReader
from bridges.tasks import run_together

if TYPE_CHECKING:
    from bridges.nats.site_file import SiteFile
    from broker.home.logs import Log

ACK_S = 3.0
"""A published row has so long to be acknowledged."""
_BORN_EACH_S = 30.0
_BATCH_BYTES = 8 * 1024 * 1024
"""A batch ends after so much; the longest entry is taken at any length."""
_SIGNATURE = "Ipc-Sig"


class NatsCarrier:
    """See ``bridges.link.Carrier``."""

    name = "nats"

    def __init__(self, keys: SiteFile, servers: list[str], holder: str, log: Log) -> None:
        self._site = keys.site
        self._log = log
        self.changed = asyncio.Event()
        changed = self.changed.set
        self.client = NatsClient(keys, servers, changed)
        self._identity = Identity(keys.sign)
        self._lease = SiteLease(self.client, self._identity, keys.site, holder, log, changed)
        self._keys = Keys(self.client, keys.admin, keys.site, self._drop, changed)
        self._hearts = Heartbeats(self.client, self._keys, keys.site, self._drop, changed)
        self._names = Names(self.client, self._identity, self._keys, keys.site, self._drop, changed)
        self._bodies = Bodies(self.client, self._identity, keys.site)
        self._acks = Acks(self.client)
        self._places: dict[str, dict[str, Any]] = {}
        """Where the broker is in each stream, from ``link_open`` and what was read since."""
        self._mail: StreamReader | None = None
        self._unread: list[Read] = []
        """What the reader gave and ``read`` has not."""
        self._marks = StreamReader(self.client, MARKS, keys.site, own_streams(keys.site, 1)[MARKS], newest=True)
        self._born: dict[str, str] = {}
        """Creation times of the streams of mail, by name."""
        self._born_at_s = 0.0
        self._other = asyncio.Event()
        """Set when a stream seems to be another than before."""
        self._born_connection = 0
        self._told_born: dict[str, str] = {}
        self.dropped: Counter[str] = Counter()
        """What did not count, by its kind."""

    # life

    def begin(self, opened: dict[str, Any]) -> None:
        self._places = {stream: dict(place) for stream, place in opened["streams"].items()}
        self._mail, self._unread = None, []
        self._marks.begin(0, "")
        self._told_born = {}
        self._keys.begin(opened["keys"])
        self._names.begin()
        self.changed.set()

    async def tend(self) -> None:
        """What goes on beside: lease, keys, heartbeats, names. Never ends."""
        following = (self._keys.tend, self._hearts.tend, self._names.tend, self._watch_born)
        await run_together(self._lease.tend(), *map(self._following, following))

    async def _following(self, part: Any) -> None:
        """A part that only the holder of the lease does: its consumers have the site's name."""
        await self._lease.wait()
        await part()

    async def close(self) -> None:
        try:
            await self._lease.end()
        except CarrierAway:
            self._log.info("lease_not_given_back")
        await self.client.close()

    async def ready(self) -> None:
        """This bridge runs the link, and knows the keys."""
        self._lease.check()
        if not self._keys.complete.is_set():
            raise CarrierAway("the keys of the sites are not read yet")

    # out

    async def publish(self, rows: list[dict[str, Any]]) -> list[Published]:
        await self.ready()
        parts = {row["to"]: _Part() for row in rows}
        under_way: list[tuple[dict[str, Any], asyncio.Future[int]]] = []
        for row in rows:
            part = parts[row["to"]]
            try:
                if part.why:
                    raise CarrierAway(part.why)
                part.born = part.born or await self._born_of(row["to"])
                under_way.append((row, await self._put(row)))
            except Forged as e:  # the site has no key, or lost it
                part.fail(row, f"nothing can be sealed for a name {e} ({row['to']})")
            except CarrierAway as e:
                part.fail(row, str(e))
        if under_way:
            await asyncio.wait([future for _, future in under_way], timeout=ACK_S)
        for row, future in under_way:
            number = self._acks.settled(future)
            if isinstance(number, CarrierAway):
                parts[row["to"]].fail(row, str(number))
            else:
                parts[row["to"]].acked.append((row["seq"], number))
        return [Published(to, part.born, part.acked, part.failed, part.why) for to, part in parts.items()]

    async def _put(self, row: dict[str, Any]) -> asyncio.Future[int]:
        """Publish one row; the future of its sequence. Raises Forged without a key, CarrierAway."""
        to, body = row["to"], row["body"]
        key = await self._keys.of(to)
        plain = large(body)
        if plain is not None:
            body = await self._bodies.put(to, key, plain)
        payload = sealed(key, packed(row, body))
        subject = mail_subject(to, self._site, self._keys.streams)
        signature = base64.b64encode(self._identity.signature(ENTRY, subject, payload)).decode()
        name = f"{self._site}-{row['epoch']}-{row['seq']}-{row['try']}"
        return await self._acks.publish(subject, payload, {"Nats-Msg-Id": name, _SIGNATURE: signature})

    async def _born_of(self, site: str) -> str:
        """The creation time of the stream that carries mail to a site. Raises CarrierAway."""
        now_s = asyncio.get_running_loop().time()
        if self.client.connections != self._born_connection or now_s - self._born_at_s > _BORN_EACH_S or self._acks.went_back:
            self._born.clear()
            self._born_connection, self._born_at_s, self._acks.went_back = self.client.connections, now_s, False
        stream = mail_stream(stream_number(site, self._keys.streams))
        if stream not in self._born:
            self._born[stream] = str((await self.client.api(f"STREAM.INFO.{stream}"))["created"])
        return self._born[stream]

    async def _watch_born(self) -> None:
        """Notice a stream that was made anew while nothing is sent, so that what it lost is sent again."""
        while True:
            self._born_at_s = 0.0
            self._other.clear()
            wait_s = _BORN_EACH_S / 2
            try:
                for site in list(self._keys.known):
                    await self._born_of(site)
            except CarrierAway:
                wait_s = 1.0
            self.changed.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._other.wait(), wait_s)

    # in

    async def read(self) -> ReadBatch:
        await self.ready()
        stream = mail_stream(stream_number(self._site, self._keys.streams))
        reader = self._mail
        if reader is None or reader.stream != stream:
            reader = self._mail = StreamReader(
                self.client, stream, self._site, own_streams(self._site, self._keys.streams)[stream], newest=False
            )
            reader.on_other = self._other.set
            place = self._places.get(stream, {"cursor": 0, "born": ""})
            reader.begin(place["cursor"], place["born"])
        self._unread = self._unread or await reader.read()
        entries: list[dict[str, Any]] = []
        size, last, dropped = 0, 0, 0
        while self._unread and size < _BATCH_BYTES:
            try:
                entry = await self._entry(self._unread[0])
            except CarrierAway:  # a body or a key could not be fetched
                if not last:
                    raise
                break
            read = self._unread.pop(0)
            last, size, dropped = read.sequence, size + len(read.data), dropped + (entry is None)
            if entry is not None:
                entries.append(entry)
                size += len(str(entry["body"].get("content", "")))
        self._lease.place = self._places[stream] = {"cursor": last, "born": reader.born}
        return ReadBatch(stream, reader.born, last, entries, dropped)

    async def _entry(self, read: Read) -> dict[str, Any] | None:
        """The entry of a message; None if it does not count. Raises CarrierAway."""
        source = ""
        try:
            to, source = between(read.subject, "ipc.in.")
            if to != self._site:
                raise Forged("for another site")
            signature = base64.b64decode(read.headers.get(_SIGNATURE, ""), validate=True)
            await self._verify(source, ENTRY, read.subject, read.data, signature)
            entry = unpacked(self._identity.unsealed(read.data))
            if entry["body"].get("k") == "object":
                entry["body"] = await self._bodies.get(source, entry["body"])
        except binascii.Error:
            self._drop("entry", source, "not signed")
        except Forged as e:
            self._drop("entry", source, str(e))
        else:
            return {"from": source, **entry, "at": read.sequence}
        return None

    async def _verify(self, site: str, kind: str, subject: str, payload: bytes, signature: bytes) -> None:
        """Raises Forged, CarrierAway. A key that fits nothing may be old: the newest is looked up first."""
        try:
            verify(await self._keys.of(site), kind, subject, payload, signature)
        except Forged:
            if not await self._keys.look(site):
                raise
            verify(await self._keys.of(site), kind, subject, payload, signature)

    # marks

    async def send_mark(self, source: str, mark: dict[str, Any]) -> None:
        await self.ready()
        subject = mark_subject(source, self._site)
        await self.client.store(subject, self._identity.signed(MARK, subject, json.dumps(mark).encode()))

    async def read_marks(self) -> dict[str, dict[str, Any]]:
        while True:
            await self.ready()
            marks = {}
            for read in await self._marks.read():
                found = await self._mark(read)
                if found is not None:
                    marks[found[0]] = found[1]
            if marks:
                return marks

    async def _mark(self, read: Read) -> tuple[str, dict[str, Any]] | None:
        site = ""
        try:
            source, site = between(read.subject, "ipc.at.")
            if source != self._site:
                raise Forged("for another site")
            mark = _mark(verified(await self._keys.of(site), MARK, read.subject, read.data))
        except Forged as e:
            self._drop("mark", site, str(e))
            return None
        return site, mark

    # what is known

    def news(self) -> News:
        born = {}
        for site in self._keys.known:
            text = self._born.get(mail_stream(stream_number(site, self._keys.streams)))
            if text and self._told_born.get(site) != text:
                born[site] = self._told_born[site] = text
        why = self._lease.why() or self.client.why()
        hints = {"sites": self._hearts.news(), **self._names.news()}
        return News(self.client.connected and self._lease.held and not why, why, born, self._keys.news(), hints)

    async def show(self, hints: dict[str, Any]) -> None:
        await self.ready()
        await self._names.show(hints)

    def _drop(self, kind: str, site: str, reason: str) -> None:
        self.dropped[kind] += 1
        self._log.refusal(f"{kind}_dropped", site=site[:32], reason=reason)


class _Part:
    """The rows of one window that are for one site."""

    def __init__(self) -> None:
        self.born = ""
        self.acked: list[tuple[int, int]] = []
        self.failed: list[int] = []
        self.why = ""

    def fail(self, row: dict[str, Any], why: str) -> None:
        self.why = self.why or why
        self.failed.append(row["seq"])


def _mark(payload: bytes) -> dict[str, Any]:
    """A mark with the fields of a mark, each of its type. Raises Forged."""
    try:
        found = json.loads(payload)
        mark = {name: found[name] for name in ("epoch", "high", "uid", "held", "cursor", "born")}
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Forged("unreadable") from None
    texts = all(isinstance(mark[name], str) and len(mark[name]) <= 64 for name in ("epoch", "uid", "born"))
    numbers = all(type(mark[name]) is int and 0 <= mark[name] < 2**62 for name in ("high", "cursor"))
    if not texts or not numbers or not (mark["held"] is None or type(mark["held"]) is int):
        raise Forged("unreadable")
    return mark
