"""kill -9 in the middle of sends, then count: acknowledged = delivered, once."""

import json
import os
import signal
import threading
from collections import Counter
from typing import Any

import pytest

from broker.protocol.errors import IpcError
from tests.conftest import Service, wait_for
from tests.processes import alive

pytestmark = pytest.mark.deep

ROUNDS = 6
PER_ROUND = 250


def drain(service: Service, name: str) -> list[str]:
    got: list[str] = []
    with service.connect(name) as me:
        while mail := me.check(limit=1000):
            got += [m.content for m in mail]
    return got


@pytest.mark.parametrize(("victim", "link"), [("broker", "unix"), ("broker", "zeromq"), ("supervisor", "zeromq")])
def test_what_was_acknowledged_to_a_client_is_delivered_once(service: Service, victim: str, link: str) -> None:
    sender = service.connect("fred", link=link)
    acknowledged: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with service.environment():
                for round_number in range(ROUNDS):
                    texts = [f"{round_number}-{i}" for i in range(PER_ROUND)]
                    replies = sender.send_many([("claude", t) for t in texts])
                    acknowledged.extend(t for t, r in zip(texts, replies, strict=True) if r["status"] == "ok")
        except BaseException as e:
            failed.append(e)

    thread = threading.Thread(target=work)
    thread.start()
    for kills in range(3):
        wait_for("some sends", lambda n=kills: len(acknowledged) >= n * PER_ROUND or not thread.is_alive())
        service.kill(victim)
    thread.join(60)
    assert not failed
    assert len(acknowledged) == ROUNDS * PER_ROUND
    assert drain(service, "claude") == acknowledged


def test_a_killed_receiver_gets_unacknowledged_mail_again_and_acknowledged_mail_not(service: Service) -> None:
    sender = service.connect("fred")
    sender.send_many([("claude", str(i)) for i in range(200)])
    seen: Counter[str] = Counter()
    acked: set[str] = set()
    for _ in range(4):
        receiver = service.connect("claude")
        mail = receiver.check(limit=50)
        seen.update(m.content for m in mail)
        receiver.ack(mail[:25])
        acked.update(m.content for m in mail[:25])
        service.kill("broker")
    rest = drain(service, "claude")
    assert not acked & set(rest)
    assert acked | set(rest) == {str(i) for i in range(200)}
    assert len(rest) == len(set(rest))


def test_a_killed_tcp_door_comes_back_and_repeated_sends_are_stored_once(service: Service) -> None:
    token = service.register("fred")
    acknowledged = []
    for i in range(60):
        if i in (20, 40):
            os.kill(wait_for("the door", lambda: service.pid("tcp")), signal.SIGKILL)
        body = {
            "action": "send",
            "to_id": "claude",
            "message": {"content": str(i)},
            "message_id": str(i),
            "session_token": token,
        }
        reply = wait_for("an answer", lambda b=body: try_ask(service, b))
        assert reply["status"] == "ok"
        acknowledged.append(str(i))
    assert drain(service, "claude") == acknowledged


def try_ask(service: Service, body: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return service.ask(body)
    except (OSError, ValueError):
        return None


def test_a_legacy_session_survives_the_death_of_everything(service: Service) -> None:
    token = service.register("fred")
    service.ask({"action": "send", "to_id": "fred", "message": {"content": "x"}, "session_token": token})
    children = [service.pid("broker"), service.pid("tcp")]
    service.kill("supervisor")
    wait_for("its children's end", lambda: not any(alive(p) for p in children))
    service.start()
    reply = service.ask({"action": "check", "session_token": token})
    assert [m["message"]["content"] for m in reply["messages"]] == ["x"]


def test_a_stopped_broker_is_a_clear_error_for_a_client_that_may_not_start_one(service: Service) -> None:
    service.stop()
    with pytest.raises(IpcError) as caught:
        service.connect("fred", autostart=False)
    assert caught.value.code == "unavailable"
    assert json.dumps(caught.value.to_wire())


def test_a_broker_is_back_within_seconds_of_its_death(service: Service) -> None:
    before = service.pid("broker")
    service.kill("broker")
    wait_for("the next broker", lambda: service.pid("broker") not in (0, before), 5.0)
    assert service.connect("fred").send("fred", "x")["message"] == "Message sent"


def test_mail_of_a_killed_doors_client_is_back_at_once(service: Service) -> None:
    """Its lease would last for half a minute. The broker hears that the door's connection has ended."""
    reader, sender = service.connect("reader"), service.connect("sender")
    sender.send("reader", "hello")
    with service.tcp() as s:
        check = {"action": "check", "instance_id": "reader", "session_token": reader.token}
        s.sendall(json.dumps(check).encode() + b"\n")
        assert b"hello" in s.makefile("rb").readline()
        service.kill("tcp")
        (back,) = reader.check(wait=10.0)
    assert (back.content, back.redelivered) == ("hello", True)
