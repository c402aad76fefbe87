"""What the nodes carry when there are many sites: a consumer for each, and a directory of their names. No broker runs here."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from zlib import crc32

from bench import proc
from bench.nats_nodes import Nodes, client_module, connect
from bench.percentiles import percentile
from bench.report import Results
from bench.sends import SMALL

CONSUMERS = "Sites: streams and consumers of many sites; 3 nodes, R3, synced"
DIRECTORY = "Sites: a directory of names; 3 nodes, R3, synced"
NOTES = {
    CONSUMERS: "A memory consumer a site, as a door makes it. Waiting: each site has a request open for the next message, "
    "renewed each 5 s, with a heartbeat of 0.4 s. "
    f"To random sites: {SMALL} B, windows of 256 from one client, until all have arrived. "
    "Whole again: from the start of a node that was killed until every stream has three copies that are alike.",
    DIRECTORY: "A key-value bucket, a key a name (SITE.NAME, 100 names a site), values of 160 B. One client.",
}
REPLICAS = 3
WINDOW = 256
_PATIENCE_S = 60.0
_EXPIRES_S, _HEARTBEAT_S = 5.0, 0.4
_NAMES_A_SITE = 100
_SECONDS_IN_NS = 1_000_000_000


class ManySites:
    """Measured once, each line on new nodes: memory that a server has once had does not go back."""

    def __init__(
        self, results: Results, sites: int = 1_000, messages: int = 20_000, names: int = 100_000, idle_s: float = 10.0
    ):
        self._results = results
        self._sites, self._messages, self._names, self._idle_s = sites, messages, names, idle_s
        results.notes.update(NOTES)

    def measure(self) -> None:
        for sites, streams in ((0, 1), (self._sites, 1), (self._sites, 16)):
            self._on_new_nodes(partial(self._consumers, sites=sites, streams=streams))
        self._on_new_nodes(self._directory)

    def _on_new_nodes(self, measure: Any) -> None:
        nodes = Nodes(REPLICAS)
        try:
            nodes.start()
            asyncio.run(measure(nodes))
        finally:
            nodes.stop()

    async def _consumers(self, nodes: Nodes, *, sites: int, streams: int) -> None:
        client = await nodes.insist(partial(connect, nodes.urls, allow_reconnect=True, max_reconnect_attempts=-1))
        layout = Layout(nodes, client, sites, streams)
        line = f"{sites:,} sites, {streams} {'stream' if streams == 1 else 'streams'}"
        add = partial(self._row, f"sites.many.{sites}x{streams}", CONSUMERS, line)
        try:
            add("streams made", "s", await timed(layout.make_streams()))
            add("consumers made", "s", await timed(layout.make_consumers()))
            add("a node idle", "% of a CPU", await self._idle(nodes))
            await layout.wait_for_mail()
            add("a node idle, all sites waiting", "% of a CPU", await self._idle(nodes))
            add("a node's memory", "MB", max(map(proc.resident_mb, nodes.pids())))
            if sites:
                add("to random sites", "/s", self._messages / await timed(layout.carry(self._messages)))
            add("whole again", "s", await layout.lose_a_node())
        finally:
            await layout.close()

    async def _idle(self, nodes: Nodes) -> float:
        """What the busiest node uses while nobody sends."""
        before = {pid: proc.cpu_s(pid) for pid in nodes.pids()}
        await asyncio.sleep(self._idle_s)
        return max(proc.cpu_s(pid) - used for pid, used in before.items()) / self._idle_s * 100

    def _row(self, key: str, table: str, line: str, column: str, unit: str, value: float) -> None:
        self._results.add(f"{key}.{column}", table, line, column, unit, value)

    async def _directory(self, nodes: Nodes) -> None:
        client = await nodes.insist(partial(connect, nodes.urls))
        try:
            directory = Directory(client, self._names)
            await nodes.insist(directory.make)
            before_mb = max(map(proc.resident_mb, nodes.pids()))
            for column, unit, value in await directory.measure():
                self._add_name(column, unit, value)
            self._add_name("memory that a node took for it", "MB", max(map(proc.resident_mb, nodes.pids())) - before_mb)
            self._add_name("disk of a node", "MB", on_disk_mb(nodes))
        finally:
            await client.close()

    def _add_name(self, line: str, unit: str, value: float) -> None:
        self._results.add(f"sites.names.{line}", DIRECTORY, f"{line} ({self._names:,} names)", "", unit, value)


class Layout:
    """Streams and consumers of sites, as the doors use them, and one client that stands for all sites."""

    def __init__(self, nodes: Nodes, client: Any, sites: int, streams: int) -> None:
        self._nodes = nodes
        self._client = client
        self._jetstream = client.jetstream(timeout=10, publish_async_max_pending=2 * WINDOW)
        self._names = [f"site-{number}" for number in range(sites)]
        self._streams = streams
        self._arrived = 0
        self._news = asyncio.Event()
        self._waiting: asyncio.Task[None] | None = None

    def stream_of(self, site: str) -> int:
        return crc32(site.encode()) % self._streams

    async def make_streams(self) -> None:
        for number in range(self._streams):
            make = partial(
                self._jetstream.add_stream,
                name=f"IPC_IN_{number}",
                subjects=[f"ipc.in.{number}.*.*"],
                num_replicas=REPLICAS,
                max_age=7 * 86_400,
                discard="new",
                max_msgs_per_subject=1_000_000,
                discard_new_per_subject=True,
                duplicate_window=120,
                allow_direct=True,
            )
            await self._nodes.insist(make)

    async def make_consumers(self) -> None:
        """Many under way at once, as when all doors start."""
        at_once = asyncio.Semaphore(64)

        async def make(site: str) -> None:
            async with at_once:
                number = self.stream_of(site)
                await self._jetstream.add_consumer(
                    f"IPC_IN_{number}",
                    name=site,
                    filter_subject=f"ipc.in.{number}.{site}.*",
                    deliver_policy="by_start_sequence",
                    opt_start_seq=1,
                    ack_policy="none",
                    num_replicas=1,
                    mem_storage=True,
                    inactive_threshold=300,
                )

        await asyncio.gather(*map(make, self._names))

    async def wait_for_mail(self) -> None:
        """Each site asks for its next messages, and again before that request ends."""
        inbox = self._client.new_inbox()

        async def arrived(message: Any) -> None:
            if message.subject.startswith("ipc.in."):
                self._arrived += 1
                self._news.set()

        await self._client.subscribe(f"{inbox}.*", cb=arrived)

        async def ask() -> None:
            request = {
                "batch": 10_000,
                "expires": int(_EXPIRES_S * _SECONDS_IN_NS),
                "idle_heartbeat": int(_HEARTBEAT_S * _SECONDS_IN_NS),
            }
            body = json.dumps(request).encode()
            while True:
                for site in self._names:
                    subject = f"$JS.API.CONSUMER.MSG.NEXT.IPC_IN_{self.stream_of(site)}.{site}"
                    await self._client.publish(subject, body, reply=f"{inbox}.{site}")
                await asyncio.sleep(_EXPIRES_S)

        self._waiting = asyncio.create_task(ask())

    async def carry(self, count: int) -> None:
        """Publish to random sites, and wait until all of it has arrived. Raises TimeoutError."""
        dice, due = random.Random(1), self._arrived + count  # noqa: S311 (the same load in every run)
        body = b"x" * SMALL

        def subject() -> str:
            site = dice.choice(self._names)
            return f"ipc.in.{self.stream_of(site)}.{site}.elsewhere"

        await publish(self._jetstream, [(subject(), body) for _ in range(count)])
        async with asyncio.timeout(_PATIENCE_S):
            while self._arrived < due:
                self._news.clear()
                await self._news.wait()

    async def lose_a_node(self) -> float:
        """Kill a node and start it again: the seconds from then until nothing of it is missing anywhere."""
        node = self._nodes.named((await self._jetstream.stream_info("IPC_IN_0")).cluster.leader)
        self._nodes.kill(node)
        began_s = time.perf_counter()
        self._nodes.start_node(node)
        async with asyncio.timeout(_PATIENCE_S * 2):
            while not await self._is_whole():
                await asyncio.sleep(0.1)
        return time.perf_counter() - began_s

    async def _is_whole(self) -> bool:
        impatient = self._client.jetstream(timeout=1)
        with suppress(OSError, TimeoutError, client_module().errors.Error):
            for number in range(self._streams):
                cluster = (await impatient.stream_info(f"IPC_IN_{number}")).cluster
                others = cluster.replicas or []
                if not cluster.leader or len(others) < REPLICAS - 1:
                    return False
                if not all(peer.current and not peer.offline and not peer.lag for peer in others):
                    return False
            return True
        return False

    async def close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        await self._client.close()


class Directory:
    """A bucket as ``ipc_names`` is, and what its users do with it."""

    def __init__(self, client: Any, names: int) -> None:
        self._jetstream = client.jetstream(timeout=10, publish_async_max_pending=2 * WINDOW)
        self._names = names
        self._bucket: Any = None

    async def make(self) -> None:
        config = client_module().js.api.KeyValueConfig(bucket="ipc_names", replicas=REPLICAS, direct=True)
        self._bucket = await self._jetstream.create_key_value(config=config)

    async def measure(self) -> list[tuple[str, str, float]]:
        """(what, unit, value) of each step, in the order of a directory's life."""
        value, few = b"x" * 160, min(1_000, self._names // 2)
        keys = [f"site-{number // _NAMES_A_SITE}.agent-{number}" for number in range(self._names)]
        found: list[tuple[str, str, float]] = []
        created = await times([partial(self._bucket.create, key, value) for key in keys[:few]])
        found += [("a name made, p50", "ms", percentile(created, 50)), ("a name made, p99", "ms", percentile(created, 99))]
        new = {"Nats-Expected-Last-Subject-Sequence": "0"}
        began_s = time.perf_counter()
        await publish(self._jetstream, [(f"$KV.ipc_names.{key}", value) for key in keys[few:]], new)
        found.append(("names made, in windows of 256", "/s", (self._names - few) / (time.perf_counter() - began_s)))
        found.append(("all read by a watcher", "s", await timed(self._read(">"))))
        one = await times([partial(self._read, f"site-{number}.>") for number in range(min(20, self._names // _NAMES_A_SITE))])
        found.append((f"the {_NAMES_A_SITE} of one site read, p50", "ms", percentile(one, 50)))
        got = await times([partial(self._bucket.get, key) for key in random.Random(1).sample(keys, few)])  # noqa: S311
        found += [("a name looked up, p50", "ms", percentile(got, 50)), ("a name looked up, p99", "ms", percentile(got, 99))]
        changed = await self._changes(keys[: min(200, few)], value)
        found.append(("a change until a watcher of the site has it, p50", "ms", percentile(changed, 50)))
        return found

    async def _read(self, pattern: str) -> int:
        """All of a pattern, as a door that starts reads it."""
        watcher, count = await self._bucket.watch(pattern), 0
        async for entry in watcher:
            if entry is None:
                break
            count += 1
        await watcher.stop()
        return count

    async def _changes(self, keys: Sequence[str], value: bytes) -> list[float]:
        watcher = await self._bucket.watch("site-0.>")
        while await watcher.updates(timeout=10) is not None:
            pass
        taken: list[float] = []
        for key in keys:
            if key.startswith("site-0."):
                began_s = time.perf_counter()
                await self._bucket.put(key, value)
                await watcher.updates(timeout=10)
                taken.append((time.perf_counter() - began_s) * 1e3)
        await watcher.stop()
        return sorted(taken)


async def publish(jetstream: Any, messages: Sequence[tuple[str, bytes]], headers: dict[str, str] | None = None) -> None:
    """Window after window, as a door does it. Raises the first refusal, TimeoutError."""
    for first in range(0, len(messages), WINDOW):
        window = messages[first : first + WINDOW]
        answers = [await jetstream.publish_async(subject, body, headers=headers) for subject, body in window]
        await asyncio.wait_for(asyncio.gather(*answers), _PATIENCE_S)


async def timed(work: Any) -> float:
    """Seconds."""
    began_s = time.perf_counter()
    await work
    return time.perf_counter() - began_s


async def times(steps: Sequence[Any]) -> list[float]:
    """Milliseconds of each, one after the other, in ascending order."""
    return sorted([await timed(step()) * 1e3 for step in steps])


def on_disk_mb(nodes: Nodes) -> float:
    """MB (10^6 bytes) of the node that has most."""
    sizes = [sum(path.stat().st_blocks * 512 for path in node.folder.rglob("*") if path.is_file()) for node in nodes.nodes]
    return max(sizes) / 1e6
