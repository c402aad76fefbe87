"""Part ``sites``: NATS below the doors, many sites and names at its nodes, and mail from site to site."""

import asyncio
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from typing import Any

from bench.fleet import Fleet, burst, wait_until
from bench.nats_nodes import client_module, connect, find_server
from bench.percentiles import percentile
from bench.report import Results
from bench.rivals.nats import SUBJECT, NatsServer
from bench.sends import SMALL
from bench.systems import Skip

ENGINE = f"Sites: the nodes alone, {SMALL} B, on the disk of each node before it is acknowledged"
SEALING = "Sites: signing and sealing, processor time a message"
MANY = "Sites: many of them at 3 nodes, R3, synced; no broker runs"
NAMES = "Sites: a directory of names at 3 nodes, R3, synced"
LINK = f"Sites: from broker to broker, {SMALL} B, all synced"
OUTAGE = "Sites: mail that is under way when a node is killed"
NOTES = {
    ENGINE: "What a door can't be faster than. *Until read*: one message at a time, from publishing until a reader in the same "
    "process has it. R1: one node has it; R3: a leader and two followers, of which one must have it as well.",
    MANY: "Each site as its door has it: an account, a connection, four consumers in memory, a heartbeat each 5 s, a look at "
    "256 others' each 15 s; all of them in one process. A node's figures are those of the busiest or largest of the three. *To "
    f"random sites*: windows of 256 from one site, {SMALL} B, until all have arrived. *All reached*: from the kill of the node "
    "that leads the first stream until a message that was sent afterwards has come to each site. *Whole*: from its start until "
    "each stream has three copies that are alike. With 1,000 sites these are left out: that one process would be what is slow.",
    LINK: "Each site sends to the next one, the last to the first; the rate is that of all. Real services, doors, nodes and "
    "clients share the machine. *Within each site*: the same messages to a mailbox of the same site, in the same round. "
    "Processor time is what the processes of all sites took, for both ends of the way.",
    OUTAGE: "A steady load from each site to the next one, 25 messages/s each. All of it arrived.",
    NAMES: "A key a name, SITE.NAME, 100 names a site; an entry is signed and has 160 B.",
}
WINDOW = 256
"""Messages that a door publishes at once; see bridges.link."""
LINKS, QUICK_LINKS = ((2, 1), (2, 3), (3, 3)), ((2, 1),)
"""Sites, and nodes that carry their mail."""
SIZES, QUICK_SIZES = ((10, 1), (100, 1), (1_000, 1), (1_000, 16)), ((5, 1), (5, 2))
"""Sites, and streams that have their mail."""
_PUSHES = 200
_PATIENCE_S = 60.0
_MOST = 1_000_000


class Engine:
    """One node and a cluster of three, by turns."""

    def __init__(self, results: Results, fleet: Fleet, seconds: float = 1.0, pushes: int = _PUSHES) -> None:
        self._results = results
        self._fleet = fleet
        self._seconds = seconds
        self._pushes = pushes

    def measure(self, rounds: int) -> None:
        with ExitStack() as stack:
            systems = [NatsServer("always", nodes) for nodes in (1, 3)]
            for system in systems:
                stack.callback(system.stop)
                system.start()
            for number in range(rounds):
                for system in systems if number % 2 == 0 else systems[::-1]:
                    self._rates(system)
                    self._until_read(system)

    def _rates(self, system: NatsServer) -> None:
        job = (burst, (system.ways()[0].address(0), self._seconds, 1, SMALL, _MOST))
        begin_s, ((_warm, done),) = self._fleet.run(job)
        self._add(system, "1", "in turn", "/s", done.acknowledged / (done.ended_s - begin_s))
        for percent in (50, 99):
            self._add(system, f"p{percent}", f"in turn, p{percent}", "ms", percentile(sorted(done.latencies_us), percent) / 1e3)
        begin_s, ((count, ended_s),) = self._fleet.run((windows, (system.nodes.urls, self._seconds)))
        self._add(system, f"{WINDOW}", f"windows of {WINDOW}", "/s", count / (ended_s - begin_s))

    def _until_read(self, system: NatsServer) -> None:
        _begin_s, (times_us,) = self._fleet.run(system.push(self._pushes))
        for percent in (50, 99):
            ms = percentile(sorted(times_us), percent) / 1e3
            self._add(system, f"read.p{percent}", f"until read, p{percent}", "ms", ms)

    def _add(self, system: NatsServer, key: str, column: str, unit: str, value: float) -> None:
        count = len(system.nodes.nodes)
        line = "1 node, R1" if count == 1 else f"{count} nodes, R{count}"
        self._results.add(f"sites.engine.r{count}.{key}", ENGINE, line, column, unit, value)


def windows(urls: Sequence[str], seconds: float) -> Generator[None, float, tuple[int, float]]:
    """Job: publish as a door does. Returns (messages acknowledged, when the last of them was)."""
    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(connect(urls))
    jetstream = connection.jetstream(timeout=10)
    try:
        loop.run_until_complete(publish(jetstream, 1))
        wait_until((yield))
        end_s, count = time.perf_counter() + seconds, 0
        while time.perf_counter() < end_s or not count:
            loop.run_until_complete(publish(jetstream, WINDOW))
            count += WINDOW
        return count, time.perf_counter()
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


async def publish(jetstream: Any, count: int) -> None:
    """One window. Raises the first refusal, TimeoutError."""
    answers = [await jetstream.publish_async(SUBJECT, b"x" * SMALL) for _ in range(count)]
    await asyncio.wait_for(asyncio.gather(*answers), _PATIENCE_S)


def measure(results: Results, fleet: Fleet, say: Callable[[str], None], rounds: int, *, quick: bool) -> None:
    """Every table. Where nats-server or a package that the doors need is missing, one line says so."""
    results.notes.update(NOTES)
    try:
        find_server()
        errors = client_module().errors.Error
        from bench import many_sites, name_directory, sealing, site_to_site
    except (Skip, ImportError) as reason:
        results.skip("sites", ENGINE, "nats-server, nats-py and nkeys", str(reason))
        return
    link = site_to_site.SiteToSite(results, fleet, *((100, 1.0) if quick else (1_000, 8.0)))
    many = many_sites.ManySites(results, say, *((0.5, 300) if quick else (10.0, 10_000)))
    try:
        for homes, nodes in QUICK_LINKS if quick else LINKS:
            say(f"{homes} sites, {nodes} nodes")
            link.measure(homes, nodes, rounds)
        say("the nodes alone")
        Engine(results, fleet, *((0.02, 5) if quick else ())).measure(rounds)
        for _ in range(rounds):
            sealing.measure(results, 5 if quick else 500)
        for homes, streams in QUICK_SIZES if quick else SIZES:
            many.measure(homes, streams)
        say("a directory of names")
        name_directory.NameDirectory(results, 400 if quick else 100_000).measure()
    except errors as error:
        raise RuntimeError(f"nats-server: {error}") from error
