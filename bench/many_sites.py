"""What nodes carry when there are many sites: each with its account, its connection, its consumers and its heartbeat."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from bench import proc
from bench.members import Member, Members
from bench.nats_nodes import client_module
from bench.report import Results
from bench.sends import SMALL
from bench.sites import MANY
from bridges.link import WINDOW, CarrierAway
from bridges.nats import layout

_AT_ONCE = 32
_CARRIED = 100
"""With more sites the process that stands for all of them is what carries least."""
_PATIENCE_S = 120.0
"""A cell has so long."""


Column = tuple[str, str, Callable[[], Awaitable[float]]]


class ManySites:
    """Measured once, each line on new nodes: memory that a server has once had does not go back."""

    def __init__(self, results: Results, say: Callable[[str], None], idle_s: float, messages: int) -> None:
        self._results = results
        self._say = say
        self._idle_s = idle_s
        self._messages = messages

    def measure(self, sites: int, streams: int) -> None:
        Members([f"site-{number}" for number in range(sites)], streams=streams).run(self._measure)

    async def _measure(self, members: Members) -> None:
        line = f"{len(members.sites):,} sites, {members.streams} {'stream' if members.streams == 1 else 'streams'}"
        admin = await members.admin()
        there = Presence(members)
        try:
            await members.make_streams(admin)
            await members.put_keys(admin)
            for column, unit, value in self._columns(members, there, admin):
                self._say(f"{line}: {column}")
                key = f"sites.many.{len(members.sites)}x{members.streams}.{column}"
                async with asyncio.timeout(_PATIENCE_S):
                    self._results.add(key, MANY, line, column, unit, await value())
        except TimeoutError:  # the cells before this one stand
            self._say(f"{line}: that did not end in {_PATIENCE_S:g} s")
        finally:
            await there.close()
            await admin.close()

    def _columns(
        self, members: Members, there: "Presence", admin: Any
    ) -> list[tuple[str, str, Callable[[], Awaitable[float]]]]:
        """(column, unit, what measures it), in the order in which things happen."""

        async def rate() -> float:
            await there.look_no_more()
            return self._messages / await timed(there.carry(self._messages))

        columns: list[Column] = [
            ("a node's memory, nobody there", "MB", partial(self._memory, members)),
            ("all connected and reading", "s", lambda: timed(there.begin())),
            ("a node: all read", "% of a CPU", partial(self._idle, members)),
            ("and heartbeats", "% of a CPU", partial(self._idle, members, there.beat)),
            ("and looks at each other's", "% of a CPU", partial(self._idle, members, there.look)),
            ("a node's memory, all there", "MB", partial(self._memory, members)),
        ]
        if len(members.sites) <= _CARRIED:
            columns.append(("to random sites", "/s", rate))
            columns.append(("after a kill: all reached", "s", lambda: timed(there.lose_a_node(admin))))
            columns.append(("after its start: whole", "s", lambda: timed(there.restore_it(admin))))
        return columns

    async def _memory(self, members: Members) -> float:
        return max(map(proc.resident_mb, members.nodes.pids()))

    async def _idle(self, members: Members, begin: Callable[[], None] = lambda: None) -> float:
        """What the busiest node uses while nobody sends."""
        begin()
        pids = members.nodes.pids()
        before = {pid: proc.cpu_s(pid) for pid in pids}
        await asyncio.sleep(self._idle_s)
        return max(proc.cpu_s(pid) - used for pid, used in before.items()) / self._idle_s * 100


class Presence:
    """All sites at once, in this process."""

    def __init__(self, members: Members) -> None:
        self._members = members
        self._arrived: Counter[str] = Counter()
        self._news = asyncio.Event()
        self._all = [Member(members, site, self._count) for site in members.sites]
        self._killed: Any = None

    def _count(self, site: str) -> None:
        self._arrived[site] += 1
        self._news.set()

    async def begin(self) -> None:
        """As many under way as when all doors start."""
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def one(member: Member) -> None:
            async with at_once:
                await member.begin()
            member.read()

        await asyncio.gather(*map(one, self._all))

    def beat(self) -> None:
        for member in self._all:
            member.beat()

    def look(self) -> None:
        for member in self._all:
            member.look()

    async def look_no_more(self) -> None:
        """This process could do nothing else meanwhile."""
        await asyncio.gather(*(member.look_no_more() for member in self._all))

    async def carry(self, count: int) -> None:
        """Windows from one site to random sites, until all of it has arrived. Raises TimeoutError."""
        dice, due = random.Random(1), self._arrived.total() + count  # noqa: S311 (the same load in every run)
        for first in range(0, count, WINDOW):
            await self._deliver(dice.choices(self._members.sites, k=min(WINDOW, count - first)))
        while self._arrived.total() < due:
            self._news.clear()
            await self._news.wait()

    async def _deliver(self, sites: list[str]) -> None:
        """A window, and again what was not acknowledged."""
        while sites:
            try:
                sites = await self._all[0].publish(sites, b"x" * SMALL)
            except CarrierAway:
                await asyncio.sleep(0.2)

    async def lose_a_node(self, admin: Any) -> None:
        """Kill the node that leads the first stream; return when a message sent afterwards has reached each site."""
        jetstream = admin.jetstream(timeout=2)
        self._killed = self._members.nodes.named((await jetstream.stream_info(layout.mail_stream(0))).cluster.leader)
        self._members.nodes.kill(self._killed)
        before = self._arrived.copy()
        for first in range(0, len(self._all), WINDOW):
            await self._deliver(self._members.sites[first : first + WINDOW])
        while any(self._arrived[site] == before[site] for site in self._members.sites):
            self._news.clear()
            await self._news.wait()

    async def restore_it(self, admin: Any) -> None:
        """Start it again; return when every stream has three copies that are alike."""
        self._members.nodes.start_node(self._killed)
        jetstream = admin.jetstream(timeout=1)
        while not all([await is_whole(jetstream, name) for name in layout.all_streams(self._members.streams)]):
            await asyncio.sleep(0.2)

    async def close(self) -> None:
        await asyncio.gather(*(member.close() for member in self._all))


async def is_whole(jetstream: Any, stream: str) -> bool:
    with suppress(OSError, TimeoutError, client_module().errors.Error):
        cluster = (await jetstream.stream_info(stream)).cluster
        others = cluster.replicas or []
        alike = all(peer.current and not peer.offline and not peer.lag for peer in others)
        return bool(cluster.leader) and len(others) == 2 and alike
    return False


async def timed(work: Awaitable[Any]) -> float:
    """Seconds."""
    began_s = time.perf_counter()
    await work
    return time.perf_counter() - began_s
