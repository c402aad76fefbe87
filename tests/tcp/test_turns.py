"""Clients of the port share one connection to the broker, and take turns there."""

import contextlib
import json
import os
import signal
import socket
import struct
from collections.abc import Iterator

from bridges.tcp.stream import Readers
from broker.server.fairness import SHARE
from tests.conftest import Service, wait_for
from tests.processes import freeze

COUNT = 300


class Line:
    """A lasting connection of one session."""

    def __init__(self, service: Service, token: str) -> None:
        self.socket, self.token = service.tcp(30), token
        self.replies = self.socket.makefile("rb")

    def ask(self, action: str) -> None:
        self.socket.sendall(json.dumps({"action": action, "session_token": self.token}).encode() + b"\n")
        self.replies.readline()

    def send(self, count: int) -> None:
        body = {"action": "send", "to_id": "sink", "message": {"content": "x"}, "session_token": self.token}
        self.socket.sendall((json.dumps(body).encode() + b"\n") * count)

    def numbers(self, count: int) -> list[int]:
        return [int(json.loads(self.replies.readline())["number"]) for _ in range(count)]


@contextlib.contextmanager
def stopped(service: Service) -> Iterator[int]:
    """While the broker, whose process id this is, does nothing."""
    broker = wait_for("the broker", lambda: service.pid("broker"))
    freeze(broker)
    try:
        yield broker
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(broker, signal.SIGCONT)


def two(service: Service) -> tuple[Line, Line]:
    """Both have just asked."""
    flood, quiet = Line(service, service.register("flood")), Line(service, service.register("quiet"))
    flood.ask("whoami")
    quiet.ask("whoami")
    return flood, quiet


def let_the_door_read(line: Line) -> None:
    """It turns to all its sockets before it has answered this by itself, again and again."""
    for _ in range(3):
        line.ask("no such action")


def test_one_request_stands_behind_a_share_of_anothers_pipeline_and_not_behind_all(shared: Service) -> None:
    flood, quiet = two(shared)
    with stopped(shared):
        flood.send(COUNT)
        let_the_door_read(quiet)
        quiet.send(1)
    [mine], theirs = quiet.numbers(1), flood.numbers(COUNT)
    assert theirs == sorted(theirs), "each client's own order is kept"
    assert sum(number < mine for number in theirs) <= SHARE


def test_what_waits_for_its_turn_when_its_client_is_cut_off_is_run_all_the_same(service: Service) -> None:
    flood, quiet = two(service)
    with stopped(service):
        flood.send(COUNT)
        let_the_door_read(quiet)
        flood.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        flood.replies.close()
        flood.socket.close()
        let_the_door_read(quiet)
    looker = service.connect("looker")
    wait_for("all of them", lambda: looker.request("status")["queued"] == COUNT)


def test_little_is_read_at_once_while_several_clients_are_active() -> None:
    readers = Readers()
    alone = readers.at_once(1, 0.0)
    assert readers.at_once(1, 0.1) == alone
    shared = readers.at_once(2, 0.2)
    assert shared < alone
    assert readers.at_once(1, 0.3) == readers.at_once(1, 1.2) == shared
    assert readers.at_once(1, 1.4) == alone
    assert readers.at_once(2, 9.0) == alone, "the other has been silent for long"


def test_a_flood_outlives_the_broker_and_is_stored_once_in_its_order(service: Service) -> None:
    flood, quiet = two(service)
    with stopped(service) as broker:
        flood.send(COUNT)
        let_the_door_read(quiet)
        os.kill(broker, signal.SIGKILL)
    numbers = flood.numbers(COUNT)
    assert numbers == sorted(set(numbers))
    looker = service.connect("looker")
    assert looker.request("status")["queued"] == COUNT
