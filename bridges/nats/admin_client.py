"""One connection for a command: requests to JetStream whose refusals are sentences, and entries of buckets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

from bridges.nats import layout
from bridges.nats.layout import bucket_stream, bucket_subject
from bridges.nats.trouble import Trouble

NO_STREAM = 10059
_NO_ROOM = (10023, 10028, 10047)
_TOO_FEW_NODES = (10005, 10074)
_NOT_YET = (10005, 10008, 10009)
"""The nodes of a cluster don't know each other yet, or hold an election."""
_CONNECT_S, _ANSWER_S = 3.0, 5.0
_CLOSE_S = 2.0
"""A connection whose TLS failed never ends its closing by itself."""
_PATIENCE_S, _PAUSE_S = 15.0, 0.3


class Refused(Trouble):
    """JetStream's answer is an error. ``number`` is its ``err_code``."""

    def __init__(self, call: str, error: dict[str, Any]) -> None:
        self.number = int(error.get("err_code") or 0)
        text = f"the nats-servers refuse {call}: {error.get('description')} ({self.number})"
        super().__init__(text, _step(self.number))


def _step(number: int) -> str:
    if number in _NO_ROOM:
        return "raise max_file in the jetstream block of the servers, or give the streams less: ipc nats init --disk GIB"
    if number in _TOO_FEW_NODES:
        return "start the other nodes, or keep one copy alone: ipc nats init --replicas 1"
    return "ipc nats check"


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry of a bucket as it is now; ``time`` is the servers'."""

    value: bytes
    sequence: int
    time: str


class AdminClient:
    """Requests over one connection."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def api(self, call: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        """A request such as STREAM.INFO.NAME. Waits for a cluster's leader. Raises Refused, Trouble."""
        end_s = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            late = asyncio.get_running_loop().time() > end_s
            try:
                answer = await self._client.request(f"$JS.API.{call}", json.dumps(fields or {}).encode(), _ANSWER_S)
                found: dict[str, Any] = json.loads(answer.data)
                if "error" not in found:
                    return found
                if late or found["error"].get("err_code") not in _NOT_YET:
                    raise Refused(call, found["error"])
            except (nats.errors.Error, OSError, TimeoutError) as e:
                if late or not self._client.is_connected:
                    raise Trouble(f"the nats-servers do not answer {call} ({in_words(e)})", _NO_LEADER) from None
            await asyncio.sleep(_PAUSE_S)

    async def stream(self, name: str, *, subjects: str = "") -> dict[str, Any] | None:
        """What is known of a stream; None if there is none. With ``subjects`` also how much is on each that fits."""
        try:
            return await self.api(f"STREAM.INFO.{name}", {"subjects_filter": subjects} if subjects else {})
        except Refused as e:
            if e.number == NO_STREAM:
                return None
            raise

    async def entry(self, bucket: str, key: str) -> Stored | None:
        """What a key of a bucket holds. Raises Trouble."""
        answer = await self.answer(f"$JS.API.DIRECT.GET.{bucket_stream(bucket)}.{bucket_subject(bucket, key)}", b"")
        if answer is None:
            if await self.stream(bucket_stream(bucket)) is None:
                return None
            raise Trouble(f"the nats-servers do not answer for {bucket}", _NO_LEADER)
        value, headers = answer
        if headers.get("Status"):
            return None
        return Stored(value, int(headers.get("Nats-Sequence", 0)), headers.get("Nats-Time-Stamp", ""))

    async def put(self, bucket: str, key: str, value: bytes) -> None:
        """Raises Refused, Trouble."""
        answer = await self.answer(bucket_subject(bucket, key), value)
        if answer is None:
            raise Trouble(f"the nats-servers did not store {bucket}.{key}", _NO_LEADER)
        found = json.loads(answer[0])
        if "error" in found:
            raise Refused(f"to store {bucket}.{key}", found["error"])

    async def answer(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> tuple[bytes, dict[str, str]] | None:
        """(body, headers) of the answer to a request; None where there is none: nobody serves it, or it may not be asked."""
        try:
            found = await self._client.request(subject, payload, _ANSWER_S, headers=headers)
        except (nats.errors.Error, OSError, TimeoutError):
            return None
        return found.data, found.headers or {}


_NO_LEADER = "start the nodes that are away, wait for a minute; then: ipc nats check"


@asynccontextmanager
async def connected(servers: list[str], nkey: str, ca: str | None, site: str, unknown: Trouble) -> AsyncIterator[AdminClient]:
    """A client at the first server that takes us. Raises Trouble; ``unknown`` where a server does not know the key."""
    client, said = None, "no server was asked"
    for server in servers:
        client = Client()
        try:
            await asyncio.wait_for(client.connect(**_options(server, nkey, ca, site)), _CONNECT_S + 1)
            break
        except (nats.errors.Error, OSError, TimeoutError) as e:
            said = in_words(e)
            await _close(client)
            client = None
            if "authorization" in said.lower():
                raise unknown from None
    if client is None:
        raise Trouble(f"no nats-server lets us in: {said}", f"look at the log of the nats-server at {', '.join(servers)}")
    try:
        yield AdminClient(client)
    finally:
        await _close(client)


def _options(server: str, nkey: str, ca: str | None, site: str) -> dict[str, Any]:
    async def quiet(_error: Exception) -> None:
        """Whoever waits for an answer is told by its absence."""

    tls = ca is not None or server.startswith("tls://")
    return {
        "servers": [server],
        "name": f"ipc-{site or 'admin'}",
        "nkeys_seed_str": nkey,
        "tls": ssl.create_default_context(cadata=ca) if tls else None,
        "inbox_prefix": layout.inbox(site or "_admin").encode(),
        "error_cb": quiet,
        "allow_reconnect": False,
        "connect_timeout": _CONNECT_S,
    }


async def _close(client: Client) -> None:
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
        await asyncio.wait_for(client.close(), _CLOSE_S)


def in_words(error: BaseException) -> str:
    """An exception of the client, for a person."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); --ca FILE names the authority that signed it"
    if isinstance(error, nats.errors.NoRespondersError):
        return "nobody serves it"
    if isinstance(error, TimeoutError | nats.errors.TimeoutError):
        return "no answer in time"
    return str(error).removeprefix("nats: ").strip("'\" ") or type(error).__name__
