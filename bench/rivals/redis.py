"""Redis Streams: XADD to an append-only file. ``always`` syncs before it answers, ``everysec`` may lose a second."""

import contextlib
import shutil
import subprocess
import tempfile
import time
from array import array
from collections.abc import Generator
from pathlib import Path
from typing import Any

from bench.fleet import Job, wait_until
from bench.service import TEMPORARY
from bench.systems import Address, Burst, Skip, System, Way

_STREAM = "bench"
_START_S = 10.0
_GAP_S = 0.001


class RedisServer(System):
    """redis-server in a temporary folder, on a Unix socket."""

    def __init__(self, policy: str) -> None:
        super().__init__()
        self.key = f"redis-{policy}"
        self.policy = policy
        self.folder = Path(tempfile.mkdtemp(prefix="redis-", dir=TEMPORARY))
        self.socket = str(self.folder / "redis.sock")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise Skip("redis-server is not installed (apt-get install redis-server)")
        client = connection(self.socket)
        settings = ("--port", "0", "--unixsocket", self.socket, "--dir", str(self.folder), "--save", "")
        append = ("--appendonly", "yes", "--appendfsync", self.policy)
        self._process = subprocess.Popen([program, *settings, *append], stdout=subprocess.DEVNULL)
        end_s = time.monotonic() + _START_S
        while True:
            with contextlib.suppress(Exception):  # redis-py has a dozen ways to say: not yet
                client.ping()
                break
            if self._process.poll() is not None:
                raise RuntimeError(f"redis-server ended with {self._process.returncode}")
            if time.monotonic() > end_s:
                raise TimeoutError("redis-server does not answer")
            time.sleep(0.02)
        client.close()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stored(self) -> int:
        client = connection(self.socket)
        try:
            return int(client.xlen(_STREAM))
        finally:
            client.close()

    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ways(self) -> list[Way]:
        return [RedisWay(self)]

    def push(self, count: int) -> tuple[Job, tuple[Any, ...]]:
        return push, (self.socket, count)


class RedisWay(Way):
    system: RedisServer

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server)
        self.key = server.key
        note = "" if server.policy == "always" else " (a power cut loses up to 1 s)"
        self.title = f"Redis Streams, appendfsync {server.policy}{note}"

    def address(self, number: int) -> Address:
        return Address("bench.rivals.redis:RedisSender", (self.system.socket,))


def connection(path: str) -> Any:
    try:
        import redis
    except ImportError:
        raise Skip("the Python client is not installed (pip install redis hiredis)") from None
    return redis.Redis(unix_socket_path=path)


def push(path: str, count: int) -> "Generator[None, float, array[float]]":
    """Job: XADD to a reader that waits in XREAD BLOCK."""
    client = connection(path)
    sender, reader = (client.connection_pool.get_connection() for _ in range(2))
    try:
        wait_until((yield))
        latencies_us = array("d")
        for _ in range(count):
            reader.send_command("XREAD", "BLOCK", 0, "STREAMS", _STREAM, "$")
            time.sleep(_GAP_S)  # "$" means: what comes after this
            began_s = time.perf_counter()
            sender.send_command("XADD", _STREAM, "*", "content", b"x" * 256)
            reader.read_response()
            latencies_us.append((time.perf_counter() - began_s) * 1e6)
            sender.read_response()
        return latencies_us
    finally:
        sender.disconnect()
        reader.disconnect()
        client.close()


class RedisSender:
    """redis-py: one XADD, or a pipeline of as many as are in flight; its latency is the whole pipeline's."""

    def __init__(self, path: str) -> None:
        self._client = connection(path)

    def close(self) -> None:
        self._client.close()

    def send_for(self, seconds: float, in_flight: int, size: int, most: int) -> Burst:
        body, burst = {"content": b"x" * size}, Burst()
        clock = time.perf_counter
        now_s = clock()
        end_s = now_s + seconds
        while burst.acknowledged < most and (now_s < end_s or not burst.acknowledged):
            began_s, count = now_s, min(in_flight, most - burst.acknowledged)
            if count == 1:
                self._client.xadd(_STREAM, body)
            else:
                pipeline = self._client.pipeline(transaction=False)
                for _ in range(count):
                    pipeline.xadd(_STREAM, body)
                pipeline.execute()  # raises the first refusal
            now_s = clock()
            burst.latencies_us.extend([(now_s - began_s) * 1e6] * count)
            burst.acknowledged += count
        burst.ended_s = now_s
        return burst
