"""The end of a ZeroMQ connection: the ROUTER does not tell of it, its monitor does."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from broker.client.sync import Client, connect
from tests.conftest import Service

CLIENT = """
import sys, time, broker
me = broker.connect("reader", token=sys.argv[1], link="zeromq")
print(len(me.check(wait=float(sys.argv[2]))), flush=True)
time.sleep(600)
"""


@pytest.fixture
def pair(service: Service) -> Iterator[tuple[Client, Client]]:
    yield service.connect("reader", link="zeromq"), service.connect("sender", link="zeromq")


def killed_after_its_check(service: Service, token: str, wait_s: float = 0.0) -> None:
    """A client of another process, killed when it has its mail."""
    env = {**os.environ, **service.env}
    with subprocess.Popen([sys.executable, "-c", CLIENT, token, str(wait_s)], env=env, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None and client.stdout.readline() == b"1\n"
        client.kill()


def test_mail_of_a_killed_client_is_back_at_once(service: Service, pair: tuple[Client, Client]) -> None:
    """Its lease would last for half a minute. Each client here has the descriptor of the one before."""
    reader, sender = pair
    sender.send("reader", "hello")
    for _ in range(3):
        killed_after_its_check(service, reader.token)
        (back,) = reader.check(wait=10.0)
        assert (back.content, back.redelivered) == ("hello", True)
        assert reader.release([back]) == 1
    assert [m.content for m in reader.check()] == ["hello"]


def test_a_client_that_closes_gives_its_mail_back(service: Service, pair: tuple[Client, Client]) -> None:
    reader, sender = pair
    sender.send("reader", "hello")
    leaving = connect("", token=reader.token, settings=service.settings, link="zeromq")
    assert len(leaving.check()) == 1
    leaving.close()
    assert [m.content for m in reader.check(wait=10.0)] == ["hello"]


def test_the_end_of_a_client_takes_nothing_from_the_others(service: Service, pair: tuple[Client, Client]) -> None:
    reader, sender = pair
    others = [service.connect(f"other{number}", link="zeromq") for number in range(5)]
    for other in others:
        sender.send(other.name, "yours")
        assert len(other.check()) == 1
    sender.send("reader", "hello")
    killed_after_its_check(service, reader.token)
    assert len(reader.check(wait=10.0)) == 1
    assert [other.ack() for other in others] == [1] * 5
    assert [r["state"] for r in sender.receipts(sender.send("other0", "x")["message_id"])["receipts"]] == ["queued"]
