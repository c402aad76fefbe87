"""What a site knows of the others: their keys, which the admin has signed, and hints, which they have signed themselves.

    ipc_keys   SITE or _streams   {site, sign, n, removed?} or {streams, n}, signed by the admin
    ipc_sites  SITE               heartbeats; their age is told by the servers' clock (bridges.nats.site_lease writes ours)
    ipc_names  SITE.NAME          {name, presence, note, silent_s, claims?, n} or {name, gone, n}

In each ``n`` grows, so an old entry that is written once more is a replay. No mail waits for a hint; for a key it does.
"""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bridges.link import CarrierAway
from bridges.nats.envelope import SITE, Forged, is_key, verified
from bridges.nats.key_entries import row_of
from bridges.nats.layout import KEYS, SITES, STREAMS_KEY, bucket_stream, bucket_subject
from bridges.nats.nats_client import NatsClient
from bridges.nats.stream_reader import StreamReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.msg import Msg


_LOOK_EACH_S = 15.0
_SITES_AT_ONCE = 256
AWAY_S = 45.0
_ASKED_AGAIN_S = 5.0
"""A key that is unknown or fits no signature is looked up once in so long."""
_BEAT_S = 10.0
MOST_STREAMS = 64


class Keys:
    """The keys of all sites, as the admin signed them."""

    def __init__(
        self, client: NatsClient, admin: str, site: str, drop: Callable[..., None], on_change: Callable[[], None]
    ) -> None:
        self._client = client
        self._admin = admin
        self._drop = drop
        self._on_change = on_change
        self._reader = StreamReader(client, bucket_stream(KEYS), site, bucket_subject(KEYS, ">"), newest=True, beat_s=_BEAT_S)
        self._asked: dict[str, float] = {}
        self._loop = asyncio.get_running_loop()
        self.known: dict[str, dict[str, Any]] = {}
        """By site ``n``, ``key`` and perhaps ``removed``."""
        self.fresh: dict[str, dict[str, Any]] = {}
        """Those that the broker has not been told yet."""
        self.streams = 1
        self._streams_n = 0
        self.complete = asyncio.Event()
        """Set once all that the servers have was read."""

    def begin(self, known: dict[str, dict[str, Any]]) -> None:
        """Take over what the broker has kept; what it does not know yet is told again."""
        for site, row in known.items():
            if row["n"] >= self.known.get(site, {"n": 0})["n"]:
                self.known[site] = row
        self.fresh = {site: row for site, row in self.known.items() if known.get(site) != row}

    async def tend(self) -> None:
        """Follow the bucket, for ever."""
        self._reader.begin(0, "")
        while True:
            try:
                await self._reader.ready()
                if self._reader.empty:
                    self._has_all()
                for read in await self._reader.read():
                    self._take(read.subject, read.data)
                    if not read.pending:
                        self._has_all()
            except CarrierAway:
                await asyncio.sleep(1.0)

    def _has_all(self) -> None:
        if not self.complete.is_set():
            self.complete.set()
            self._on_change()

    def news(self) -> dict[str, dict[str, Any]]:
        """Keys that the broker has not been told yet. None before all were read: of a site whose key comes a moment later the
        broker would say that there is no such site."""
        if not self.complete.is_set():
            return {}
        fresh, self.fresh = self.fresh, {}
        return fresh

    async def of(self, site: str) -> str:
        """The key of a site. Raises Forged where it has none or was removed, CarrierAway."""
        row = self.known.get(site)
        if row is None:
            await self.look(site)
            row = self.known.get(site)
        if row is None:
            raise Forged("of a site that has no key here")
        if row.get("removed"):
            raise Forged("of a site that was removed")
        return str(row["key"])

    async def look(self, site: str) -> bool:
        """Ask for a site's key, at most each 5 s; True if it is another now. Raises CarrierAway."""
        now_s = self._loop.time()
        if now_s - self._asked.get(site, -_ASKED_AGAIN_S) < _ASKED_AGAIN_S:
            return False
        if len(self._asked) > 10_000:
            self._asked.clear()
        self._asked[site] = now_s
        before = self.known.get(site)
        answer = await self._client.request(f"$JS.API.DIRECT.GET.{bucket_stream(KEYS)}.{bucket_subject(KEYS, site)}", b"")
        if not (answer.headers or {}).get("Status"):
            self._take(bucket_subject(KEYS, site), answer.data)
        return self.known.get(site) != before

    def _take(self, subject: str, value: bytes) -> None:
        """Take an entry that the admin signed and that is newer than what is known."""
        site = subject.rpartition(".")[2]
        row = row_of(self._admin, site, value)
        try:
            if row is None:
                raise Forged("not signed by the admin")
            if site == STREAMS_KEY:
                self._take_streams(row)
            else:
                self._take_key(site, row)
        except Forged as e:
            self._drop("key", site, str(e))

    def _take_streams(self, found: dict[str, Any]) -> None:
        if not 1 <= found["streams"] <= MOST_STREAMS:
            raise Forged("with a wrong number of streams")
        if found["n"] > self._streams_n:
            self._streams_n, self.streams = found["n"], found["streams"]
            self._on_change()

    def _take_key(self, site: str, found: dict[str, Any]) -> None:
        if not is_key(found.get("sign")):
            raise Forged("without a key")
        n, old = found["n"], self.known.get(site, {"n": 0})
        if n < old["n"]:
            raise Forged("replayed")
        row = {"n": n, "key": "", "removed": True} if found.get("removed") else {"n": n, "key": found["sign"]}
        if n > old["n"]:
            self.known[site] = self.fresh[site] = row
            self._on_change()


