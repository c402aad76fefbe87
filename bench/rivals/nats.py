"""NATS JetStream with file storage. By default it syncs every two minutes; ``always`` syncs before it answers."""

import asyncio
import time
from array import array
from collections.abc import Awaitable, Callable, Generator, Sequence
from functools import partial
from typing import Any

from bench.fleet import Job, wait_until
from bench.nats_nodes import Nodes, client_module, connect
from bench.systems import Address, Burst, System, Way

_STREAM, SUBJECT = "bench", "bench.mail"


class NatsServer(System):
    """One nats-server, or a cluster whose stream every node has."""

    def __init__(self, sync: str, nodes: int = 1) -> None:
        super().__init__()
        self.key = f"nats-{sync}" if nodes == 1 else f"nats-{sync}-r{nodes}"
        self.nodes = Nodes(nodes, sync)

    def start(self) -> None:
        self.nodes.start()
        asyncio.run(self._make_stream())

    async def _make_stream(self) -> None:
        connection = await self.nodes.insist(partial(connect, self.nodes.urls))
        stream, replicas = connection.jetstream(), len(self.nodes.nodes)
        make = partial(stream.add_stream, name=_STREAM, subjects=[SUBJECT], storage="file", num_replicas=replicas)
        await self.nodes.insist(make)
        await connection.close()

    def stop(self) -> None:
        self.nodes.stop()

    def stored(self) -> int:
        return asyncio.run(self._count())

    async def _count(self) -> int:
        connection = await connect(self.nodes.urls)
        try:
            return int((await connection.jetstream().stream_info(_STREAM)).state.messages)
        finally:
            await connection.close()

    def ways(self) -> list[Way]:
        return [NatsWay(self)]

    def push(self, count: int) -> tuple[Job, tuple[Any, ...]]:
        return push, (self.nodes.urls, count)


class NatsWay(Way):
    system: NatsServer

    def __init__(self, server: NatsServer) -> None:
        super().__init__(server)
        self.key = server.key
        always = server.nodes.sync == "always"
        self.title = f"NATS JetStream, {'sync_interval always' if always else 'default (a power cut loses up to 2 min)'}"

    def address(self, number: int) -> Address:
        return Address("bench.rivals.nats:NatsSender", (self.system.nodes.urls,))


def push(urls: Sequence[str], count: int) -> "Generator[None, float, array[float]]":
    """Job: publish to a subscriber with explicit acknowledgement, as a mailbox has it."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(connect(urls))
    stream = connection.jetstream()

    async def carry() -> "array[float]":
        latencies_us = array("d")
        for _ in range(count):
            began_s = time.perf_counter()
            stored = asyncio.ensure_future(stream.publish(SUBJECT, b"x" * 256))
            message = await mail.next_msg(timeout=10)
            latencies_us.append((time.perf_counter() - began_s) * 1e6)
            await stored
            await message.ack()
        return latencies_us

    try:
        mail = loop.run_until_complete(stream.subscribe(SUBJECT, deliver_policy=client_module().js.api.DeliverPolicy.NEW))
        wait_until((yield))
        return loop.run_until_complete(carry())
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


class NatsSender:
    """nats-py: ``publish``, or ``publish_async`` with a sliding window."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(connect(urls))
        self._stream = self._connection.jetstream(publish_async_max_pending=4096)

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()

    def send_for(self, seconds: float, in_flight: int, size: int, most: int) -> Burst:
        send = self._in_turn if in_flight == 1 else self._window
        return self._loop.run_until_complete(send(seconds, in_flight, b"x" * size, most))

    async def _in_turn(self, seconds: float, _in_flight: int, body: bytes, most: int) -> Burst:
        burst = Burst()
        publish: Callable[[str, bytes], Awaitable[Any]] = self._stream.publish
        now_s = time.perf_counter()
        end_s = now_s + seconds
        while burst.acknowledged < most and (now_s < end_s or not burst.acknowledged):
            began_s = now_s
            await publish(SUBJECT, body)
            now_s = time.perf_counter()
            burst.latencies_us.append((now_s - began_s) * 1e6)
            burst.acknowledged += 1
        burst.ended_s = now_s
        return burst

    async def _window(self, seconds: float, in_flight: int, body: bytes, most: int) -> Burst:
        burst, sent = Burst(), 0
        room = asyncio.Semaphore(in_flight)

        def answered(sent_s: float, answer: "asyncio.Future[Any]") -> None:
            answer.result()  # raises a refusal
            burst.ended_s = time.perf_counter()
            burst.latencies_us.append((burst.ended_s - sent_s) * 1e6)
            burst.acknowledged += 1
            room.release()

        end_s = time.perf_counter() + seconds
        while sent < most and (time.perf_counter() < end_s or not sent):
            await room.acquire()
            sent_s = time.perf_counter()
            answer = await self._stream.publish_async(SUBJECT, body)
            answer.add_done_callback(lambda done, sent_s=sent_s: answered(sent_s, done))
            sent += 1
        for _ in range(in_flight):
            await room.acquire()
        return burst
