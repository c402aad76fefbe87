"""Relays of many agents, one process behind them, and what happens when either dies."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from bridges import saved_sessions
from bridges.mcp.relay_protocol import LINE_BYTES
from broker.home.paths import mcp_socket
from tests.conftest import Service, wait_for
from tests.mcp.agents import RawHost, ok, opener, project_folder, relay_of
from tests.processes import alive

pytestmark = pytest.mark.anyio
Raw = Callable[..., RawHost]


def leased(service: Service) -> int:
    return int(service.connect("observer").request("status")["leased"])


async def in_thread(condition: Callable[[], Any]) -> Any:
    """Wait for a condition without holding up the clients of this event loop."""
    return await anyio.to_thread.run_sync(lambda: wait_for("a condition", condition))


def sdk_processes(service: Service) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = f"IPC_HOME={service.home}".encode() in (entry / "environ").read_bytes().split(b"\0")
            if ours and b"--serve" in (entry / "cmdline").read_bytes().split(b"\0") and alive(int(entry.name)):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.deep
async def test_ten_relays_share_one_process_and_keep_their_sessions_apart(service: Service, raw_host: Raw) -> None:
    hosts = [raw_host(service, f"project-{n}") for n in range(10)]
    for n, host in enumerate(hosts):
        assert host.initialize()["result"]["serverInfo"]["name"] == "ipc"
        assert host.call(1, "register", instance_id=f"agent-{n}")["name"] == f"agent-{n}"
    assert sdk_processes(service) == [service.pid("mcp")]
    for n, host in enumerate(hosts):
        host.call(2, "send", to_id=f"agent-{(n + 1) % 10}", content=f"from {n}")
    for n, host in enumerate(hosts):
        mail = host.call(3, "check")["messages"]
        assert [(m["sender"], m["content"]) for m in mail] == [(f"agent-{(n - 1) % 10}", f"from {(n - 1) % 10}")]
    assert [host.close() for host in hosts] == [0] * 10


@pytest.mark.deep
async def test_nothing_is_lost_or_answered_twice_when_the_shared_process_is_killed(own_agent: Any, service: Service) -> None:
    async with own_agent("fred") as fred, own_agent("claude", mode="legacy") as claude:
        answers: list[str] = []

        async def send(client: Any, prefix: str) -> None:
            for number in range(40):
                reply = await ok(client, "send", to_id="box", content=f"{prefix}-{number}")
                answers.append(reply["message_id"])

        async def kill() -> None:
            for count in (10, 30, 60):
                await in_thread(lambda n=count: len(answers) >= n)
                await anyio.to_thread.run_sync(service.kill, "mcp")

        async with anyio.create_task_group() as tasks:
            for prefix, client in (("f1", fred), ("f2", fred), ("c", claude)):
                tasks.start_soon(send, client, prefix)
            tasks.start_soon(kill)
        assert len(answers) == len(set(answers)) == 120
    with service.connect("box") as box:
        got = [m.content for m in box.check(limit=1000)]
    assert sorted(got) == sorted(f"{p}-{n}" for p in ("f1", "f2", "c") for n in range(40))
    assert [c for c in got if c.startswith("f1")] == [f"f1-{n}" for n in range(40)]


@pytest.mark.deep
async def test_a_waiting_check_survives_the_death_of_everything(own_agent: Any, service: Service) -> None:
    async with own_agent("fred") as fred:
        got: list[dict[str, Any]] = []

        async def wait() -> None:
            got.append(await ok(fred, "check", wait_s=30))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.to_thread.run_sync(service.kill, "mcp")
            await anyio.to_thread.run_sync(service.kill, "supervisor")
            await anyio.to_thread.run_sync(service.start)
            await anyio.to_thread.run_sync(lambda: service.connect("bob").send("fred", "late"))
        assert [m["content"] for m in got[0]["messages"]] == ["late"]


@pytest.mark.deep
async def test_mail_shown_by_a_dead_process_is_acknowledged_and_mail_not_shown_comes_again(
    service: Service, raw_host: Raw
) -> None:
    fred = raw_host(service)
    fred.initialize()
    fred.call(1, "register", instance_id="fred")
    bob = service.connect("bob")
    bob.send("fred", "shown")
    assert [m["content"] for m in fred.call(2, "check")["messages"]] == ["shown"]
    fred.call(3, "send", to_id="bob", content="so that the state has arrived")
    bob.send("fred", "shown, too")
    assert [m["content"] for m in fred.call(4, "check")["messages"]] == ["shown, too"]
    service.kill("mcp")
    bob.send("fred", "new")
    mail = fred.call(5, "check")["messages"]
    assert mail[-1]["content"] == "new"
    assert {m["content"] for m in mail[:-1]} <= {"shown, too"}  # killed before it said so, it may come again, marked
    assert all(m["redelivered"] for m in mail[:-1])
    assert fred.close() == 0
    wait_for("the acknowledgement", lambda: leased(service) == 0)
    again = raw_host(service)
    again.initialize()
    assert again.call(1, "check")["messages"] == []


@pytest.mark.deep
async def test_the_mail_of_a_killed_relay_goes_back_at_once(service: Service, raw_host: Raw) -> None:
    fred = raw_host(service)
    fred.initialize()
    fred.call(1, "register", instance_id="fred")
    service.connect("bob").send("fred", "unread")
    assert len(fred.call(2, "check")["messages"]) == 1
    assert leased(service) == 1
    fred.process.kill()
    wait_for("the mail to go back", lambda: leased(service) == 0)
    again = raw_host(service)
    again.initialize()
    assert [(m["content"], m["redelivered"]) for m in again.call(1, "check")["messages"]] == [("unread", True)]


@pytest.mark.deep
async def test_a_host_that_leaves_has_read_its_mail(service: Service, raw_host: Raw) -> None:
    fred = raw_host(service)
    fred.initialize()
    fred.call(1, "register", instance_id="fred")
    bob = service.connect("bob")
    bob.send("fred", "read")
    assert len(fred.call(2, "check")["messages"]) == 1
    assert fred.close() == 0
    wait_for("the acknowledgement", lambda: bob.request("status")["queued"] == 0)


async def test_relative_paths_are_the_agents_own(agent: Any, tag: str, home: Path) -> None:
    for name in (f"fred{tag}", f"claude{tag}"):
        (project_folder(home, name) / "note.txt").write_text(f"note of {name}")
    async with agent(f"fred{tag}") as fred, agent(f"claude{tag}") as claude:
        for client in (fred, claude):
            await ok(client, "share_file", to_id=f"fred{tag}", filepath="note.txt")
        contents = [m["content"] for m in (await ok(fred, "check"))["messages"]]
    assert [c.rsplit("\n", 1)[1] for c in contents] == [f"note of fred{tag}", f"note of claude{tag}"]


async def test_a_plugin_s_server_works_where_its_host_does(shared: Service, tag: str, home: Path, raw_host: Raw) -> None:
    plugin = project_folder(home, "plugin")
    fred = raw_host(shared, "plugin", PLUGIN_ROOT=str(plugin), CLAUDE_PROJECT_DIR="")
    fred.initialize()
    fred.call(1, "register", instance_id=f"fred{tag}")
    kept = [name for name, _ in saved_sessions.of_project(str(shared.home), os.getcwd())]  # the tests are the host
    assert f"fred{tag}" in kept


async def test_big_messages_pass_and_too_big_ones_are_refused_by_their_id(shared: Service, tag: str, raw_host: Raw) -> None:
    fred = raw_host(shared)
    fred.initialize()
    fred.call(1, "register", instance_id=f"fred{tag}")
    fred.call(2, "send", to_id=f"fred{tag}", content="x" * 10_000_000)
    assert fred.call(3, "check")["messages"][0]["file"]
    fred.write(b'{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"x":"' + b"x" * LINE_BYTES + b'"}}')
    refused = fred.read()
    assert (refused["id"], refused["error"]["code"]) == (77, -32600)
    assert "Next:" in refused["error"]["message"]
    assert fred.call(4, "list_instances")["instances"]


async def test_a_line_that_is_no_message_is_an_error_and_the_session_goes_on(shared: Service, raw_host: Raw) -> None:
    host = raw_host(shared)
    host.initialize()
    for garbage in (b"{", b"[1, 2]", b"\xff\xfe", b'{"jsonrpc": "1.0"}', b'{"relay": "x"}', b"[" * 100_000):
        host.write(garbage)
        if not garbage.startswith(b'{"relay":'):
            is_json = garbage in (b"[1, 2]", b'{"jsonrpc": "1.0"}')
            assert host.read()["error"]["code"] == (-32600 if is_json else -32700)
    assert host.ask(1, "ping")["result"] == {}


@pytest.mark.deep
async def test_a_broken_connection_to_the_socket_harms_nobody(service: Service, raw_host: Raw) -> None:
    fred = raw_host(service)
    fred.initialize()
    fred.call(1, "register", instance_id="fred")
    hello = b'{"relay":{"hello":1,"relay":"x","project":"/","cwd":"/","environment":{}}}\n'
    for hostile in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        b'{"relay":{}}\n',
        hello,
        hello + b'{"relay":7}\n{"jsonrpc":',
        b"\0" * 100_000,
    ):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(mcp_socket(str(service.home)))
            s.sendall(hostile)
    slow = socket.socket(socket.AF_UNIX)  # asks much and reads nothing
    slow.connect(mcp_socket(str(service.home)))
    slow.setblocking(False)
    info = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    initialize = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": info}).encode()
    sent = slow.send(hello + initialize + b'\n{"jsonrpc":"2.0","id":2,"method":"tools/list"}' * 1000)
    assert sent > 10_000
    before = service.pid("mcp")
    for number in range(2, 12):
        assert fred.call(number, "list_instances")["instances"]
    slow.close()
    assert service.pid("mcp") == before


DISCOVER = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "other", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
}


async def test_claude_code_is_led_to_the_handshake_and_told_of_the_channel(shared: Service, tag: str, raw_host: Raw) -> None:
    by_name = json.loads(json.dumps(DISCOVER).replace('"other"', '"claude-code"'))
    for env, params in (({"CLAUDECODE": "1"}, DISCOVER), ({"CLAUDE_CODE_SESSION_ID": "x"}, DISCOVER), ({}, by_name)):
        host = raw_host(shared, **env)
        assert host.ask(1, "server/discover", **params)["error"]["code"] == -32601
        capabilities = host.initialize("claude-code")["result"]["capabilities"]
        assert capabilities["experimental"] == {"claude/channel": {}}
        assert host.close() == 0


async def test_copilot_cli_is_led_to_the_handshake_at_once_also_while_the_service_starts(
    make_service: Callable[..., Service], raw_host: Raw
) -> None:
    host = raw_host(make_service())
    params = json.loads(json.dumps(DISCOVER).replace('"other"', '"copilot-cli"'))
    assert host.ask(1, "server/discover", **params)["error"]["code"] == -32601
    assert host.initialize("copilot-cli")["result"]["serverInfo"]["name"] == "ipc"
    assert host.call(2, "register", instance_id="fred")["name"] == "fred"


async def test_other_clients_get_the_newer_protocol(shared: Service, raw_host: Raw) -> None:
    host = raw_host(shared)
    assert "2026-07-28" in host.ask(1, "server/discover", **DISCOVER)["result"]["supportedVersions"]


async def test_the_first_agent_starts_the_service(make_service: Callable[..., Service], raw_host: Raw) -> None:
    service = make_service()
    fred = raw_host(service)
    fred.initialize()
    assert fred.call(1, "register", instance_id="fred")["name"] == "fred"
    assert sdk_processes(service) == [wait_for("the process", lambda: service.pid("mcp"))]


@pytest.mark.deep
async def test_an_agent_that_asks_nothing_does_not_start_a_stopped_service_and_one_that_does_starts_it(
    service: Service, raw_host: Raw
) -> None:
    fred = raw_host(service)
    fred.initialize()
    fred.call(1, "register", instance_id="fred")
    supervisor = service.pid("supervisor")
    os.kill(supervisor, signal.SIGTERM)
    wait_for("the end", lambda: not alive(supervisor))
    assert not service.pid("broker")
    service.start()  # by somebody else: the agent finds it without being asked
    wait_for("the agent's session", lambda: [e for e in service.log("mcp") if e["event"] == "session_started"][1:])
    service.stop()
    assert fred.call(2, "list_instances")["instances"]


@pytest.mark.deep
async def test_without_a_supervisor_an_agent_has_a_process_of_its_own(
    make_service: Callable[..., Service], home: Path, raw_host: Raw
) -> None:
    service = make_service()
    broker = subprocess.Popen([sys.executable, "-m", "broker"], env={**os.environ, **service.env})
    try:
        wait_for("the broker", lambda: (home / "run" / "broker.sock").exists())
        fred = raw_host(service)
        fred.initialize()
        assert fred.call(1, "register", instance_id="fred")["name"] == "fred"
        [own] = sdk_processes(service)
        os.kill(own, signal.SIGKILL)
        assert fred.call(2, "list_instances")["instances"]
        assert fred.close() == 0
        wait_for("the end of its process", lambda: not sdk_processes(service))
    finally:
        broker.terminate()
        broker.wait(20)


@pytest.mark.deep
async def test_a_broker_that_can_not_start_is_told_by_the_tools(home: Path, raw_host: Raw) -> None:
    with sqlite3.connect(home / "ipc.db") as db:
        db.execute("PRAGMA user_version = 99")
    service = Service(home)
    try:
        host = raw_host(service)
        host.initialize()
        result = host.ask(1, "tools/call", name="register", arguments={"instance_id": "fred"})["result"]
        assert result["isError"]
        text = result["content"][0]["text"]
        assert "schema 99 is newer than this program's" in text and "Next: ipc doctor" in text
        assert host.close() == 0
    finally:
        service.stop()


async def test_a_service_that_can_not_be_reached_is_an_error_that_says_what_to_do(home: Path, raw_host: Raw) -> None:
    blocked = home / "file"
    blocked.write_text("")
    host = raw_host(Service(home), IPC_HOME=str(blocked / "x"))
    assert host.initialize()["result"]["serverInfo"]["name"] == "ipc"
    result = host.ask(1, "tools/call", name="check", arguments={})["result"]
    assert result["isError"] and "Next: run ipc doctor" in result["content"][0]["text"]
    assert host.ask(2, "prompts/list")["error"]["code"] == -32000
    assert host.close() == 0


@pytest.mark.deep
async def test_both_eras_survive_a_replaced_process(service: Service, home: Path) -> None:
    for mode in ("auto", "legacy"):
        async with opener(service, home)(f"me-{mode}", mode=mode) as me:
            await anyio.to_thread.run_sync(service.kill, "mcp")
            assert len((await me.list_tools()).tools) >= 8
            assert (await ok(me, "send", to_id="x", content="y"))["message_id"]
            relay = relay_of(service, f"me-{mode}")
        assert not alive(relay)


async def test_what_is_known_is_answered_while_the_service_starts_and_the_rest_later(
    make_service: Callable[..., Service], raw_host: Raw
) -> None:
    """Nothing runs. All is said at once; a request that was given up is not answered."""
    host = raw_host(make_service())
    info = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    for number, (method, params) in enumerate(
        (
            ("initialize", info),
            ("tools/call", {"name": "register", "arguments": {"instance_id": "fred"}}),
            ("tools/call", {"name": "check", "arguments": {"wait_s": 300}}),
            ("tools/call", {"name": "send", "arguments": {"to_id": "fred", "content": "hi"}}),
            ("tools/list", {}),
            ("ping", {}),
        )
    ):
        host.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode())
    host.write(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}')
    ids = [host.read()["id"] for _ in range(5)]
    assert (ids[:3], sorted(ids[3:])) == ([0, 4, 5], [1, 3])
    assert host.ask(6, "tools/call", name="check", arguments={"count_only": True})["id"] == 6


async def test_a_host_that_leaves_while_the_service_starts_has_its_requests_answered(
    make_service: Callable[..., Service], raw_host: Raw
) -> None:
    host = raw_host(make_service())
    host.initialize()
    host.write(
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"register","arguments":{"instance_id":"fred"}}}'
    )
    assert host.process.stdin is not None
    host.process.stdin.close()
    assert host.read()["result"]["structuredContent"]["name"] == "fred"
    assert host.process.wait(20) == 0


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(entry.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.parent.name))
    return found


@pytest.mark.parametrize("whom", ["the relay's child", "supervisor", "broker", "mcp"])
@pytest.mark.deep
async def test_whoever_is_killed_while_all_starts_the_first_call_is_answered_once(
    make_service: Callable[..., Service], raw_host: Raw, whom: str
) -> None:
    service = make_service()
    host = raw_host(service)
    host.initialize()
    host.write(
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"register","arguments":{"instance_id":"fred"}}}'
    )
    if whom == "the relay's child":
        for pid in children_of(host.process.pid):  # it may have ended
            os.kill(pid, signal.SIGKILL)
    else:
        os.kill(wait_for(whom, lambda: service.pid(whom)), signal.SIGKILL)
    answer = host.read()["result"]
    if answer["isError"]:  # only of a start can it be told that it was killed
        assert whom == "the relay's child" and "Next: run ipc doctor" in answer["content"][0]["text"]
    assert host.call(2, "register", instance_id="fred")["name"] == "fred"
    assert host.call(3, "send", to_id="fred", content="hi")["message_id"]
    assert host.close() == 0