class Heartbeats:
    """How long ago each site's bridge said that it lives."""

    def __init__(
        self, client: NatsClient, keys: Keys, site: str, drop: Callable[..., None], on_change: Callable[[], None]
    ) -> None:
        self._client = client
        self._keys = keys
        self._site = site
        self._drop = drop
        self._on_change = on_change
        self._newest: dict[str, int] = {}
        """The highest n of each site."""
        self._seen: dict[str, tuple[float, bool]] = {}
        """By site when its bridge gave a sign, by our own clock, and whether that was its last."""
        self._loop = asyncio.get_running_loop()

    async def tend(self) -> None:
        while True:
            try:
                await self._look()
            except CarrierAway:
                self._on_change()
            await asyncio.sleep(_LOOK_EACH_S)

    def news(self) -> dict[str, dict[str, Any]]:
        """By site ``age_s``, ``away`` and perhaps ``why``, as of now."""
        now_s = self._loop.time()
        found: dict[str, dict[str, Any]] = {}
        for site, (at_s, ended) in self._seen.items():
            age_s = round(now_s - at_s, 1)
            found[site] = {"age_s": age_s, "away": ended or age_s > AWAY_S}
            if ended:
                found[site]["why"] = f"the door of {site} was stopped"
        return found

    async def _look(self) -> None:
        sites = [site for site, row in self._keys.known.items() if not row.get("removed")][:_SITES_AT_ONCE]
        subjects = [bucket_subject(SITES, site) for site in {*sites, self._site}]
        at = {m.headers["Nats-Subject"]: m for m in await self._client.newest(bucket_stream(SITES), subjects) if m.headers}
        own = _stored(at.pop(bucket_subject(SITES, self._site), None))
        now_s = self._loop.time()
        for subject, message in at.items():
            then, site = _stored(message), subject.rpartition(".")[2]
            try:
                ended = await self._word(site, subject, message.data)
            except Forged as e:
                self._drop("site", site, str(e))
                continue
            if own is not None and then is not None:
                self._seen[site] = (now_s - max(0.0, (own - then).total_seconds()), ended)
        self._on_change()

    async def _word(self, site: str, subject: str, value: bytes) -> bool:
        """A site's newest word: True if its door has ended in order. Raises Forged, CarrierAway."""
        found = _json(verified(await self._keys.of(site), SITE, subject, value))
        n = found.get("n")
        if type(n) is not int or n < self._newest.get(site, 0):
            raise Forged("replayed")
        self._newest[site] = n
        return bool(found.get("ended"))


def _json(payload: bytes) -> dict[str, Any]:
    """Raises Forged."""
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        raise Forged("unreadable") from None
    if not isinstance(found, dict):
        raise Forged("unreadable")
    return found


def _stored(message: Msg | None) -> datetime | None:
    """When the servers stored it, by their clock."""
    text = (message.headers or {}).get("Nats-Time-Stamp", "") if message is not None else ""
    try:
        return datetime.fromisoformat(f"{text[:26].rstrip('Z')}+00:00")
    except ValueError:
        return None
