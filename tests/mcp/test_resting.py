"""The process behind the relays ends while no agent asks anything, and comes back unseen."""

import json
import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.home.paths import mcp_socket
from tests.conftest import Service, wait_for
from tests.fenced import mail_in
from tests.inbox_socket import InboxSocket
from tests.mcp.agents import RawHost

Raw = Callable[..., RawHost]
REST_S = "0.3"


@pytest.fixture
def resting(make_service: Callable[..., Service]) -> Service:
    """A service whose MCP process ends soon."""
    return make_service(IPC_MCP_REST=REST_S).start()


def agent(service: Service, raw_host: Raw, name: str = "fred", **env: str) -> RawHost:
    host = raw_host(service, name, **env)
    host.initialize()
    host.call(1, "register", instance_id=name)
    return host


def rests(service: Service) -> None:
    """Wait until no process serves the agents."""
    wait_for("the end of the MCP process", lambda: not service.pid("mcp") and service.pid("supervisor"))


def leased(service: Service) -> int:
    return int(service.connect("observer").request("status")["leased"])


def test_the_process_ends_and_the_next_call_is_answered_as_the_same_agent(resting: Service, raw_host: Raw) -> None:
    fred = agent(resting, raw_host)
    bob = resting.connect("bob")
    bob.send("fred", "one")
    assert [m["content"] for m in fred.call(2, "check")["messages"]] == ["one"]
    for number in range(3, 6):
        rests(resting)
        assert fred.process.poll() is None and leased(resting) == (1 if number == 3 else 0)
        assert fred.call(number, "check")["messages"] == []
    assert [step["step"] for step in bob.receipts("1")["receipts"][0]["steps"]][-1] == "in_context"
    rests(resting)
    assert fred.close() == 0


@pytest.fixture
def inbox(home: Path) -> Iterator[InboxSocket]:
    inbox = InboxSocket(home / "claude.sock")
    yield inbox
    inbox.close()


def ways(service: Service, name: str) -> list[tuple[str, str]]:
    rows = service.connect("observer").request("status")["instances"]
    return [(way["way"], way["state"]) for row in rows if row["id"] == name for way in row.get("ways", [])]


@pytest.mark.parametrize("broker_dies", [False, True])
@pytest.mark.deep
def test_an_idle_claude_code_is_woken_though_no_process_serves_it(
    resting: Service, raw_host: Raw, inbox: InboxSocket, broker_dies: bool
) -> None:
    host = agent(resting, raw_host, "claude", CLAUDE_CODE_MESSAGING_SOCKET=inbox.path, CLAUDE_CODE_SESSION_ID="s1")
    rests(resting)
    wait_for("the relay's way", lambda: ways(resting, "claude") == [("socket", "armed")])
    if broker_dies:
        resting.kill("broker")
        wait_for("the relay's way", lambda: ways(resting, "claude") == [("socket", "armed")])
        assert not resting.pid("mcp")
    resting.connect("bob").send("claude", "the build is red")
    (text,) = wait_for("the notice", lambda: inbox.texts)
    assert text.startswith("agent-ipc: mail #")
    assert [m["content"] for m in host.call(2, "check")["messages"]] == ["the build is red"]
    rests(resting)
    assert len(inbox.texts) == 1


@pytest.mark.deep
def test_mail_that_was_told_of_is_not_told_of_again_by_each_rest(resting: Service, raw_host: Raw, inbox: InboxSocket) -> None:
    agent(resting, raw_host, "claude", CLAUDE_CODE_MESSAGING_SOCKET=inbox.path, CLAUDE_CODE_SESSION_ID="s1")
    rests(resting)
    wait_for("the relay's way", lambda: ways(resting, "claude"))
    resting.connect("bob").send("claude", "never read")
    wait_for("the notice", lambda: inbox.texts)
    looked = resting.pid("mcp")
    resting.connect("observer").check(wait=2.0)  # several rests: unread mail of an agent that can be woken keeps its process
    assert resting.pid("mcp") == looked and len(inbox.texts) == 1


@pytest.mark.deep
def test_a_host_that_asked_to_be_told_of_its_inbox_is_told_while_it_rests(resting: Service, raw_host: Raw) -> None:
    host = agent(resting, raw_host)
    host.ask(2, "resources/subscribe", uri="ipc://inbox")
    rests(resting)
    resting.connect("bob").send("fred", "news")
    assert host.read() == {"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": "ipc://inbox"}}


