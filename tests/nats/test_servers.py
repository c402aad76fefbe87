"""What the real servers do that the door relies on."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError, BadRequestError

from tests.conftest import wait_for
from tests.nats.servers import NatsServers
from tests.processes import alive

ADMIN, PARIS = "a", "p"
ACCOUNTS = f"""
accounts {{ IPC {{ jetstream: enabled, users: [
  {{ user: admin, password: {ADMIN} }}
  {{ user: paris, password: {PARIS}, permissions: {{ publish: {{ allow: [ALLOWED] }}, subscribe: {{ allow: ["_INBOX.>"] }} }} }}
] }} }}
"""


def with_client(servers: NatsServers, use: Callable[[Any], Awaitable[Any]], **options: Any) -> Any:
    """What ``use(client)`` returns, in a loop of its own."""

    async def run() -> Any:
        client = await nats.connect(servers.urls, connect_timeout=2, error_cb=_quiet, **options)
        try:
            return await use(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def _quiet(_error: Exception) -> None:
    """What a forbidden publish tells; the caller sees its timeout."""


async def make_stream(client: Any, replicas: int) -> None:
    js = client.jetstream(timeout=10)
    await js.add_stream(name="A", subjects=["a.>"], num_replicas=replicas, allow_direct=True)


async def publish(client: Any, deadline_s: float = 40.0) -> int:
    """One message on ``a.x``, however long an election takes; its sequence."""
    js = client.jetstream(timeout=3)
    end_s = asyncio.get_running_loop().time() + deadline_s
    while True:
        try:
            return int((await js.publish("a.x", b"x")).seq)
        except (APIError, NatsTimeoutError, nats.js.errors.NoStreamResponseError):
            if asyncio.get_running_loop().time() > end_s:
                raise
            await asyncio.sleep(0.2)


def test_one_node_keeps_what_it_acknowledged_through_a_kill(server: NatsServers) -> None:
    async def make(client: Any) -> int:
        await make_stream(client, 1)
        return await publish(client)

    assert with_client(server, make) == 1
    assert server.leader_of("A") == 0
    server.kill()
    assert not server.nodes[0].runs
    server.start()
    server.wait_ready()
    assert with_client(server, publish) == 2
    server.kill()
    server.wipe()
    server.start()
    server.wait_ready()
    assert with_client(server, make) == 1


def test_servers_sync_each_message(server: NatsServers) -> None:
    assert server.nodes[0].ask("varz")["jetstream"]["config"]["sync_always"] is True


def test_three_nodes_go_on_without_a_killed_or_a_frozen_leader(cluster: NatsServers) -> None:
    with_client(cluster, lambda client: make_stream(client, 3))
    for away, back in ((cluster.kill, cluster.start), (cluster.freeze, cluster.thaw)):
        before = cluster.leader_of("A")
        away(before)
        assert cluster.leader_of("A") != before
        assert with_client(cluster, publish) > 0
        back(before)
        cluster.wait_ready()


def test_a_publish_that_expects_another_id_does_not_stop_a_stream_of_three(cluster: NatsServers) -> None:
    """Versions 2.14.0 to 2.15.1 stop such a stream for good, and whoever may publish can do it."""

    async def provoke(client: Any) -> int:
        await make_stream(client, 3)
        js = client.jetstream(timeout=10)
        await publish(client)
        with pytest.raises(BadRequestError):
            await js.publish("a.x", b"x", headers={"Nats-Expected-Last-Msg-Id": "nobody-s"})
        return await publish(client)

    assert with_client(cluster, provoke) == 2
    cluster.wait_ready()


def test_users_may_publish_only_what_the_block_says_and_get_more_without_a_restart() -> None:
    async def try_it(client: Any) -> int:
        return await publish(client, deadline_s=0)

    with NatsServers(accounts=ACCOUNTS.replace("ALLOWED", '"b.>"')) as servers:
        pid = servers.nodes[0].process.pid  # type: ignore[union-attr]
        with_client(servers, lambda client: make_stream(client, 1), user="admin", password=ADMIN)
        with pytest.raises(NatsTimeoutError):
            with_client(servers, try_it, user="paris", password=PARIS)
        servers.configure(ACCOUNTS.replace("ALLOWED", '"a.>"'))
        assert with_client(servers, try_it, user="paris", password=PARIS) == 1
        assert servers.nodes[0].process.pid == pid  # type: ignore[union-attr]


def test_no_server_outlives_a_killed_test() -> None:
    script = """if True:
        from tests.nats.servers import NatsServers
        with NatsServers() as servers:
            print(servers.nodes[0].process.pid, servers.folder, flush=True)
            input()
    """
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as test:
        assert test.stdout is not None
        pid, folder = test.stdout.readline().split()
        assert alive(int(pid)) and Path(folder).is_dir()
        os.kill(test.pid, signal.SIGKILL)
    wait_for("the end of the server", lambda: not alive(int(pid)))
