"""Mail from machine to machine: who gets in, as whom, and until when."""

import asyncio
import json
import os
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridges.remote.door import SUBSCRIPTIONS_LIMIT
from broker.client.aio import connect_async
from broker.client.sync import Connection
from broker.home.keys import new_pair
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from tests.conftest import Service, wait_for
from tests.ports import free_port
from tests.remote.machines import Host, Machine
from tests.shell import IPC

INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def refusal(work: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    """The code of the error that the call ends with."""
    with pytest.raises(IpcError) as caught:
        work(*arguments, **options)
    return caught.value.code


def edited(key: Path, **fields: str) -> Path:
    """A copy of a key file with other fields."""
    path = key.with_name(f"edited-{len(list(key.parent.iterdir()))}.key")
    path.touch(mode=0o600)
    path.write_text(json.dumps({**json.loads(key.read_text()), **fields}))
    return path


def test_mail_goes_both_ways_with_a_key(shared_host: Host, tag: str, machine: Machine) -> None:
    key = shared_host.new_key(f"fred{tag}")
    wilma = shared_host.service.connect(f"wilma{tag}")
    with machine.connect(key, f"fred{tag}") as fred:
        fred.send(f"wilma{tag}", "from afar")
        assert [m.content for m in wilma.check(wait=5)] == ["from afar"]
        wilma.send(f"fred{tag}", "x" * 5000)
        assert [m.content for m in fred.check(wait=5)] == ["x" * 5000]
        assert len(fred.send_many([(f"wilma{tag}", str(n)) for n in range(600)])) == 600
        assert [m.content for m in wilma.check(limit=1000)] == [str(n) for n in range(600)]


def test_large_mail_arrives_whole_where_its_file_is_not(shared_host: Host, tag: str, machine: Machine) -> None:
    fred = machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    text = "---\r\n\n---\n\nfull text ä\n" * 5000
    shared_host.service.connect(f"wilma{tag}").send(f"fred{tag}", text, {"n": 1})
    mail = fred.check(wait=5)
    assert [(m.content == text, m.data, m.file) for m in mail] == [(True, {"n": 1}, None)]
    assert fred.history()["messages"][0]["message"]["content"] == text


@pytest.mark.deep
def test_an_agent_of_another_machine_has_its_tools_by_the_key(shared_host: Host, tag: str, machine: Machine) -> None:
    key = shared_host.new_key(f"fred{tag}")
    wilma = shared_host.service.connect(f"wilma{tag}")
    calls = [
        {"method": "initialize", "id": 1, "params": INITIALIZE},
        {"method": "notifications/initialized"},
        {"method": "tools/call", "id": 2, "params": {"name": "register", "arguments": {"instance_id": f"fred{tag}"}}},
        {
            "method": "tools/call",
            "id": 3,
            "params": {"name": "send", "arguments": {"to_id": f"wilma{tag}", "content": "by MCP"}},
        },
    ]
    env = {"PATH": os.environ["PATH"], "HOME": str(machine.folder), **machine.env(key)}
    with subprocess.Popen([*IPC, "mcp"], env=env, cwd=machine.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        for call in calls:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **call}).encode() + b"\n")
            server.stdin.flush()
            if "id" in call:
                assert server.stdout is not None
                answer = json.loads(server.stdout.readline())
                assert not answer["result"].get("isError"), answer
        server.stdin.close()
    assert [m.content for m in wilma.check(wait=5)] == ["by MCP"]


@pytest.mark.deep
def test_a_hosts_hooks_bring_mail_by_the_key(host: Host, machine: Machine) -> None:
    key = host.new_key("fred")
    host.service.connect("wilma").send("fred", "for the hook")
    env = {"PATH": os.environ["PATH"], "HOME": str(machine.folder), **machine.env(key)}
    given = json.dumps({"session_id": "abc", "cwd": str(machine.folder), "source": "startup"}).encode()
    done = subprocess.run(
        [*IPC, "hook", "claude", "SessionStart"], env=env, cwd=machine.folder, input=given, capture_output=True
    )
    assert (b"for the hook" in done.stdout, b"under the name fred" in done.stdout) == (True, True), done


