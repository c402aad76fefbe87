"""Names, presence and claims of other sites, as hints, and what of ours they may see.

A site's entries are its own: signed with its key, under its own keys of the bucket ``ipc_names``. A name that is gone stays as
``{name, gone}`` for as long as the bucket keeps it. Nothing here is asked on the way of a mail.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

from bridges.link import CarrierAway
from bridges.nats.directory import Keys
from bridges.nats.envelope import NAME, Forged, Identity, verified
from bridges.nats.layout import NAMES, bucket_stream, bucket_subject
from bridges.nats.nats_client import NatsClient
from bridges.nats.stream_reader import Read, StreamReader
from broker.protocol.names import is_name

if TYPE_CHECKING:
    from collections.abc import Callable

_BEAT_S = 10.0
MOST_NAMES = 20_000
"""Names of other sites that are kept. Mail to the others is sent all the same."""
_ENTRY_BYTES = 16 * 1024
_CLAIMS = 20
"""Claims of one agent that others are shown."""
_WRITES_AT_ONCE = 64


class Names:
    """The bucket ``ipc_names``, both ways."""

    def __init__(
        self,
        client: NatsClient,
        identity: Identity,
        keys: Keys,
        site: str,
        drop: Callable[..., None],
        on_change: Callable[[], None],
    ) -> None:
        self._client = client
        self._identity = identity
        self._keys = keys
        self._site = site
        self._drop = drop
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._reader = StreamReader(client, bucket_stream(NAMES), site, bucket_subject(NAMES, ">"), newest=True, beat_s=_BEAT_S)
        self._others: dict[str, dict[str, tuple[dict[str, Any], float]]] = {}
        """By site and name: the entry, and when we saw it."""
        self._count = 0
        self._changed: set[str] = set()
        self._written: dict[str, dict[str, Any]] = {}
        """What stands there of ours, by name."""
        self._n = 0

    async def tend(self) -> None:
        """Follow the bucket, for ever."""
        self._reader.begin(0, "")
        while True:
            try:
                for read in await self._reader.read():
                    await self._take(read)
            except CarrierAway:
                self._reader.begin(0, "")  # what was read and not taken comes again
                await asyncio.sleep(1.0)

    def begin(self) -> None:
        """The broker has forgotten all hints."""
        self._changed = set(self._others)

    def news(self) -> dict[str, Any]:
        """``agents`` and ``claims`` of the sites that changed, once."""
        changed, self._changed = self._changed, set()
        now_s = self._loop.time()
        agents: dict[str, list[dict[str, Any]]] = {}
        claims: dict[str, list[dict[str, Any]]] = {}
        for site in changed:
            agents[site], claims[site] = [], []
            for name, (entry, seen_s) in self._others.get(site, {}).items():
                if entry.get("gone"):
                    continue
                silent_s = int(entry["silent_s"] + now_s - seen_s)
                agents[site].append({"name": name, "presence": entry["presence"], "note": entry["note"], "silent_s": silent_s})
                claims[site] += [{"resource": c["resource"], "holder": name, "note": c["note"]} for c in entry["claims"]]
        return {"agents": agents, "claims": claims} if changed else {}

    async def show(self, hints: dict[str, Any]) -> None:
        """Write what has changed of ours. Raises CarrierAway."""
        wanted: dict[str, dict[str, Any]] = {}
        for agent in hints["agents"]:
            claims = [c for c in hints["claims"] if c.get("holder") == agent["name"]][:_CLAIMS]
            shown = [{"resource": c["resource"], "note": c.get("note", "")} for c in claims]
            wanted[agent["name"]] = {**agent, "claims": shown}
        gone = [
            {"name": name, "gone": True}
            for name, entry in self._written.items()
            if name not in wanted and not entry.get("gone")
        ]
        due = [
            entry for entry in [*wanted.values(), *gone] if _lasting(entry) != _lasting(self._written.get(entry["name"], {}))
        ]
        for start in range(0, len(due), _WRITES_AT_ONCE):
            await asyncio.gather(*map(self._write, due[start : start + _WRITES_AT_ONCE]))

    async def _write(self, entry: dict[str, Any]) -> None:
        self._n = max(self._n + 1, int(time.time() * 1000))
        subject = bucket_subject(NAMES, f"{self._site}.{entry['name']}")
        payload = json.dumps({**entry, "n": self._n}).encode()
        await self._client.store(subject, self._identity.signed(NAME, subject, payload))
        self._written[entry["name"]] = entry

    async def _take(self, read: Read) -> None:
        _kv, _bucket, site, name = (*read.subject.split("."), "", "")[:4]
        try:
            if not is_name(name) or len(read.data) > _ENTRY_BYTES:
                raise Forged("of no name")
            entry = _entry(verified(await self._keys.of(site), NAME, read.subject, read.data), name)
        except Forged as e:
            self._drop("name", site, str(e))
            return
        if site == self._site:
            self._written.setdefault(name, entry)  # of a former process of ours
            return
        rows = self._others.setdefault(site, {})
        old = rows.get(name)
        if old is not None and entry["n"] <= old[0]["n"]:
            return
        if old is None and self._count >= MOST_NAMES:
            return
        self._count += old is None
        rows[name] = (entry, self._loop.time())  # also of a name that is gone: an older entry may be written once more
        self._changed.add(site)
        self._on_change()


def _lasting(entry: dict[str, Any]) -> dict[str, Any]:
    """What of an entry is worth another write when it changes."""
    return {key: value for key, value in entry.items() if key not in ("silent_s", "n")}


def _entry(payload: bytes, name: str) -> dict[str, Any]:
    """An entry with all its fields, each of its type. Raises Forged."""
    try:
        found = json.loads(payload)
        n = found["n"]
        if found["name"] != name or type(n) is not int:
            raise Forged("of another name")
        if found.get("gone"):
            return {"name": name, "gone": True, "n": n}
        claims = [
            {"resource": str(c["resource"])[:500], "note": str(c.get("note") or "")[:300]} for c in found.get("claims", ())
        ]
        return {
            "name": name,
            "presence": str(found.get("presence") or "unknown")[:20],
            "note": str(found.get("note") or "")[:300],
            "silent_s": float(found.get("silent_s") or 0.0),
            "claims": claims[:_CLAIMS],
            "n": n,
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Forged("unreadable") from None
