"""The asyncio connection at its edges."""

import asyncio
from typing import Any

import pytest

from broker.client.aio import AsyncConnection, connect_async
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


def test_large_sends_at_once_go_out_in_frames_that_fit(service: Service) -> None:
    async def converse() -> list[Any]:
        async with await connect_async("fred", settings=service.settings) as fred:
            return await asyncio.wait_for(asyncio.gather(*(fred.send("fred", "x" * 15_000_000) for _ in range(5))), 30)

    with service.environment():
        assert [reply["status"] for reply in asyncio.run(converse())] == ["ok"] * 5