@pytest.mark.deep
def test_the_status_that_another_machine_sees_has_no_paths_and_no_counts_of_others_mail(host: Host, machine: Machine) -> None:
    fred = machine.connect(host.new_key("fred"), "fred")
    found = fred.request("status")
    assert sorted(found) == ["id", "instances", "limits", "protocol", "status", "uptime_s", "version"]
    assert str(host.service.home) not in json.dumps(found)
    assert "queued" not in found["instances"][0]


def test_pushes_and_questions_reach_another_machine(shared_host: Host, tag: str, machine: Machine) -> None:
    fred = machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    wilma = shared_host.service.connect(f"wilma{tag}")
    subscribed = fred.request("subscribe")
    wilma.send(f"fred{tag}", "pushed")
    pushes = wait_for("the push", lambda: fred._connection.poll_pushes(0.1))
    assert (pushes[0]["id"], pushes[0]["messages"][0]["message"]["content"]) == (subscribed["id"], "pushed")
    fred.request("unsubscribe")
    wilma.send(f"fred{tag}", "waits")
    assert [m.content for m in fred.check(wait=5)] == ["waits"]

    def answer() -> None:
        question = wilma.check(wait=10)[0]
        wilma.reply(question.id, "yes")

    thread = threading.Thread(target=answer)
    thread.start()
    reply = fred.ask(f"wilma{tag}", "really?", wait=10)
    thread.join()
    assert reply is not None and reply.content == "yes"


def test_the_asyncio_client_takes_a_key_and_tells_what_is_wrong_with_it(shared_host: Host, tag: str, machine: Machine) -> None:
    key = shared_host.new_key(f"fred{tag}")

    async def talk() -> list[str]:
        settings = Settings.load(env=machine.env(key))
        async with await connect_async(f"fred{tag}", settings=settings) as fred:
            await fred.send(f"fred{tag}", "to myself")
            found = [m.content for m in await fred.check(wait=5)]
            shared_host.ipc("keys", "revoke", f"fred{tag}")
            with pytest.raises(IpcError) as caught:
                await fred.send(f"fred{tag}", "again")
            found.append(caught.value.code)
            fred._unacked.clear()
        with pytest.raises(IpcError) as caught:
            await connect_async(f"fred{tag}", settings=settings)
        return [*found, caught.value.code]

    assert asyncio.run(asyncio.wait_for(talk(), 40)) == ["to myself", "key_refused", "key_refused"]


def test_a_key_that_was_never_allowed_is_refused_and_the_error_says_what_to_ask_for(
    shared_host: Host, tag: str, machine: Machine
) -> None:
    pair = new_pair()
    key = edited(shared_host.new_key(f"fred{tag}"), public_key=pair.public, secret_key=pair.secret)
    with pytest.raises(IpcError) as caught:
        machine.connect(key, f"fred{tag}")
    assert caught.value.code == "key_refused"
    assert caught.value.hint == f"Ask its owner for: ipc keys allow fred{tag} {pair.public}"
    shared_host.ipc("keys", "allow", f"fred{tag}", pair.public)
    assert machine.connect(key, f"fred{tag}").whoami()["instance_id"] == f"fred{tag}"


def test_a_client_that_expects_another_broker_sends_it_nothing(shared_host: Host, tag: str, machine: Machine) -> None:
    key = edited(shared_host.new_key(f"fred{tag}"), server_key=new_pair().public)
    assert refusal(machine.connect, key, f"fred{tag}") == "wrong_server"


@pytest.mark.deep
def test_a_port_where_no_broker_speaks_or_nobody_listens_is_told_apart(shared_host: Host, tag: str, machine: Machine) -> None:
    key = shared_host.new_key(f"fred{tag}")
    json_door = edited(key, endpoint=f"tcp://127.0.0.1:{shared_host.service.port()}")
    assert refusal(machine.connect, json_door, f"fred{tag}") == "wrong_server"
    assert refusal(machine.connect, edited(key, endpoint=f"tcp://127.0.0.1:{free_port()}"), f"fred{tag}") == "unavailable"


def test_a_key_revoked_before_it_was_used_is_refused(shared_host: Host, tag: str, machine: Machine) -> None:
    key = shared_host.new_key(f"fred{tag}")
    assert f"Revoked fred{tag}'s key" in shared_host.ipc("keys", "revoke", f"fred{tag}")
    assert refusal(machine.connect, key, f"fred{tag}") == "key_refused"


