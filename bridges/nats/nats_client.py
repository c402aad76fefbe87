"""The connection to nats-servers: it comes back by itself, says in words why it is away, and leaves a server that hangs.

A server that is frozen or has no quorum keeps its clients. So after 10 s in which nothing worked, we go to another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from typing import TYPE_CHECKING, Any

import nats.errors
import nkeys
from nats.aio.client import Client

from bridges.link import CarrierAway
from bridges.nats.layout import inbox
from bridges.nats.site_file import SiteFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from nats.aio.msg import Msg

REQUEST_S = 3.0
_CONNECT_S = 5.0
_CLOSE_S = 2.0
"""A connection whose TLS failed never ends its closing by itself."""
_PATIENCE_S = 10.0
_CUT_OFF = (ConnectionResetError, BrokenPipeError, nats.errors.UnexpectedEOF)
NO_STREAM = 10059
NO_CONSUMER = 10014
WRONG_SEQUENCE = (10071, 10164)
_REFUSALS = {
    10077: "the nats-servers' stream is full ({text})",
    10047: "the nats-servers' disk is full ({text})",
    10023: "the nats-servers have no room ({text})",
}
FAILURES = (nats.errors.Error, OSError, asyncio.TimeoutError)
"""What a client raises while its servers are away; NATS' own TimeoutError is among them."""


class ApiRefused(CarrierAway):
    """JetStream's answer is an error. ``number`` is its ``err_code``."""

    def __init__(self, error: dict[str, Any]) -> None:
        self.number = int(error.get("err_code") or 0)
        super().__init__(refusal(self.number, str(error.get("description"))))


def refusal(number: int, text: str) -> str:
    """An error of JetStream in words."""
    if number == NO_STREAM:
        return "a stream is missing at the nats-servers; who runs them types: ipc nats init"
    return _REFUSALS.get(number, "the nats-servers refused: {text}").format(text=text)


