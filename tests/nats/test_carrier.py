"""Two sites' carriers over one real server, without brokers: what goes out arrives as it was, and nothing else counts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bridges.link import CarrierAway, ReadBatch
from bridges.nats.carrier import NatsCarrier
from bridges.nats.directory import Keys
from bridges.tasks import end_tasks
from broker.home.logs import Log
from tests.nats.deployed import made_certificate
from tests.nats.sites import NatsUser, SitesWorld, row, rows

NOTHING = {"streams": {}, "keys": {}, "marks": {}}
MARK = {"epoch": "e" * 12, "high": 2, "uid": "u2", "held": None, "cursor": 7, "born": "then"}


@pytest.fixture(scope="module")
def world() -> Iterator[SitesWorld]:
    with SitesWorld("paris", "rome") as world:
        yield world


@asynccontextmanager
async def opened(
    world: SitesWorld, site: str, holder: str = "", opened: dict[str, Any] = NOTHING
) -> AsyncIterator[NatsCarrier]:
    """A carrier while it tends itself."""
    carrier = NatsCarrier(world.file(site), world.urls, holder or site, Log("nats"))
    carrier.begin(opened)
    tending = asyncio.create_task(carrier.tend())
    try:
        yield carrier
    finally:
        tending.cancel()
        await asyncio.gather(tending, return_exceptions=True)
        await carrier.close()


async def soon(what: Callable[[], Awaitable[Any]]) -> Any:
    """What it answers once the carrier is not away."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await what()
            except CarrierAway:
                await asyncio.sleep(0.05)


async def read(carrier: NatsCarrier, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        batch: ReadBatch = await soon(carrier.read)
        found += batch.entries
    return found


def test_a_window_arrives_in_order_and_large_bodies_whole(world: SitesWorld) -> None:
    large = "é" * 400_000

    async def run() -> None:
        async with opened(world, "paris") as paris, opened(world, "rome") as rome:
            sent = [*rows("rome", range(1, 200)), row("rome", 200, large), row("rome", 201)]
            (part,) = await soon(lambda: paris.publish(sent))
            assert (part.to, part.failed, part.why) == ("rome", [], "")
            assert [seq for seq, _ in part.acked] == [r["seq"] for r in sent]
            assert part.born
            entries = await read(rome, 201)
            assert [(e["from"], e["seq"], e["uid"]) for e in entries] == [("paris", n, f"u{n}") for n in range(1, 202)]
            assert [e["at"] for e in entries] == [at for _, at in part.acked]
            assert entries[199]["body"]["content"] == large
            assert not rome.dropped

    asyncio.run(run())


def test_the_newest_mark_arrives(world: SitesWorld) -> None:
    async def run() -> None:
        async with opened(world, "paris") as paris, opened(world, "rome") as rome:
            for high in (1, 2):
                await soon(lambda high=high: rome.send_mark("paris", {**MARK, "high": high}))
            assert await soon(paris.read_marks) == {"rome": MARK}

    asyncio.run(run())


def test_sites_speak_tls_with_the_servers_and_trust_their_authority_alone(tmp_path: Path) -> None:
    with SitesWorld("paris", "rome", tls=made_certificate(tmp_path)) as world:

        async def run() -> None:
            async with opened(world, "paris") as paris, opened(world, "rome") as rome:
                await soon(lambda: paris.publish(rows("rome", [1])))
                assert [e["seq"] for e in await read(rome, 1)] == [1]
            world.ca = None  # from now on the machine's own authorities
            stranger = NatsCarrier(world.file("paris"), [url.replace("nats:", "tls:") for url in world.urls], "x", Log("nats"))
            with pytest.raises(CarrierAway, match="certificate"):
                await stranger.client.client()

        asyncio.run(run())


def test_servers_that_do_not_know_a_site_say_so(world: SitesWorld) -> None:
    async def run() -> None:
        stranger = replace(world.file("paris"), nkey=NatsUser().seed)
        carrier = NatsCarrier(stranger, world.urls, "x", Log("nats"))
        with pytest.raises(CarrierAway, match="do not know this site's key"):
            await carrier.client.client()
        await carrier.close()

    asyncio.run(run())


def test_nothing_is_sealed_for_a_site_without_a_key_and_the_others_get_theirs(world: SitesWorld) -> None:
    async def run() -> None:
        async with opened(world, "paris") as paris:
            parts = await soon(lambda: paris.publish([row("nowhere", 1), row("rome", 1, epoch="c" * 12)]))
            found = {part.to: part for part in parts}
            assert (found["nowhere"].failed, found["nowhere"].acked) == ([1], [])
            assert "nowhere" in found["nowhere"].why
            assert [seq for seq, _ in found["rome"].acked] == [1]

    asyncio.run(run())


def test_a_frozen_server_is_left_and_without_a_quorum_mail_waits_with_words() -> None:
    with SitesWorld("paris", "rome", nodes=3) as world:
        numbers = {node.port: number for number, node in enumerate(world.servers.nodes)}

        async def at(carrier: NatsCarrier) -> int:
            url = (await carrier.client.client()).connected_url
            assert url is not None and url.port is not None
            return numbers[url.port]

        async def run() -> None:
            async with opened(world, "paris") as paris, opened(world, "rome") as rome:
                await soon(lambda: paris.publish(rows("rome", [1])))
                first = await at(paris)
                world.servers.freeze(first)
                await until_acked(paris, row("rome", 2))
                assert await at(paris) != first
                world.servers.freeze(*({*numbers.values()} - {first, await at(paris)}))
                assert "nats-servers" in await why_not(paris, row("rome", 3))
                world.servers.thaw()
                await until_acked(paris, row("rome", 3))
                found: dict[int, None] = {}
                while len(found) < 3:
                    found |= {entry["seq"]: None for entry in (await soon(rome.read)).entries}
                assert list(found) == [1, 2, 3]

        asyncio.run(run())


async def until_acked(carrier: NatsCarrier, one: dict[str, Any]) -> None:
    """Publish a row until the carrier has it, as a broker would."""
    async with asyncio.timeout(60):
        while not (await soon(lambda: carrier.publish([one])))[0].acked:
            await asyncio.sleep(0.2)


async def why_not(carrier: NatsCarrier, one: dict[str, Any]) -> str:
    """Publish a row until it fails, and why: the servers may have begun to answer before the freeze."""
    async with asyncio.timeout(60):
        while True:
            try:
                (part,) = await carrier.publish([one])
            except CarrierAway as e:
                return str(e)
            if part.failed:
                return str(part.why)


def test_keys_are_told_once_all_of_them_were_read(world: SitesWorld) -> None:
    """With some of them the broker would say that the others are no sites."""

    async def run() -> None:
        file, changed = world.file("paris"), asyncio.Event()
        async with opened(world, "paris", "reads keys alone") as carrier:
            keys = Keys(carrier.client, file.admin, file.site, lambda *_: None, changed.set)
            await soon(lambda: keys.look("rome"))
            assert set(keys.known) == {"rome"} and keys.news() == {}
            changed.clear()
            tending = asyncio.create_task(keys.tend())
            async with asyncio.timeout(60):
                await keys.complete.wait()
            assert changed.is_set() and set(keys.news()) == {"paris", "rome"} and keys.news() == {}
            await end_tasks([tending])

    asyncio.run(run())
