"""The asyncio connection at its edges."""

import asyncio

import pytest

from broker.aio import AsyncConnection
from broker.errors import IpcError
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
