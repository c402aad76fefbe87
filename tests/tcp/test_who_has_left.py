"""A client that is gone holds no name: its subscription and its waiting requests end with it."""

import json
import socket
import struct
from typing import Any

import pytest

from tests.conftest import Service, wait_for
from tests.ports import KEEPALIVE, timers

WAITS = {"action": "check", "wait_s": 600}
SUBSCRIBES = {"action": "subscribe"}


def seen(service: Service, token: str, name: str) -> Any:
    """Whether the body of a name is known to live; None where nothing is known of it."""
    rows = service.ask({"action": "list", "session_token": token})["instances"]
    return next(row["body"]["alive"] for row in rows if row["id"] == name)


def begin(service: Service, name: str, request: dict[str, Any], end: bytes) -> tuple[socket.socket, str]:
    """The connection by which a client waits for mail of its name, and another's token."""
    body = {"kind": "process", "key": name}
    token = service.ask({"action": "register", "instance_id": name, "body": body})["session_token"]
    watcher = service.register(f"w-{name}")
    s = service.tcp()
    s.sendall(json.dumps({**request, "session_token": token}).encode() + end)
    wait_for("its wait", lambda: seen(service, watcher, name))
    return s, watcher


@pytest.mark.parametrize(
    ("request_", "end"),
    [
        (WAITS, b""),
        (WAITS, b"\n"),
        (SUBSCRIBES, b"\n"),
        ({"action": "ask", "to_id": "x", "message": {"content": "?"}, "wait_s": 600}, b""),
    ],
)
@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_client_that_is_gone_holds_nothing(shared: Service, tag: str, request_: dict[str, Any], end: bytes, way: str) -> None:
    name = f"fred{tag}"
    s, watcher = begin(shared, name, request_, end)
    if way == "reset":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    wait_for("the end of its hold", lambda: seen(shared, watcher, name) is None)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_client_that_ends_its_sending_side_goes_on_waiting(shared: Service, tag: str, end: bytes) -> None:
    name = f"fred{tag}"
    s, watcher = begin(shared, name, WAITS, end)
    s.shutdown(socket.SHUT_WR)
    shared.ask({"action": "send", "to_id": name, "message": {"content": "still there"}, "session_token": watcher})
    with s.makefile("rb") as lines:
        (message,) = json.loads(lines.readline())["messages"]
    assert message["message"]["content"] == "still there"
    s.close()


@pytest.mark.parametrize(("request_", "end"), [(WAITS, b""), (WAITS, b"\n"), (SUBSCRIBES, b"\n")])
def test_the_kernel_asks_a_silent_client_whether_it_is_there(
    shared: Service, tag: str, request_: dict[str, Any], end: bytes
) -> None:
    s, _watcher = begin(shared, f"fred{tag}", request_, end)
    ours, theirs = s.getsockname()[1], s.getpeername()[1]
    wait_for("keepalive", lambda: (theirs, ours, KEEPALIVE) in timers())
    s.close()