class NatsClient:
    """One client for all that a site's door does."""

    def __init__(self, keys: SiteFile, servers: list[str], on_change: Callable[[], None]) -> None:
        self._keys = keys
        self._servers = servers
        self._on_change = on_change
        self._client: Client | None = None
        self._said = ""
        """What the client last complained of."""
        self._tried = False
        self._opening = asyncio.Lock()
        self._moving: asyncio.Task[None] | None = None
        self._failing_since_s: float | None = None
        self._loop = asyncio.get_running_loop()
        self.waiting: set[asyncio.Event] = set()
        """Set when a connection begins, for those who would wait longer for what the former one owed them."""
        self.connections = 0
        """How often a connection began. What was known of streams may be wrong after another one."""

    @property
    def connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    def why(self) -> str:
        """Why there is no connection; empty while there is one."""
        if self.connected:
            return ""
        where = ", ".join(self._servers)
        if not self._tried:
            return f"connecting to {where}"
        return f"no nats-server answers at {where}{f': {self._said}' if self._said else ''}"

    async def client(self) -> Client:
        """The connected client. Raises CarrierAway."""
        async with self._opening:
            if self._client is None or self._client.is_closed:
                await self._connect()
        if self._client is None or not self._client.is_connected:
            raise CarrierAway(self.why())
        return self._client

    async def _connect(self) -> None:
        self._client, self._tried, self._said = None, True, ""
        client = Client()
        try:
            await asyncio.wait_for(client.connect(**self._options()), _CONNECT_S)
        except FAILURES as e:
            if not self._said:  # that it took too long says less than what went wrong meanwhile
                self._note(e)
            with contextlib.suppress(*FAILURES):
                await asyncio.wait_for(client.close(), _CLOSE_S)
            raise CarrierAway(self.why()) from None
        self._client = client
        await self._up()

    def _options(self) -> dict[str, Any]:
        tls = self._keys.ca is not None or any(url.startswith("tls://") for url in self._servers)
        return {
            "servers": self._servers,
            "name": f"ipc-{self._keys.site}",
            "nkeys_seed_str": self._keys.nkey,
            "tls": ssl.create_default_context(cadata=self._keys.ca) if tls else None,
            "inbox_prefix": inbox(self._keys.site).encode(),
            "error_cb": self._complained,
            "disconnected_cb": self._down,
            "reconnected_cb": self._up,
            "ping_interval": 2,
            "max_outstanding_pings": 2,
            "connect_timeout": 2,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": 0.25,
            "pending_size": 0,
        }

    async def _complained(self, error: Exception) -> None:
        self._note(error)

    async def _up(self) -> None:
        self.connections += 1
        self._said = ""
        self._failing_since_s = None
        for event in self.waiting:
            event.set()
        self._on_change()

    async def _down(self) -> None:
        self._on_change()

    def _note(self, error: BaseException) -> None:
        if not (self._said and isinstance(error, _CUT_OFF)):  # a server that refuses us says why and hangs up, in any order
            self._said = in_words(error)

    # requests

    async def request(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None, wait_s: float = REQUEST_S
    ) -> Msg:
        """One request and its answer. Raises CarrierAway."""
        client = await self.client()
        try:
            answer = await client.request(subject, payload, wait_s, headers=headers)
        except FAILURES as e:
            raise self.failed(e) from None
        self.worked()
        return answer

    async def api(self, call: str, fields: dict[str, Any] | None = None, wait_s: float = REQUEST_S) -> dict[str, Any]:
        """A request to JetStream, such as STREAM.INFO.NAME. Raises ApiRefused, CarrierAway."""
        answer = await self.request(f"$JS.API.{call}", json.dumps(fields or {}).encode(), wait_s=wait_s)
        return checked(answer.data)

    async def store(self, subject: str, payload: bytes, headers: dict[str, str] | None = None) -> int:
        """Publish into a stream; its sequence there. Raises ApiRefused, CarrierAway."""
        answer = await self.request(subject, payload, headers)
        return int(checked(answer.data)["seq"])

    async def newest(self, bucket_stream: str, subjects: list[str]) -> list[Msg]:
        """The newest message of each subject that has one, by one request. Raises CarrierAway."""
        client = await self.client()
        found: list[Msg] = []
        ended: asyncio.Future[str] = self._loop.create_future()

        async def came(message: Msg) -> None:
            status = (message.headers or {}).get("Status")
            if status is None:
                found.append(message)
            elif not ended.done():
                ended.set_result(status)

        inbox = client.new_inbox()
        request = json.dumps({"multi_last": subjects, "batch": len(subjects)}).encode()
        try:
            subscription = await client.subscribe(inbox, cb=came)
            try:
                await client.publish(f"$JS.API.DIRECT.GET.{bucket_stream}", request, reply=inbox)
                await asyncio.wait_for(ended, REQUEST_S)
            finally:
                await subscription.unsubscribe()
        except FAILURES as e:
            raise self.failed(e) from None
        self.worked()
        return found

    def worked(self) -> None:
        self._failing_since_s = None

    def failed(self, error: BaseException) -> CarrierAway:
        """Note that something failed; what to raise in its place. Goes to another server after 10 s of failures."""
        now_s = self._loop.time()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        elif now_s - self._failing_since_s > _PATIENCE_S and self._client is not None:
            self._failing_since_s = now_s
            self._moving = self._loop.create_task(self._client.force_reconnect())
        said = self._said
        if not self.connected:
            return CarrierAway(self.why())
        return CarrierAway(f"{in_words(error)}{f' ({said})' if said else ''}")

    async def close(self) -> None:
        if self._client is not None:
            with contextlib.suppress(*FAILURES):
                await asyncio.wait_for(self._client.close(), _CLOSE_S)


def checked(data: bytes) -> dict[str, Any]:
    """An answer of JetStream. Raises ApiRefused."""
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise CarrierAway("the nats-servers answered with nonsense")
    if "error" in found:
        raise ApiRefused(found["error"])
    return found


def in_words(error: BaseException) -> str:
    """An exception of the client, for a person."""
    if isinstance(error, nats.errors.NoRespondersError):
        return "the nats-servers have no leader for it: most of them are away, or a stream is missing (ipc nats check)"
    if isinstance(error, asyncio.TimeoutError):
        return "the nats-servers did not answer in time"
    text = str(error).removeprefix("nats: ").strip("'\" ")
    if isinstance(error, nats.errors.AuthorizationError) or "authorization violation" in text.lower():
        return "the nats-servers do not know this site's key; who runs them types: ipc nats add-site, and reloads them"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {text}"
    return text or type(error).__name__


def check_nkey(seed: str) -> bool:
    """True if a server's challenges can be answered with this seed."""
    try:
        nkeys.from_seed(bytearray(seed.encode()))
    except (nkeys.NkeysError, ValueError):
        return False
    return True