def test_revoking_holds_for_open_connections_when_the_command_returns(shared_host: Host, tag: str, machine: Machine) -> None:
    fred = machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    wilma = shared_host.service.connect(f"wilma{tag}")
    wilma.send(f"fred{tag}", "on lease")
    assert len(fred.check(wait=5)) == 1
    assert f"session of fred{tag} has ended" in shared_host.ipc("keys", "revoke", f"fred{tag}")
    assert refusal(fred.send, f"wilma{tag}", "x") == "key_refused"
    assert refusal(fred.request, "check") == "key_refused"
    wilma.send(f"fred{tag}", "later")
    again = shared_host.service.connect(f"fred{tag}")  # what was on lease is back at once
    assert [m.content for m in again.check()] == ["on lease", "later"]
    assert wilma.check() == []


def test_a_wait_and_a_subscription_end_when_the_key_is_revoked(shared_host: Host, tag: str, machine: Machine) -> None:
    fred = machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    watcher = machine.connect(shared_host.folder / f"fred{tag}.key", f"fred{tag}", token=fred.token)
    watcher.request("subscribe", notify=True)
    ended: list[str] = []
    waiting = threading.Thread(target=lambda: ended.append(refusal(fred.check, wait=30)))
    waiting.start()
    wait_for("the wait", lambda: shared_host.service.connect(f"wilma{tag}").request("list"))
    shared_host.ipc("keys", "revoke", f"fred{tag}")
    waiting.join(20)
    assert ended == ["key_refused"]
    pushes = wait_for("the end of the subscription", lambda: watcher._connection.poll_pushes(0.1))
    assert [(p["push"], p["code"]) for p in pushes] == [("key_refused", "key_refused")]


def test_the_token_of_a_revoked_key_is_worth_nothing_at_other_doors(shared_host: Host, tag: str, machine: Machine) -> None:
    fred = machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    whoami = {"action": "whoami", "session_token": fred.token}
    assert shared_host.service.ask(whoami)["instance_id"] == f"fred{tag}"
    shared_host.ipc("keys", "revoke", f"fred{tag}")
    assert shared_host.service.ask(whoami)["code"] == "session_ended"


def test_a_key_acts_as_its_own_name_only(host: Host, machine: Machine) -> None:
    key = host.new_key("fred")
    fred, wilma = machine.connect(key, "fred"), host.service.connect("wilma")
    assert refusal(machine.connect, key, "wilma") == "key_bound"
    assert refusal(machine.connect, key, "wilma", token=wilma.token) == "key_bound"  # stolen
    assert refusal(fred.rename, "barney") == "key_bound"
    assert refusal(fred.request, "group_create", group="barney") == "key_bound"
    assert fred.rename("fred") == "Renamed fred to fred"
    forged = {"to_id": "wilma", "message": {"content": "x"}}
    assert refusal(fred.request, "send", from_id="wilma", **forged) == "spoofed_sender"
    with_token = Connection(Settings.load(env=machine.env(key)))
    try:
        body = {"action": "send", "session_token": wilma.token, "bound_name": "wilma", "door": "cli", **forged}
        assert with_token.request_many([body])[0]["code"] == "key_bound"
        assert with_token.request_many([{**body, "session_token": None}])[0]["code"] == "unauthorized"
        for action in ("import", "keep", "end_session"):
            assert with_token.request_many([{"action": action, "session_token": "x"}])[0]["code"] == "unknown_action"
    finally:
        with_token.close()
    assert wilma.check() == []
    told = [line for line in host.service.log("broker") if line["event"] == "spoof_refused"]
    assert {"who": "fred", "claimed": "wilma", "door": "remote"}.items() <= told[0].items()


@pytest.mark.deep
def test_a_mailbox_renamed_at_home_is_out_of_its_keys_reach_until_the_key_is_allowed_for_it(
    host: Host, machine: Machine
) -> None:
    fred = machine.connect(host.new_key("fred"), "fred")
    host.service.connect("fred", token=fred.token).rename("barney")
    assert refusal(fred.send, "wilma", "x") == "key_bound"
    key = json.loads(host.ipc("keys", "--json"))["keys"][0]["key"]
    host.ipc("keys", "allow", "barney", key)
    assert fred.send("wilma", "x")["status"] == "ok"


