"""Keys, accounts and streams for sites at real servers, made without the commands that a person types."""

import asyncio
import json
import os
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nats
import nkeys

from bridges.nats import layout
from bridges.nats.admin_client import AdminClient
from bridges.nats.envelope import KEY, Identity
from bridges.nats.permissions import accounts, site_block, streams_block
from bridges.nats.setup import DISK_GIB, make, wanted
from bridges.nats.site_file import SiteFile
from tests.nats.servers import NatsServers


class NatsUser:
    """A user's key pair; the server knows its public half."""

    def __init__(self) -> None:
        seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
        self.seed = seed.decode()
        self.public: str = nkeys.from_seed(bytearray(seed)).public_key.decode()


def as_user(servers: NatsServers, seed: str, use: Any, *arguments: Any, ca: str | None = None) -> Any:
    """What ``use(client, *arguments)`` returns for a client with this login, in a loop of its own."""
    trusted = ssl.create_default_context(cadata=ca) if ca else None

    async def run() -> Any:
        client = await nats.connect(servers.urls, nkeys_seed_str=seed, tls=trusted)
        try:
            return await use(client, *arguments)
        finally:
            await client.close()

    return asyncio.run(run())


class SitesWorld:
    """Servers, the admin, and sites with keys."""

    def __init__(self, *sites: str, nodes: int = 1, streams: int = 1, tls: Path | None = None) -> None:
        """``tls``: a folder with ca.crt, node.crt and node.key."""
        self.streams = streams
        self.ca = (tls / "ca.crt").read_text() if tls else None
        self.admin_user, self.admin_sign = NatsUser(), Identity(os.urandom(32).hex())
        self.users = {site: NatsUser() for site in sites}
        self.seeds = {site: os.urandom(32).hex() for site in sites}
        blocks = [site_block(site, user.public, streams) for site, user in self.users.items()]
        more = f'tls {{ cert_file: "{tls}/node.crt", key_file: "{tls}/node.key" }}' if tls else ""
        self.servers = NatsServers(nodes, accounts(streams_block(self.admin_user.public), *blocks), more=more)
        self._numbers = 0

    def __enter__(self) -> "SitesWorld":
        self.servers.__enter__()
        self.as_admin(self._make)
        return self

    def __exit__(self, *_: object) -> None:
        self.servers.stop()

    def file(self, site: str) -> SiteFile:
        return SiteFile(site, tuple(self.urls), self.users[site].seed, self.seeds[site], self.admin_sign.public, self.ca)

    @property
    def urls(self) -> list[str]:
        return [url.replace("nats:", "tls:") if self.ca else url for url in self.servers.urls]

    def key(self, site: str) -> str:
        return Identity(self.seeds[site]).public

    def as_admin(self, use: Any, *arguments: Any) -> Any:
        """What ``use(client, *arguments)`` returns, in a loop of its own."""
        return as_user(self.servers, self.admin_user.seed, use, *arguments, ca=self.ca)

    def make_streams(self) -> None:
        self.as_admin(self._make)

    async def _make(self, client: Any) -> None:
        for want in self._wanted():
            await make(AdminClient(client), want)
        await self.put_key(client, layout.STREAMS_KEY, {"streams": self.streams})
        for site in self.users:
            await self.put_key(client, site, {"site": site, "sign": self.key(site)})

    async def add_mail_stream(self, client: Any, k: int = 0) -> None:
        await make(AdminClient(client), self._wanted()[k])

    def _wanted(self) -> list[dict[str, Any]]:
        return wanted(self.streams, len(self.servers.nodes), DISK_GIB)

    async def put_key(self, client: Any, name: str, entry: dict[str, Any]) -> None:
        self._numbers += 1
        subject = layout.bucket_subject(layout.KEYS, name)
        payload = json.dumps({**entry, "n": self._numbers}).encode()
        await client.jetstream(timeout=15).publish(subject, self.admin_sign.signed(KEY, subject, payload))


def row(to: str, seq: int, content: str = "hello", **more: Any) -> dict[str, Any]:
    """One row of an outbox, as ``link_take`` gives it."""
    body = {"k": "mail", "to": ["bob"], "from": "ann", "content": content}
    named = {"to": to, "epoch": "e" * 12, "seq": seq, "uid": f"u{seq}", "prev": f"u{seq - 1}" if seq > 1 else ""}
    return {**named, "low": 1, "redo": 0, "try": 0, "body": body, **more}


def rows(to: str, numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [row(to, seq) for seq in numbers]
