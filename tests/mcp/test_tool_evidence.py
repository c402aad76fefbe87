"""Mail of a host without hooks is acknowledged on evidence, and comes again where there is none."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from broker.client.sync import Client
from tests.conftest import Service, wait_for
from tests.fenced import mail_in
from tests.mcp.agents import COMMAND, RawHost, project_folder

Raw = Callable[..., RawHost]
HOST = """
import json, os, signal, subprocess, sys
p = subprocess.Popen(json.loads(sys.argv[1]), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
def ask(number, method, **params):
    p.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\\n")
    p.stdin.flush()
ask(1, "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "x", "version": "1"})
p.stdout.readline()
ask(2, "tools/call", name="register", arguments={"instance_id": "fred"})
p.stdout.readline()
ask(3, "tools/call", name="check", arguments={"wait_s": 30})
if sys.argv[2] == "read":
    print(p.stdout.readline().decode(), end="", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


def evidence_of(sender: Client, number: str) -> str:
    """By what the message is known to be in its reader's context."""
    (row,) = sender.receipts(number)["receipts"]
    return str(next(step["evidence"] for step in row["steps"] if step["step"] == "in_context"))


def registered(service: Service, raw_host: Raw, name: str = "fred", **env: str) -> RawHost:
    host = raw_host(service, name, **env)
    host.initialize()
    host.call(1, "register", instance_id=name)
    return host


@pytest.mark.parametrize("how", ["unread", "read"])
@pytest.mark.deep
def test_a_host_that_is_killed_has_left_nothing_acknowledged(service: Service, raw_host: Raw, how: str) -> None:
    bob = service.connect("bob")
    bob.send("fred", "read me or keep me")
    project = project_folder(service.home, "killed")
    command = [sys.executable, "-c", HOST, json.dumps(COMMAND), how]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=project, stdin=pipe, stdout=pipe, env={**service.env, "PATH": ""}) as host:
        assert host.stdin is not None and host.stdout is not None
        if how == "read":
            assert b"read me or keep me" in host.stdout.readline()
        else:
            wait_for("the mail to be handed out", lambda: bob.request("status")["leased"] == 1)
        host.stdin.write(b"\n")
        host.stdin.flush()
        host.wait(20)
    wait_for("the mail to be back", lambda: bob.request("status")["leased"] == 0)
    (mail,) = registered(service, raw_host).call(2, "check")["messages"]
    assert (mail["content"], mail["redelivered"]) == ("read me or keep me", True)


@pytest.mark.deep
def test_what_came_after_the_host_may_have_given_up_is_shown_once_more(service: Service, raw_host: Raw) -> None:
    host, bob = registered(service, raw_host), service.connect("bob")
    host.write(json.dumps(_check(2, wait_s=60)).encode())
    time.sleep(1.6)  # an unknown host is taken to wait for 1.5 s
    bob.send("fred", "late")
    assert "late" in host.read()["result"]["content"][0]["text"]
    (again,) = host.call(3, "check")["messages"]
    assert (again["content"], again["redelivered"]) == ("late", True)
    assert host.call(4, "check")["messages"] == []
    assert bob.request("status")["queued"] == 0
    assert evidence_of(bob, again["id"]) == "inferred"


@pytest.mark.deep
def test_a_host_that_is_known_to_wait_is_shown_late_mail_once(shared: Service, tag: str, raw_host: Raw) -> None:
    host, bob = raw_host(shared, f"fred{tag}"), shared.connect(f"bob{tag}")
    host.initialize("claude-code")
    host.call(1, "register", instance_id=f"fred{tag}")
    host.write(json.dumps(_check(2, wait_s=60)).encode())
    time.sleep(1.6)
    bob.send(f"fred{tag}", "late")
    assert "late" in host.read()["result"]["content"][0]["text"]
    assert host.call(3, "check")["messages"] == []


def test_a_check_that_is_cancelled_as_its_answer_comes_has_shown_nothing(shared: Service, tag: str, raw_host: Raw) -> None:
    host = registered(shared, raw_host, f"fred{tag}")
    shared.connect(f"bob{tag}").send(f"fred{tag}", "unseen")
    host.write(json.dumps(_check(2)).encode())
    assert mail_in(host.read()["result"]["content"][0]["text"])
    host.write(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}')
    (mail,) = host.call(3, "check")["messages"]
    assert (mail["content"], mail["redelivered"]) == ("unseen", True)


@pytest.mark.deep
def test_what_was_asked_right_before_the_end_is_answered_and_read(service: Service, raw_host: Raw) -> None:
    host, bob = registered(service, raw_host), service.connect("bob")
    bob.send("fred", "last")
    host.write(json.dumps(_check(2)).encode())
    assert host.process.stdin is not None and host.process.stdout is not None
    host.process.stdin.close()
    assert b"last" in host.process.stdout.read()
    assert host.process.wait(20) == 0
    wait_for("the acknowledgement", lambda: bob.request("status")["queued"] == 0)


@pytest.mark.parametrize(
    ("following", "evidence"),
    [
        (("list_instances", {}), "inferred"),
        (("reply", {"message_id": "ID", "content": "yes"}), "tool"),
    ],
)
def test_only_a_model_that_names_a_message_shows_that_it_has_it(
    shared: Service, tag: str, raw_host: Raw, following: tuple[str, dict[str, str]], evidence: str
) -> None:
    host, bob = registered(shared, raw_host, f"fred{tag}"), shared.connect(f"bob{tag}")
    bob.send(f"fred{tag}", "look")
    (mail,) = host.call(2, "check")["messages"]
    name, arguments = following
    host.call(3, name, **{key: mail["id"] if value == "ID" else value for key, value in arguments.items()})
    wait_for("the acknowledgement", lambda: bob.receipts(mail["id"])["receipts"][0]["state"] == "read")
    assert evidence_of(bob, mail["id"]) == evidence


def test_calls_made_at_once_after_a_check_keep_their_order(shared: Service, tag: str, raw_host: Raw) -> None:
    host, bob = registered(shared, raw_host, f"fred{tag}"), shared.connect(f"bob{tag}")
    for number in range(2, 42, 4):
        bob.send(f"fred{tag}", "look")
        host.call(number, "check")
        calls = [_call(number + n, "send", to_id=f"bob{tag}", content=f"{number}-{n}") for n in (1, 2)]
        host.write(b"\n".join(json.dumps(call).encode() for call in calls))
        assert {host.read()["id"] for _ in calls} == {number + 1, number + 2}
    got = [m.content for m in bob.check(limit=100)]
    assert got == [f"{number}-{n}" for number in range(2, 42, 4) for n in (1, 2)]


def _call(number: int, tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def _check(number: int, **arguments: Any) -> dict[str, Any]:
    return _call(number, "check", **arguments)