@pytest.mark.deep
def test_with_a_key_the_shared_secret_is_not_needed(
    make_service: Callable[..., Service], folder: Path, machine: Machine
) -> None:
    environment = {"IPC_REMOTE": f"tcp://127.0.0.1:{free_port()}", "IPC_SHARED_SECRET": "right"}
    service = make_service(**environment).start()
    host = Host(service, folder)
    assert machine.connect(host.new_key("fred"), "fred").whoami()["instance_id"] == "fred"


@pytest.mark.deep
def test_keys_and_sessions_outlive_a_broker_and_a_door_that_are_killed(host: Host, machine: Machine) -> None:
    fred = machine.connect(host.new_key("fred"), "fred")
    wilma = host.service.connect("wilma")
    for child in ("broker", "remote"):
        host.service.kill(child)
        assert fred.send("wilma", child)["status"] == "ok"
    assert [m.content for m in host.service.connect("wilma", token=wilma.token).check()] == ["broker", "remote"]
    server = json.loads(host.ipc("keys", "--json"))["server_key"]
    host.service.kill("supervisor")
    host.service.start()
    host.address()
    assert json.loads(host.ipc("keys", "--json"))["server_key"] == server
    assert fred.send("wilma", "after a restart")["status"] == "ok"


@pytest.mark.deep
def test_the_shell_of_another_machine_needs_only_the_key_file(host: Host, machine: Machine) -> None:
    key = host.new_key("fred")
    host.ipc("register", "wilma")
    assert "ipc register" in machine.ipc(key, "whoami", status=4)
    assert machine.ipc(key, "register", "fred") == "Registered fred\n"
    assert machine.ipc(key, "send", "wilma", "hello") == "Message sent (number 1)\n"
    assert "hello" in host.ipc("check")
    host.ipc("send", "fred", "hi")
    assert "hi" in machine.ipc(key, "check")
    assert "as wilma" in machine.ipc(key, "whoami", "--as", "wilma", status=4)
    assert "on another machine" in machine.ipc(key, "status")
    assert "answers" in machine.ipc(key, "doctor")
    assert "unset IPC_KEY_FILE" in machine.ipc(key, "up", status=2)
    assert os.listdir(machine.folder / "ipc" / "run") == []  # nothing was started here
    host.ipc("keys", "revoke", "fred")
    assert "ipc keys allow fred" in machine.ipc(key, "check", status=4)
    key.chmod(0o644)
    assert "chmod 600" in machine.ipc(key, "check", status=2)


@pytest.mark.deep
def test_requests_that_wait_while_a_key_gets_another_name_are_all_answered(host: Host, machine: Machine) -> None:
    fred = machine.connect(host.new_key("fred"), "fred")
    ended: list[str] = []
    waiting = threading.Thread(target=lambda: ended.append(refusal(fred.request, "check", wait_s=30, timeout_s=20.0)))
    waiting.start()
    key = json.loads(host.ipc("keys", "--json"))["keys"][0]["key"]
    host.ipc("keys", "allow", "barney", key)
    host.service.connect("wilma").send("fred", "for fred alone")
    waiting.join(25)
    assert ended == ["key_refused"]
    assert [m.content for m in host.service.connect("fred", force=True).check(wait=5)] == ["for fred alone"]


def test_a_connection_can_not_have_subscriptions_without_end(shared_host: Host, tag: str, machine: Machine) -> None:
    fred = machine.connect(shared_host.new_key(f"fred{tag}"), f"fred{tag}")
    bodies = [{"action": "subscribe", "notify": True, "session_token": fred.token} for _ in range(SUBSCRIPTIONS_LIMIT + 1)]
    replies = fred._connection.request_many(bodies)
    assert [r.get("code", "ok") for r in replies] == ["ok"] * SUBSCRIPTIONS_LIMIT + ["overloaded"]
    assert fred.request("unsubscribe")["status"] == "ok"
    assert fred.request("subscribe")["status"] == "ok"
