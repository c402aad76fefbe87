"""The server of the page and of the listener, with a time of its own for heads: a connection is no place to stay."""

import asyncio
import socket
import time
from typing import Any

import pytest

from bridges import http_server
from bridges.http_server import HttpServer

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n"
FIRSTS = {
    "nothing yet": b"",
    "a request before": REQUEST + b"\r\n",
    "a request before whose body does not end": REQUEST + b"Content-Length: 100000\r\n\r\n",
}


async def nothing_here(scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize("first", FIRSTS)
def test_whoever_sends_byte_by_byte_is_sent_away(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "HEAD_S", 0.3)

    async def trickle() -> bool:
        stopping = asyncio.Event()

        with socket.create_server(("127.0.0.1", 0)) as bound:
            served = asyncio.ensure_future(HttpServer(nothing_here, stopping, 64).serve([bound]))
            reader, writer = await asyncio.open_connection(*bound.getsockname())
            writer.write(FIRSTS[first])
            until_s = time.monotonic() + 10
            while not reader.at_eof() and time.monotonic() < until_s:
                writer.write(b"G")
                try:
                    await asyncio.wait_for(reader.read(1000), 0.05)
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            ended = time.monotonic() < until_s
            writer.close()
            stopping.set()
            await served
        return ended

    assert asyncio.run(trickle())
