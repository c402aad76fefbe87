"""The Python clients, against a real broker: each call once, in both forms."""

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import pytest

import broker
from broker.client.methods import Methods
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import RemoteError
from broker.protocol.rows import Access
from tests.conftest import Service, wait_for

METHODS = {
    "import": None,
    "register": "connect",
    "unsubscribe": "request",
    "subscribe": "request",
    "way": "request",
    "permission_ask": "request",
    "release": "release",
    "claim_release": "release_claim",
    "group_create": "create_group",
    "group_join": "join_group",
    "group_leave": "leave_group",
}


@pytest.mark.parametrize("action", sorted(n for n, a in ACTIONS.items() if a.access is Access.SESSION))
def test_the_python_client_lacks_no_action(action: str) -> None:
    assert hasattr(broker.Client, METHODS.get(action) or action)
    assert hasattr(broker.AsyncClient, METHODS.get(action) or action)


def test_two_programs_hold_a_conversation(service: Service) -> None:
    fred, claude = service.connect("fred"), service.connect("claude")
    fred.create_group("builders")
    claude.join_group("builders")
    claude.presence("working", "the parser")
    assert fred.send("builders", "hello all", land="interrupt")["message"] == "Posted to 1 member of builders"
    assert claude.count()["interrupt"] == 1
    (mail,) = claude.check(wait=5)
    assert (mail.group, mail.land) == ("builders", "interrupt")
    answer = claude.reply(mail, "hello fred")
    assert claude.forward(mail, "nova")["status"] == "ok"
    (mail,) = fred.check(wait=5)
    assert (mail.thread, mail.content) == (answer["thread"], "hello fred")
    claude.claim("/repo/src/**", note="parsing")
    with pytest.raises(broker.IpcError) as refused:
        fred.claim("/repo/src/a.py")
    assert (refused.value.code, "claude" in refused.value.text) == ("claim_conflict", True)
    assert [m["message"]["content"] for m in fred.history("claude")["messages"]] == ["hello fred"]
    assert fred.search("hello")["messages"][0]["snippet"]
    sent = fred.send("claude", "x")
    assert [r["state"] for r in fred.receipts(sent["message_id"])["receipts"]] == ["queued"]
    fred.send("fred", "to myself")
    (own,) = fred.check(wait=5)
    assert [r["state"] for r in fred.receipts(own)["receipts"]] == ["delivered"]
    assert fred.touch(own, lease_s=60)["touched"] == 1
    assert fred.withdraw(own)["withdrawn"] == 0


@pytest.mark.deep
@pytest.mark.parametrize("link", ["unix", "zeromq"])
def test_an_ask_brings_its_answer_though_the_broker_is_killed_while_it_waits(service: Service, link: str) -> None:
    fred, claude = service.connect("fred", link=link), service.connect("claude", link=link)
    got: list[Any] = []
    asking = threading.Thread(target=lambda: got.append(fred.ask("claude", "which branch?", wait=30)))
    asking.start()
    (question,) = wait_for("the question", lambda: claude.check())
    assert question.question is not None
    service.kill("broker")
    claude.reply(question.id, "main")
    asking.join(30)
    assert got[0].content == "main"
    assert fred.check() == []
    claude.ack()
    assert [r["state"] for r in fred.receipts(question.id)["receipts"]] == ["answered"]


def test_the_asyncio_client_asks_and_is_answered(service: Service) -> None:
    async def story() -> str:
        async with (
            await broker.connect_async("fred", settings=service.settings) as fred,
            await broker.connect_async("claude", settings=service.settings) as claude,
        ):
            asking = asyncio.create_task(fred.ask("claude", "?", wait=20))
            (question,) = await claude.check(wait=20)
            await claude.reply(question.id, "!")
            answer = await asking
            assert answer is not None and (await fred.count())["unread"] == 0
            return str(answer.content)

    with service.environment():
        assert asyncio.run(story()) == "!"


def test_both_clients_have_their_calls_from_one_place() -> None:
    shared = {n for n in vars(Methods) if not n.startswith("_")} - {"request"}
    for client in (broker.Client, broker.AsyncClient):
        assert shared.isdisjoint(vars(client))


@pytest.mark.deep
@pytest.mark.parametrize("link", ["unix", "zeromq"])
def test_a_check_after_the_brokers_restart_is_made_once(service: Service, link: str) -> None:
    """Made over the old link, too, it would lease the mail to nobody."""
    fred, claude = service.connect("fred", link=link), service.connect("claude", link=link)
    service.kill("broker")
    fred.send("claude", "x")
    asked = fred.request("status")["requests"]
    assert [m.content for m in claude.check(wait=5)] == ["x"]
    assert fred.request("status")["requests"] == asked + 2  # the check, and this


@pytest.mark.deep
def test_mail_of_a_check_that_timed_out_is_in_the_next_one(service: Service) -> None:
    fred, claude = service.connect("fred"), service.connect("claude")
    with pytest.raises(broker.IpcError) as late:
        claude.request("check", wait_s=20.0, timeout_s=0.2)
    assert late.value.code == "timeout"
    fred.send("claude", "x")
    assert [m.content for m in claude.check(wait=5)] == ["x"]
    assert claude.ack() == 1


_HOLDER = "import sys, broker; me = broker.connect(sys.argv[1]); print(me.token, flush=True); sys.stdin.read()"


def test_a_programs_name_is_its_own_until_it_ends(shared: Service, tag: str) -> None:
    name, env = f"worker{tag}", {**os.environ, **shared.env}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, name], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None and worker.stdout.readline()
        with pytest.raises(RemoteError) as refused:
            shared.connect(name)
        assert refused.value.code == "name_held" and refused.value.data["holder"]["where"] == os.getcwd()
        assert refused.value.data["holder"]["alive"] is True
        worker.kill()
        worker.wait()
    first = shared.connect(name)
    second = shared.connect(name)  # of the same process
    assert second.unregister()["message"] == f"Unregistered {name}"
    for lost, code in ((first, "session_ended"), (second, "session_ended")):
        with pytest.raises(RemoteError) as told:
            lost.check()
        assert told.value.code == code


def test_force_takes_the_name_of_a_program_that_runs(shared: Service, tag: str) -> None:
    name, env = f"worker{tag}", {**os.environ, **shared.env}
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, name], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdout is not None
        token = worker.stdout.readline().decode().strip()
        assert shared.connect(name, force=True).whoami()["instance_id"] == name
        with pytest.raises(RemoteError) as told:
            shared.connect("", token=token)
        assert told.value.code == "session_replaced" and "by a program" in told.value.hint
        worker.kill()


def test_the_ids_of_many_sends_ascend(service: Service) -> None:
    """The broker knows without a look-up that such an id is new."""
    with service.connect("fred") as fred:
        ids = [reply["message_id"] for reply in fred.send_many([("fred", "x")] * 300)]
    assert ids == sorted(set(ids))
