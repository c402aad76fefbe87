"""The asyncio connection at its edges."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from broker.client.aio import AsyncConnection, connect_async
from broker.client.links import Way
from broker.protocol.errors import IpcError
from tests.conftest import Service


def test_a_closed_connection_refuses_requests_instead_of_letting_them_wait(service: Service) -> None:
    async def work() -> None:
        connection = AsyncConnection(service.settings)
        assert (await connection.request({"action": "ping"}))["status"] == "ok"
        await connection.close()
        with pytest.raises(IpcError) as caught:
            await asyncio.wait_for(connection.request({"action": "ping"}), 5.0)
        assert caught.value.code == "unavailable"

    asyncio.run(work())


def test_what_the_wire_can_not_carry_is_refused_and_harms_no_other_request(service: Service) -> None:
    async def converse() -> list[Any]:
        async with await connect_async("fred", settings=service.settings) as fred:
            calls = [
                fred.send("fred", "one"),
                fred.send("fred", "two", data=2**70),
                fred.send("fred", "three", data=b"\xff" * 3),
            ]
            calls += [fred.send("fred", "\ud800"), fred.send("fred", "five")]
            return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)

    with service.environment():
        found = asyncio.run(converse())
    assert [getattr(f, "code", "ok") for f in found] == ["ok", "bad_request", "bad_request", "bad_request", "ok"]


@pytest.mark.deep
def test_large_sends_at_once_go_out_in_frames_that_fit(service: Service) -> None:
    async def converse() -> list[Any]:
        async with await connect_async("fred", settings=service.settings) as fred:
            return await asyncio.wait_for(asyncio.gather(*(fred.send("fred", "x" * 15_000_000) for _ in range(5))), 30)

    with service.environment():
        assert [reply["status"] for reply in asyncio.run(converse())] == ["ok"] * 5


@pytest.mark.deep
@pytest.mark.parametrize("link", ["unix", "zeromq"])
def test_a_check_that_waits_gets_its_mail_though_the_broker_is_killed(service: Service, link: Way) -> None:
    async def story() -> list[str]:
        async with (
            await connect_async("fred", settings=service.settings, link=link) as fred,
            await connect_async("claude", settings=service.settings, link=link) as claude,
        ):
            waiting = asyncio.ensure_future(claude.check(wait=30))
            await fred.count()
            await asyncio.to_thread(service.kill, "broker")
            await fred.send("claude", "x")
            return [m.content for m in await waiting]

    with service.environment():
        assert asyncio.run(story()) == ["x"]


@pytest.mark.deep
@pytest.mark.parametrize("link", ["unix", "zeromq"])
def test_mail_of_a_check_that_was_cancelled_goes_back(service: Service, link: Way) -> None:
    async def story() -> tuple[list[str], int]:
        async with (
            await connect_async("fred", settings=service.settings, link=link) as fred,
            await connect_async("claude", settings=service.settings, link=link) as claude,
        ):
            waiting = asyncio.ensure_future(claude.check(wait=30))
            await claude.count()  # asked behind the check
            waiting.cancel()
            await fred.send("claude", "x")
            mails = await claude.check(wait=10)
            return [m.content for m in mails], await claude.ack(mails)

    with service.environment():
        assert asyncio.run(story()) == (["x"], 1)


def zeromq_threads() -> int:
    return sum(comm.read_text().startswith("ZMQbg") for comm in Path("/proc/self/task").glob("*/comm"))


def test_all_zeromq_connections_of_a_process_share_its_threads(service: Service) -> None:
    async def story() -> None:
        before = zeromq_threads()
        connections = [AsyncConnection(service.settings, link="zeromq") for _ in range(10)]
        for connection in connections:
            assert (await connection.request({"action": "ping"}))["status"] == "ok"
            assert zeromq_threads() == before + 2
        for connection in connections:
            await connection.close()
        assert zeromq_threads() == before

    with service.environment():
        asyncio.run(story())
