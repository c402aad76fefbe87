"""Sites with keys and accounts of their own at real nodes, and what one site's door keeps there: its own parts, no broker."""

import asyncio
import json
import math
import os
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import nkeys

from bench.nats_nodes import Nodes, connect
from bridges.link import CarrierAway
from bridges.nats import layout
from bridges.nats.acks import Acks
from bridges.nats.envelope import Identity
from bridges.nats.key_entries import new_row, signed_row, streams_row
from bridges.nats.nats_client import NatsClient
from bridges.nats.permissions import accounts, site_block, streams_block
from bridges.nats.setup import DISK_GIB, copies_for, wanted
from bridges.nats.site_file import SiteFile
from bridges.nats.site_lease import SiteLease
from bridges.nats.stream_reader import StreamReader
from broker.home.logs import Log

_PATIENCE_S = 60.0
_LOOK_EACH_S, _LOOK_AT = 15.0, 256
"""How often a door looks at the heartbeats of others, and at how many."""
_BUCKET_BEAT_S = 10.0


class NatsUser:
    """A user's key pair; the nodes know its public half."""

    def __init__(self) -> None:
        seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        self.seed = seed.decode()
        self.public: str = nkeys.from_seed(bytearray(seed)).public_key.decode()


class Members:
    """Nodes that know an admin and sites, and the streams of ``ipc nats init``."""

    def __init__(self, sites: Iterable[str], nodes: int = 3, streams: int = 1) -> None:
        self.sites = list(sites)
        self.streams = streams
        self._admin, self._admin_sign = NatsUser(), Identity(os.urandom(32).hex())
        self._users = {site: NatsUser() for site in self.sites}
        self._seeds = {site: os.urandom(32).hex() for site in self.sites}
        blocks = [site_block(site, user.public, streams) for site, user in self._users.items()]
        self.nodes = Nodes(nodes, more=accounts(streams_block(self._admin.public), *blocks))

    def run(self, measure: Callable[["Members"], Coroutine[Any, Any, None]]) -> None:
        """With the nodes there, which are stopped afterwards."""
        try:
            self.nodes.start()
            asyncio.run(measure(self))
        finally:
            self.nodes.stop()

    def file(self, site: str) -> SiteFile:
        return SiteFile(site, tuple(self.nodes.urls), self._users[site].seed, self._seeds[site], self._admin_sign.public)

    async def admin(self) -> Any:
        """A connection that may do all, once the nodes are there."""
        more = {"nkeys_seed_str": self._admin.seed, "allow_reconnect": True, "max_reconnect_attempts": -1}
        return await self.nodes.insist(partial(connect, self.nodes.urls, **more))

    async def make_streams(self, admin: Any) -> None:
        for config in wanted(self.streams, copies_for(len(self.nodes.nodes)), DISK_GIB):
            await self.nodes.insist(partial(_make_stream, admin, config))

    async def put_keys(self, admin: Any) -> None:
        """What the admin signs: every site's key, and how many streams there are."""
        rows = {
            site: new_row(site, Identity(seed).public, self._users[site].public, None) for site, seed in self._seeds.items()
        }
        jetstream = admin.jetstream(timeout=10)
        for key, row in {**rows, layout.STREAMS_KEY: streams_row(self.streams)}.items():
            await jetstream.publish(layout.bucket_subject(layout.KEYS, key), signed_row(self._admin_sign, key, row))


async def _make_stream(admin: Any, config: dict[str, Any]) -> None:
    """Raises OSError with a refusal, so that it is asked again: nodes that start have no leader yet."""
    answer = await admin.request(f"$JS.API.STREAM.CREATE.{config['name']}", json.dumps(config).encode(), 10)
    if error := json.loads(answer.data).get("error"):
        raise OSError(error["description"])


class Member:
    """One site's client, readers and lease, as its door has them."""

    def __init__(self, members: Members, site: str, arrived: Callable[[str], None]) -> None:
        file = members.file(site)
        self.site = site
        self._members = members
        self._arrived = arrived
        self.client = NatsClient(file, list(file.servers), _nothing)
        self._acks = Acks(self.client)
        self._lease = SiteLease(self.client, Identity(file.sign), site, f"bench-{site}", Log("bench"), _nothing)
        own = layout.own_streams(site, members.streams)
        self._mail = layout.mail_stream(layout.stream_number(site, members.streams))
        beats = {name: {} if name in (self._mail, layout.MARKS) else {"beat_s": _BUCKET_BEAT_S} for name in own}
        keys = layout.bucket_stream(layout.KEYS)
        self.readers = [
            StreamReader(self.client, name, site, subjects, newest=name not in (self._mail, keys), **beats[name])
            for name, subjects in own.items()
            if name != layout.BODIES_STREAM
        ]
        self._keys = next(reader for reader in self.readers if reader.stream == keys)
        self._tasks: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Connect, and make the consumers. The others' keys count as read: a thousand sites in one process would take long."""
        await persistently(self.client.client)
        keys = await persistently(partial(self.client.api, f"STREAM.INFO.{self._keys.stream}"))
        self._keys.begin(keys["state"]["last_seq"], str(keys["created"]))
        for reader in self.readers:
            await persistently(reader.ready)

    def read(self) -> None:
        self._tasks += [asyncio.create_task(self._read(reader)) for reader in self.readers]

    async def _read(self, reader: StreamReader) -> None:
        while True:
            for _read in await persistently(reader.read, math.inf):
                if reader.stream == self._mail:
                    self._arrived(self.site)

    def beat(self) -> None:
        self._tasks.append(asyncio.create_task(self._lease.tend()))

    def look(self) -> None:
        """Look at the others' heartbeats as a door does, and believe them."""
        sites = self._members.sites[:_LOOK_AT]
        self._looking = asyncio.create_task(self._look([layout.bucket_subject(layout.SITES, site) for site in sites]))

    async def look_no_more(self) -> None:
        if self._looking is not None:
            await ended([self._looking])

    async def _look(self, subjects: list[str]) -> None:
        await asyncio.sleep(hash(self.site) % 1_000 / 1_000 * _LOOK_EACH_S)
        while True:
            await persistently(partial(self.client.newest, layout.bucket_stream(layout.SITES), subjects), math.inf)
            await asyncio.sleep(_LOOK_EACH_S)

    async def publish(self, sites: list[str], body: bytes) -> list[str]:
        """One window, a message to each; those whose message was not acknowledged."""
        streams, sent = self._members.streams, []
        for to in sites:
            sent.append((to, await self._acks.publish(layout.mail_subject(to, self.site, streams), body, {})))
        await asyncio.wait([future for _to, future in sent], timeout=3.0)
        return [to for to, future in sent if isinstance(self._acks.settled(future), CarrierAway)]

    async def close(self) -> None:
        await self.look_no_more()
        await ended(self._tasks)
        await self.client.close()


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel them until they end: a wait with a limit can swallow a cancellation (Python 3.11)."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _done, running = await asyncio.wait(running, timeout=1.0)


async def persistently(what: Callable[[], Any], patience_s: float = _PATIENCE_S) -> Any:
    """What it gives, once it is not away. Raises TimeoutError."""
    end_s = time.monotonic() + patience_s
    while True:
        try:
            return await what()
        except CarrierAway as away:
            if time.monotonic() > end_s:
                raise TimeoutError(str(away)) from None
            await asyncio.sleep(0.2)


def _nothing() -> None:
    """Nobody has to be told."""
