"""Publishing a window of messages, and what became of each.

The future of a publish never ends when its server dies, so whoever waits does so with a limit, and then asks ``settled``.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bridges.link import CarrierAway
from bridges.nats.nats_client import FAILURES, ApiRefused, NatsClient, checked

if TYPE_CHECKING:
    from nats.aio.msg import Msg


class Acks:
    """Publishes without waiting, and what became of it."""

    def __init__(self, client: NatsClient) -> None:
        self._client = client
        self._subject = ""
        self._connection: Any = None
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._number = 0
        self._highest: dict[str, int] = {}
        self.went_back = False
        """True once a stream's sequences have started over."""

    async def publish(self, subject: str, payload: bytes, headers: dict[str, str]) -> asyncio.Future[int]:
        """The future of the stream's sequence. Raises CarrierAway."""
        client = await self._client.client()
        self._number += 1
        number = str(self._number)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        future.add_done_callback(lambda _done: self._waiting.pop(number, None))
        try:
            if self._connection is not client:
                self._subject = client.new_inbox()
                await client.subscribe(f"{self._subject}.*", cb=self._came)
                self._connection = client
            await client.publish(subject, payload, reply=f"{self._subject}.{number}", headers=headers)
        except FAILURES as e:
            future.cancel()
            raise self._client.failed(e) from None
        return future

    async def _came(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rpartition(".")[2])
        if future is None or future.done():
            return
        if (message.headers or {}).get("Status") == "503":
            future.set_exception(CarrierAway("the nats-servers have no leader for it, or a stream is missing (ipc nats check)"))
            return
        try:
            answer = checked(message.data)
            sequence, stream = int(answer["seq"]), str(answer["stream"])
        except CarrierAway as e:
            future.set_exception(e)
            return
        if not answer.get("duplicate"):
            self.went_back = self.went_back or sequence < self._highest.get(stream, 0)
            self._highest[stream] = sequence
        future.set_result(sequence)

    def settled(self, future: asyncio.Future[int]) -> int | CarrierAway:
        """The sequence, or why there is none. A future without an answer is given up."""
        if not future.done():
            future.cancel()
            return self._client.failed(TimeoutError())
        error = future.exception()
        if error is None:
            self._client.worked()
            return future.result()
        if isinstance(error, ApiRefused):
            return error
        return self._client.failed(error)
