"""Who runs a site's link: of two bridges with one site's key, one. And the site's heartbeat, which is the same entry.

    ipc_sites, key SITE:  signature, {site, holder, host, n, cursor, born, version, ended?}

The entry is written each 5 s, on the condition that nobody wrote meanwhile; ``n`` grows with each. A holder whose ``n`` has
not grown for 15 s, by the clock of who looks, is gone. Only an entry that this site's own key signed counts, so nobody else can
take the lease, and an old entry that is written once more has an ``n`` that does not grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any

from bridges.fence import one_line
from bridges.link import CarrierAway
from bridges.nats.envelope import SITE, Forged, Identity, verified
from bridges.nats.layout import SITES, bucket_stream, bucket_subject
from bridges.nats.nats_client import WRONG_SEQUENCE, ApiRefused, NatsClient
from broker.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from broker.home.logs import Log

LEASE_S = 15.0
_RENEWED_EACH_S = 5.0
_LOOKED_EACH_S = 2.0
_ATTEMPTS = 3


class SiteLease:
    """This process's hold on the link of its site."""

    def __init__(
        self, client: NatsClient, identity: Identity, site: str, holder: str, log: Log, on_change: Callable[[], None]
    ) -> None:
        self._client = client
        self._identity = identity
        self._site = site
        self._subject = bucket_subject(SITES, site)
        self._holder = holder
        self._log = log
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._until_s = 0.0
        self._revision: int | None = None
        """The entry's sequence as far as we know it."""
        self._n = 0
        self._seen: tuple[str, int, float] = ("", 0, 0.0)
        """Another holder, its n, and when we saw that first."""
        self._other = ""
        """Where another bridge runs the link; empty if none does."""
        self._got, self._connected = asyncio.Event(), asyncio.Event()
        client.waiting.add(self._connected)
        self.place: dict[str, Any] = {}
        """``cursor`` and ``born`` of what this site has read, for who tidies the streams."""

    @property
    def held(self) -> bool:
        return self._loop.time() < self._until_s

    def why(self) -> str:
        """Why it is not ours; empty if no other bridge has it."""
        if not self._other:
            return ""
        return f"another bridge runs the link of site {self._site}, on {self._other}; this one keeps its outbox and waits"

    def check(self) -> None:
        """Raises CarrierAway where it is not ours."""
        if not self.held:
            raise CarrierAway(self.why() or self._client.why() or "waiting for the site's lease at the nats-servers")

    async def wait(self) -> None:
        """Return once it is ours."""
        while not self.held:
            self._got.clear()
            await self._got.wait()

    async def tend(self) -> None:
        """Take it and renew it, for ever."""
        while True:
            try:
                await self._renew()
            except CarrierAway:
                self._revision = None
            self._connected.clear()
            with contextlib.suppress(TimeoutError):
                wait_s = _RENEWED_EACH_S if self.held and self._revision is not None else _LOOKED_EACH_S
                await asyncio.wait_for(self._connected.wait(), wait_s)

    async def end(self) -> None:
        """Give it back, so that the next one need not wait. Raises CarrierAway."""
        if self.held:
            self._until_s = 0.0
            await self._write(self._loop.time(), ended=True)
            self._until_s = 0.0

    async def _renew(self) -> None:
        for _ in range(_ATTEMPTS):
            began_s = self._loop.time()
            if self._revision is None and not await self._free(began_s):
                return
            try:
                await self._write(began_s)
            except ApiRefused as e:
                if e.number not in WRONG_SEQUENCE:
                    raise
                self._revision = None  # somebody wrote meanwhile: look who
            else:
                return

    async def _free(self, now_s: float) -> bool:
        """Look at the entry; False if another bridge holds the lease."""
        revision, entry = await self._entry()
        holder, n = str(entry.get("holder")), int(entry.get("n") or 0)
        if entry and holder != self._holder and not entry.get("ended") and n > self._n:
            if self._seen[:2] != (holder, n):
                self._seen = (holder, n, now_s)
            if now_s - self._seen[2] < LEASE_S:
                self._lose(one_line(str(entry.get("host")))[:60])
                return False
        self._n = max(self._n, n)
        self._revision = revision
        return True

    def _lose(self, host: str) -> None:
        if not self._other:
            self._log.error("lease_lost" if self._until_s else "lease_held", site=self._site, host=host)
        self._other = host
        self._until_s = 0.0
        self._on_change()

    async def _entry(self) -> tuple[int, dict[str, Any]]:
        """(revision, what this site's key signed); an entry that it did not sign counts as none."""
        answer = await self._client.request(f"$JS.API.DIRECT.GET.{bucket_stream(SITES)}.{self._subject}", b"")
        headers = answer.headers or {}
        if headers.get("Status"):  # 404
            return 0, {}
        try:
            found = json.loads(verified(self._identity.public, SITE, self._subject, answer.data))
        except (Forged, ValueError):
            self._log.refusal("site_entry_forged", site=self._site)
            found = {}
        return int(headers["Nats-Sequence"]), found

    async def _write(self, began_s: float, *, ended: bool = False) -> None:
        n = max(self._n + 1, int(time.time() * 1000))
        entry = {"site": self._site, "holder": self._holder, "host": socket.gethostname(), "n": n, **self.place}
        payload = json.dumps({**entry, "version": VERSION, **({"ended": True} if ended else {})}).encode()
        condition = {"Nats-Expected-Last-Subject-Sequence": str(self._revision or 0)}
        value = self._identity.signed(SITE, self._subject, payload)
        self._revision = await self._client.store(self._subject, value, condition)
        self._n = n
        was_held, self._other, self._until_s = self.held, "", began_s + LEASE_S
        if not was_held:
            self._log.info("lease_taken", site=self._site)
            self._got.set()
            self._on_change()


def holder_of(home: Path) -> str:
    """Which data folder on which machine: a copy of it elsewhere is another holder, a restart here is the same."""
    found = os.stat(home)
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            machine = file.read().strip()
    except (OSError, UnicodeDecodeError):
        machine = ""
    text = "\0".join((machine, socket.gethostname(), str(home.resolve()), str(found.st_dev), str(found.st_ino)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
