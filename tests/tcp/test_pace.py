"""Who sends and does not read is held up, and costs the door a bounded amount of memory."""

import json
import os
import signal
import socket
from typing import Any

import pytest

from bridges.tcp.pace import PIPELINE, TAKEN_BYTES, UNREAD_PUSHES_BYTES
from broker.client.sync import Client
from tests.conftest import Service, wait_for
from tests.processes import freeze
from tests.tcp.measures import MIB, memory_bytes

KERNEL_BYTES = 16 * MIB
"""What the buffers of a loopback connection may take, generously."""


def flood(s: socket.socket, line: bytes, most_bytes: int) -> int:
    """Send the line again and again until nothing more is taken for a second; bytes that were."""
    s.settimeout(1.0)
    sent, lines = 0, memoryview(line * max(1, MIB // len(line)))
    try:
        while sent < most_bytes:
            sent += s.send(lines[sent % len(lines) :])
    except TimeoutError:
        pass
    return sent


def fill(client: Client, name: str, messages: int) -> None:
    """Mail of 10 kB each, as large as stays in the database."""
    for start in range(0, messages, 100):
        client.send_many([(name, f"{n} " + "x" * 10_000) for n in range(start, min(start + 100, messages))])


@pytest.mark.deep
def test_a_client_that_asks_for_long_replies_and_reads_none_costs_a_few_of_them(service: Service) -> None:
    client = service.connect("fred")
    fill(client, "fred", 200)
    pid = wait_for("the door", lambda: service.pid("tcp"))
    line = json.dumps({"action": "history", "limit": 150, "session_token": client.token}).encode() + b"\n"
    with service.tcp() as s:
        s.sendall(line)
        with s.makefile("rb") as lines:
            reply_bytes = len(lines.readline())
        assert reply_bytes > 100_000
        before = memory_bytes(pid)
        s.sendall(line * 300)
        with service.tcp() as other, other.makefile("rb") as answers:  # served meanwhile, and after the flood was taken in
            for _ in range(200):
                other.sendall(json.dumps({"action": "whoami", "session_token": client.token}).encode() + b"\n")
                assert json.loads(answers.readline())["status"] == "ok"
        assert memory_bytes(pid) - before < 100 * reply_bytes, "300 replies are on the way or waiting"
        with s.makefile("rb") as lines:
            s.settimeout(30)
            assert all(json.loads(lines.readline())["status"] == "ok" for _ in range(300)), "none is lost when it reads"


@pytest.mark.deep
def test_a_client_that_sends_and_reads_nothing_is_read_no_more(service: Service) -> None:
    client = service.connect("fred")
    pid = wait_for("the door", lambda: service.pid("tcp"))
    before = memory_bytes(pid)
    line = json.dumps({"action": "nonsense", "session_token": client.token}).encode() + b"\n"
    with service.tcp() as s:
        sent = flood(s, line, 64 * MIB)
        assert sent < 64 * MIB, "the client was held up"
        assert memory_bytes(pid) - before < 64 * MIB
    assert client.whoami()["instance_id"] == "fred"


@pytest.mark.deep
def test_requests_that_wait_for_the_broker_are_bounded_in_bytes_and_all_answered(service: Service) -> None:
    client = service.connect("fred")
    pid, broker = (wait_for(f"a {child}", lambda child=child: service.pid(child)) for child in ("tcp", "broker"))
    body = {"action": "count", "session_token": client.token, "filler": "x" * 100_000}
    line = json.dumps(body).encode() + b"\n"
    before = memory_bytes(pid)
    freeze(broker)
    try:
        with service.tcp() as s:
            sent = flood(s, line, PIPELINE * len(line))
            grown = memory_bytes(pid) - before
            assert sent < TAKEN_BYTES + KERNEL_BYTES
            assert grown < 6 * TAKEN_BYTES
            os.kill(broker, signal.SIGCONT)
            s.settimeout(30)
            with s.makefile("rb") as lines:
                for _ in range(sent // len(line)):
                    assert json.loads(lines.readline())["status"] == "ok"
    finally:
        os.kill(broker, signal.SIGCONT)


@pytest.mark.deep
def test_a_check_is_not_asked_before_the_client_takes_the_mail_of_those_before_it(service: Service) -> None:
    client, looker, reader = service.connect("fred"), service.connect("looker"), service.register("reader")
    fill(client, "reader", 2400)
    line = json.dumps({"action": "check", "limit": 100, "session_token": reader}).encode() + b"\n"
    with service.tcp() as s:
        s.sendall(line * 24)
        wait_for("mail on lease", lambda: _status(looker)["leased"])
        for _ in range(200):  # as many turns of the broker as all those checks would take, and more
            queued = _status(looker)["queued"]
        assert queued > 1200, "a check acknowledges what the one before it brought, which nobody has read"
        with s.makefile("rb") as lines:
            got = [m["id"] for _ in range(24) for m in json.loads(lines.readline())["messages"]]
    assert len(set(got)) == 2400


def _status(looker: Client) -> dict[str, Any]:
    return looker.request("status")


@pytest.mark.deep
def test_a_subscriber_that_reads_nothing_is_dropped_and_its_mail_comes_back(service: Service) -> None:
    client, looker, reader = service.connect("fred"), service.connect("looker"), service.register("reader")
    pid = wait_for("the door", lambda: service.pid("tcp"))
    before = memory_bytes(pid)
    with service.tcp() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        s.sendall(json.dumps({"action": "subscribe", "window": 10_000, "session_token": reader}).encode() + b"\n")
        with s.makefile("rb") as lines:
            assert json.loads(lines.readline())["status"] == "ok"
        count = (UNREAD_PUSHES_BYTES + KERNEL_BYTES) // 10_000
        fill(client, "reader", count)
        wait_for("its mail given back", lambda: _status(looker)["leased"] == 0)
        assert memory_bytes(pid) - before < 4 * UNREAD_PUSHES_BYTES
    with service.tcp() as s, s.makefile("rb") as lines:
        s.sendall(json.dumps({"action": "count", "session_token": reader}).encode() + b"\n")
        assert json.loads(lines.readline())["unread"] == count  # the mail, and nothing twice
