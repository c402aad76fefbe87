"""Reading a stream in its order, through a consumer that is made anew at our own place whenever anything is strange.

The consumer lives in one server's memory, acknowledges nothing and remembers nothing: where we are is the broker's to know.
What is strange: a gap in the consumer's own numbers, silence beyond its heartbeats, a new connection, another creation time of
the stream (``born``: it was wiped or made anew, and numbers start over).

The consumer has the site's name, so that one site's permissions cover its own consumers and no other's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from bridges.link import CarrierAway
from bridges.nats.nats_client import FAILURES, NO_CONSUMER, ApiRefused, NatsClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

_AT_ONCE = 256
_PULL_S = 60
"""A request for messages holds so long; without mail it is all that goes out."""
_FORGOTTEN_S = 300
"""The servers remove a consumer that nobody has asked for so long."""
_SILENT_BEATS = 2.5
_END_S, _MAKE_S = 0.5, 1.5
"""For an answer about a consumer, which a healthy cluster gives in milliseconds. Only the server that has it gives one: while
that is dead, nobody does, and the cluster may give it the next consumer, too."""


class Read(NamedTuple):
    """One message of a stream."""

    subject: str
    sequence: int
    pending: int
    """How many are behind it."""
    headers: dict[str, str]
    data: bytes


class _Strange(CarrierAway):
    """The consumer has to be made anew."""


class StreamReader:
    """Reads one stream from ``cursor`` on, or the newest message of each subject, then what comes."""

    def __init__(
        self, client: NatsClient, stream: str, name: str, filter_subject: str, *, newest: bool, beat_s: float = 2.0
    ) -> None:
        self._client = client
        self.stream = stream
        self._name = name
        self._filter = filter_subject
        self._newest = newest
        self._beat_s = beat_s
        self.cursor = 0
        self.born = ""
        self.on_other: Callable[[], object] = lambda: None
        """Called when the stream is another than the one that was read."""
        self._came: deque[Msg] = deque()
        self._some = asyncio.Event()
        self._subscription: Subscription | None = None
        self._connection = 0
        """The connection on which the consumer was made; 0 while there is none."""
        self._wanted = 0
        """Messages that are still due for the request under way."""
        self._next = 1
        """The consumer's number of the next message."""
        self.empty = False
        """True if the stream held nothing for us when the consumer was made."""

    def begin(self, cursor: int, born: str) -> None:
        """Read on behind ``cursor`` of the stream that was made at ``born``."""
        self.cursor, self.born = cursor, born
        self._connection = 0

    async def ready(self) -> None:
        """Make the consumer if there is none. Raises CarrierAway."""
        if self._connection != self._client.connections or not self._client.connected:
            await self._make()

    async def read(self) -> list[Read]:
        """What has come, one message or more; waits for it. Raises CarrierAway, and can then be asked again."""
        try:
            while True:
                await self.ready()
                if self._came:
                    return self._taken()
                await self._pull()
                self._some.clear()
                try:
                    await asyncio.wait_for(self._some.wait(), self._beat_s * _SILENT_BEATS)
                except TimeoutError:
                    raise _Strange("the nats-servers do not send on") from None
                if self._connection != self._client.connections:
                    raise _Strange("the server that read for us is gone")
                self._client.worked()
        except _Strange as e:
            self._connection = 0
            raise self._client.failed(OSError(str(e))) from None

    async def close(self) -> None:
        """End the consumer, if the servers are there."""
        if self._connection and self._client.connected:
            with contextlib.suppress(CarrierAway, *FAILURES):
                await self._end()
        self._client.waiting.discard(self._some)
        self._connection = 0

    async def _make(self) -> None:
        await self._end()
        self._client.waiting.add(self._some)
        connection = self._client.connections
        info = await self._client.api(f"STREAM.INFO.{self.stream}")
        born = str(info["created"])
        if born != self.born or info["state"]["last_seq"] < self.cursor:  # wiped, made anew, or cut at the end by a crash
            self.born, self.cursor = born, 0
            self.on_other()
        client = await self._client.client()
        self._came.clear()
        self._wanted, self._next = 0, 1
        inbox = client.new_inbox()
        self._subscription = await client.subscribe(inbox, cb=self._arrived)
        made = await self._client.api(
            f"CONSUMER.CREATE.{self.stream}.{self._name}.{self._filter}",
            {"stream_name": self.stream, "config": self._config(), "action": "create"},
            _MAKE_S,
        )
        if made["delivered"]["consumer_seq"]:
            raise _Strange("a consumer that was removed came back")
        self.empty = not made["num_pending"]
        self._connection = connection

    def _config(self) -> dict[str, Any]:
        place: dict[str, Any] = {"deliver_policy": "by_start_sequence", "opt_start_seq": self.cursor + 1}
        return {
            **({"deliver_policy": "last_per_subject"} if self._newest else place),
            "name": self._name,
            "filter_subject": self._filter,
            "ack_policy": "none",
            "replay_policy": "instant",
            "num_replicas": 1,
            "mem_storage": True,
            "inactive_threshold": _FORGOTTEN_S * 1_000_000_000,
        }

    async def _end(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(*FAILURES):
                await subscription.unsubscribe()
        try:
            await self._client.api(f"CONSUMER.DELETE.{self.stream}.{self._name}", wait_s=_END_S)
        except ApiRefused as e:
            if e.number != NO_CONSUMER:
                raise
        except CarrierAway:  # only the server that has it answers, which may be gone: the next one is made all the same
            if not self._client.connected:
                raise

    async def _pull(self) -> None:
        """Have a request out."""
        if self._wanted > 0 or self._subscription is None:
            return
        client = await self._client.client()
        self._wanted = _AT_ONCE
        second = 1_000_000_000
        request = {"batch": _AT_ONCE, "expires": _PULL_S * second, "idle_heartbeat": int(self._beat_s * second)}
        try:
            await client.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self._name}",
                json.dumps(request).encode(),
                reply=self._subscription.subject,
            )
        except FAILURES as e:
            raise self._client.failed(e) from None

    async def _arrived(self, message: Msg) -> None:
        """What the servers send: a message, a heartbeat, or why the request has ended."""
        self._some.set()
        if message.reply or not message.headers:
            self._wanted -= 1
            self._came.append(message)
            return
        status = message.headers.get("Status")
        if status == "100":
            return
        self._wanted = 0
        if status not in ("404", "408"):  # 409: the consumer is gone, its server goes; 503: nobody has it
            self._connection = 0

    def _taken(self) -> list[Read]:
        """What came without a gap. Raises _Strange if that is nothing."""
        found: list[Read] = []
        while self._came and len(found) < _AT_ONCE:
            message = self._came.popleft()
            # $JS.ACK.[domain.account.]stream.consumer.delivered.sequence.number.time.pending[.token]
            words = message.reply.split(".")
            sequence, number, pending = (int(words[i]) for i in ((5, 6, 8) if len(words) == 9 else (7, 8, 10)))
            if number != self._next:
                self._connection = 0
                break
            self._next += 1
            self.cursor = sequence
            found.append(Read(message.subject, sequence, pending, message.headers or {}, message.data))
        if not found:
            raise _Strange("a message was lost on the way")
        return found
