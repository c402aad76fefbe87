"""What the holder of a key may not do, see or fill, though a session of this machine may."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import zmq

from bridges.remote.door import OPEN_ACTIONS, WAITING_BYTES
from broker.client.keyfile import KeyFile
from broker.client.sync import Client
from broker.client.zeromq_link import Handshakes
from broker.protocol import frames
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import RemoteError
from broker.protocol.rows import Access
from tests.conftest import wait_for
from tests.remote.machines import Host, Machine

MIB = 1024 * 1024


def resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def dialed(context: "zmq.Context[Any]", key: Path) -> "zmq.Socket[bytes]":
    entry = KeyFile.load(str(key))
    s: zmq.Socket[bytes] = context.socket(zmq.DEALER)
    s.setsockopt(zmq.LINGER, 0)
    s.setsockopt(zmq.SNDHWM, 2)
    Handshakes(entry).begin(s)
    s.connect(entry.endpoint)
    return s


@pytest.mark.deep
def test_large_sends_of_one_key_that_nobody_waits_for_are_bounded_and_refused(host: Host, machine: Machine) -> None:
    key = host.new_key("fred")
    fred = machine.connect(key, "fred")
    pids = [host.service.pid("broker"), json.loads((host.service.home / "run" / "remote.json").read_text())["pid"]]
    before = [resident_bytes(pid) for pid in pids]
    context = zmq.Context()
    s = dialed(context, key)
    count, most = 60, [0, 0]
    try:
        body = {"action": "send", "session_token": fred.token, "to_id": "fred", "message": {"content": "z" * (12 * MIB)}}
        for number in range(count):
            s.send(frames.encode([{**body, "id": number, "message_id": f"m{number}"}]))
            most = [max(m, resident_bytes(pid)) for m, pid in zip(most, pids, strict=True)]
        codes: list[str] = []
        while len(codes) < count:
            assert s.poll(60_000)
            codes += [reply.get("code", "ok") for reply in frames.decode(s.recv())]
            most = [max(m, resident_bytes(pid)) for m, pid in zip(most, pids, strict=True)]
    finally:
        s.close()
        context.term()
    assert "ok" in codes
    assert set(codes) <= {"ok", "overloaded"}
    assert max(m - b for m, b in zip(most, before, strict=True)) < 10 * WAITING_BYTES, "720 MB were sent, held many times over"
    assert fred.send("wilma", "x" * (12 * MIB))["status"] == "ok", "a first one is always taken"


@pytest.mark.deep
def test_no_path_of_the_brokers_machine_goes_out(host: Host, machine: Machine) -> None:
    fred = machine.connect(host.new_key("fred"), "fred")
    wilma = host.service.connect("wilma")
    wilma.send("fred", "Gone soon. Really. " + "x" * 20_000)
    wilma.request("ask", to_id="fred", message={"content": "Which one? Say. " + "y" * 20_000})
    fred.request("ask", to_id="wilma", message={"content": "Which two? Say. " + "y" * 20_000})
    shutil.rmtree(host.service.home / "large-messages")
    wait_for("the index", lambda: len(fred.request("search", query="Gone")["messages"]) == 1)
    replies = {
        "check": fred.request("check"),
        "history": fred.request("history"),
        "search": fred.request("search", query="Full content saved"),
        "asks": fred.request("asks"),
        "status": fred.request("status"),
        "ping": fred.request("ping"),
        "list": fred.request("list"),
    }
    for action, reply in replies.items():
        assert str(host.service.home) not in json.dumps(reply), action
        assert "pid" not in reply, action
    assert replies["check"]["messages"][0]["message"]["content"].startswith("Gone soon. ")
    assert replies["check"]["messages"][0]["file"]["size_bytes"] == 20_019
    assert sorted(row["content"] for row in replies["asks"]["asks"]) == ["Which one? Say.", "Which two? Say."]


@pytest.mark.deep
def test_a_key_can_not_say_that_a_person_writes(host: Host, machine: Machine) -> None:
    fred = machine.connect(host.new_key("fred"), "fred")
    wilma = host.service.connect("wilma")
    limit = host.service.settings.pair_limit

    def exchange(one: Client, other: Client) -> None:
        for _ in range(limit + 2):
            one.request("send", to_id=other.name, message={"content": "x"}, person=True)
            other.request("send", to_id=one.name, message={"content": "x"})

    with pytest.raises(RemoteError) as caught:
        exchange(fred, wilma)
    assert caught.value.code == "slow_down"


@pytest.mark.deep
def test_a_key_is_offered_no_action_of_the_owner() -> None:
    assert [name for name in OPEN_ACTIONS if ACTIONS[name].access is Access.OWNER] == []