@pytest.mark.deep
def test_a_second_session_of_the_folder_does_not_take_up_the_name_of_one_that_rests(resting: Service, raw_host: Raw) -> None:
    agent(resting, raw_host)
    rests(resting)
    other = raw_host(resting, "fred")
    other.initialize()
    result = other.ask(1, "tools/call", name="check", arguments={})["result"]
    assert result["isError"] and "Not registered" in result["content"][0]["text"]


@pytest.mark.parametrize("how", ["leaves", "is killed"])
@pytest.mark.deep
def test_a_host_that_leaves_its_rest_has_read_its_mail_and_one_that_is_killed_has_not(
    resting: Service, raw_host: Raw, how: str
) -> None:
    fred = agent(resting, raw_host)
    bob = resting.connect("bob")
    bob.send("fred", "read or not")
    assert len(fred.call(2, "check")["messages"]) == 1
    rests(resting)
    if how == "leaves":
        assert fred.close() == 0
        wait_for("the acknowledgement", lambda: bob.request("status")["queued"] == 0)
    else:
        fred.process.kill()
        fred.process.wait(20)
        assert leased(resting) == 1


@pytest.mark.deep
def test_a_relay_that_knows_no_rest_keeps_its_process(resting: Service, raw_host: Raw) -> None:
    agent(resting, raw_host).close()
    with socket.socket(socket.AF_UNIX) as old:
        old.connect(mcp_socket(str(resting.home)))
        old.sendall(b'{"relay":{"hello":1,"relay":"x","project":"/","cwd":"/","environment":{}}}\n')
        assert b"ready" in old.recv(4096)
        pid = resting.pid("mcp")
        other = agent(resting, raw_host, "other")
        for number in range(20):
            other.call(number, "list_instances")
        assert resting.pid("mcp") == pid
    rests(resting)


@pytest.mark.deep
def test_ten_agents_lose_and_double_nothing_while_their_process_rests_and_is_killed(resting: Service, raw_host: Raw) -> None:
    """Each sends to the next, and reads; the process is killed at any moment, or has just ended."""
    rng = random.Random(14)  # noqa: S311
    hosts = {f"a{n}": agent(resting, raw_host, f"a{n}") for n in range(10)}
    names = list(hosts)
    got: dict[str, list[str]] = {name: [] for name in names}
    marked: dict[str, list[str]] = {name: [] for name in names}
    number = 10
    for step in range(12):
        number += 3
        if step % 4 == 3:
            rests(resting)
        for n, name in enumerate(names):
            call = {"to_id": names[(n + 1) % 10], "content": f"{name}-{step}"}
            ask(hosts[name], number, "send", call)
        if step % 4 == 0:
            pid = resting.pid("mcp")
            if pid:
                threading.Timer(rng.random() / 20, kill_quietly, [pid]).start()
        for name in names:
            assert hosts[name].read()["result"].get("isError") is not True
            ask(hosts[name], number + 1, "check", {})
        if step % 4 == 1:
            kill_quietly(resting.pid("mcp"))
        for name in names:
            take(hosts[name], got[name], marked[name])
    for name in names:  # what is on its way
        for _ in range(3):
            number += 1
            ask(hosts[name], number, "check", {"wait_s": 1})
            take(hosts[name], got[name], marked[name])
    for n, name in enumerate(names):
        sent = [f"{names[n - 1]}-{step}" for step in range(12)]
        assert sorted(got[name]) == sorted(sent), name  # what comes again says that it does
        assert set(marked[name]) <= set(sent)


def ask(host: RawHost, number: int, tool: str, arguments: dict[str, Any]) -> None:
    params = {"name": tool, "arguments": arguments}
    host.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode())


def take(host: RawHost, got: list[str], marked: list[str]) -> None:
    """Read the answer to a check: new mail, and mail that is marked as perhaps seen."""
    for m in mail_in(host.read()["result"]["content"][0]["text"]):
        (marked if m["redelivered"] and m["content"] in got else got).append(m["content"])


def kill_quietly(pid: int) -> None:
    if pid:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
