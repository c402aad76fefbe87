"""Large bodies: sealed, in parts, in the stream of the object store ``ipc_bodies``, named by the hash of the sealed bytes.

An entry then carries ``{k: "object", sha256, size}`` in the body's place, signed as all of it. Whoever changes a part, or puts
others beside it, makes a body whose hash is wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from bridges.link import CarrierAway
from bridges.nats.envelope import Forged, Identity, pack_body, sealed, unpack_body
from bridges.nats.layout import BODIES_STREAM, body_subject
from bridges.nats.nats_client import NatsClient
from bridges.nats.stream_reader import Read, StreamReader

INLINE_BYTES = 200_000
"""A body that is longer goes in parts."""
LARGEST_BYTES = 64 * 1024 * 1024
_PART_BYTES = 256 * 1024
_PART = "Ipc-Part"
_PATIENCE_S = 30.0
_LOOKS, _LOOK_APART_S = 3, 0.5
"""The server that reads for us may be a moment behind the one that stored."""


class Bodies:
    """Puts and gets bodies for one site."""

    def __init__(self, client: NatsClient, identity: Identity, site: str) -> None:
        self._client = client
        self._identity = identity
        self._site = site

    async def put(self, destination: str, key: str, plain: bytes) -> dict[str, Any]:
        """Store a packed body; what stands for it in its entry. Raises CarrierAway."""
        secret = sealed(key, plain)
        digest = hashlib.sha256(secret).hexdigest()
        subject = body_subject(destination, self._site, digest)
        for number, start in enumerate(range(0, len(secret), _PART_BYTES)):
            await self._client.store(subject, secret[start : start + _PART_BYTES], {_PART: str(number)})
        return {"k": "object", "sha256": digest, "size": len(secret)}

    async def get(self, source: str, place: dict[str, Any]) -> dict[str, Any]:
        """The body for which ``place`` stands. Raises Forged, CarrierAway."""
        digest, size = place.get("sha256"), place.get("size")
        if not isinstance(digest, str) or len(digest) != 64 or not digest.isalnum() or type(size) is not int:
            raise Forged("without a body")
        if not 0 < size <= LARGEST_BYTES:
            raise Forged("too large")
        try:
            secret = await asyncio.wait_for(self._parts(body_subject(self._site, source, digest), size), _PATIENCE_S)
        except TimeoutError:
            raise CarrierAway("a large body does not arrive from the nats-servers") from None
        if hashlib.sha256(secret).hexdigest() != digest:
            raise Forged("with another body")
        return unpack_body(self._identity.unsealed(secret))

    async def _parts(self, subject: str, size: int) -> bytes:
        """All parts, the newest of each number. Raises Forged if they are not there."""
        count = -(-size // _PART_BYTES)
        parts: dict[str, bytes] = {}
        for look in range(_LOOKS):
            reader = StreamReader(self._client, BODIES_STREAM, self._site, subject, newest=False)
            try:
                await reader.ready()
                behind = 0 if reader.empty else 1
                while behind:
                    for read in await reader.read():
                        behind = _keep(parts, read)
            finally:
                await reader.close()
            if len(parts) >= count:
                break
            await asyncio.sleep(_LOOK_APART_S * look)
        if len(parts) < count:
            raise Forged("whose body is not there")
        return b"".join(parts[str(number)] for number in range(count) if str(number) in parts)


def _keep(parts: dict[str, bytes], read: Read) -> int:
    number = read.headers.get(_PART, "")
    if number.isdecimal() and len(number) < 5 and len(read.data) <= _PART_BYTES:
        parts[number] = read.data
    return read.pending


def large(body: dict[str, Any]) -> bytes | None:
    """The packed body if it has to go in parts."""
    plain = pack_body(body)
    return plain if len(plain) > INLINE_BYTES else None
