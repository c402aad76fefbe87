"""The ZeroMQ door before and after its first client."""

import os
import selectors
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from broker.home.settings import Settings
from broker.protocol import frames
from broker.server.router_door import RouterDoor
from tests.conftest import wait_for


class Dealers:
    """ZeroMQ clients."""

    def __init__(self, path: str) -> None:
        self._address = f"ipc://{path}"
        self._context = zmq.Context()

    def new(self) -> "zmq.Socket[bytes]":
        dealer = self._context.socket(zmq.DEALER)
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.connect(self._address)
        return dealer

    def close(self) -> None:
        self._context.destroy()


class Door:
    """A door with a loop's part of the work."""

    def __init__(self, settings: Settings, path: str) -> None:
        self.settings, self.path = settings, path
        self.selector = selectors.DefaultSelector()
        self.door = RouterDoor(self.selector)
        self.door.open(settings, f"ipc://{path}")

    def read(self) -> tuple[bytes, bytes | None]:
        """The next frame."""

        def step() -> tuple[bytes, bytes | None] | None:
            for key, _mask in self.selector.select(0):
                if key.data is self.door:
                    self.door.begin()
                elif key.data is self.door.monitor:
                    self.door.hear()
            return self.door.read()

        found: tuple[bytes, bytes | None] = wait_for("a frame", step)
        return found

    def serve(self, dealer: "zmq.Socket[bytes]", number: int) -> None:
        """One exchange."""
        dealer.send(frames.encode([{"id": number}]))
        route, frame = self.read()
        assert frame is not None and frames.decode(frame) == [{"id": number}]
        assert self.door.send(route, [{"id": number, "status": "ok"}])
        assert frames.decode(dealer.recv()) == [{"id": number, "status": "ok"}]

    def remove_and_listen(self) -> None:
        os.unlink(self.path)
        self.door.listen(self.settings)

    def close(self) -> None:
        self.door.close()
        self.selector.close()


@pytest.fixture
def path(home: Path) -> str:
    return str(home / "run" / "broker.sock")


@pytest.fixture
def door(home: Path, path: str) -> Iterator[Door]:
    made = Door(Settings.load(env={"IPC_HOME": str(home)}), path)
    yield made
    made.close()


@pytest.fixture
def dealers(path: str) -> Iterator[Dealers]:
    made = Dealers(path)
    yield made
    made.close()


def test_who_waits_at_the_socket_is_served_when_libzmq_takes_it_over(door: Door, dealers: Dealers) -> None:
    assert not door.door.waits() and door.door.read() is None and not door.door.send(b"nobody", [{}])
    both = dealers.new(), dealers.new()
    door.serve(both[0], 1)
    door.serve(both[1], 2)


def test_a_socket_that_was_removed_is_there_again_before_and_after_the_first_client(door: Door, dealers: Dealers) -> None:
    door.remove_and_listen()
    first = dealers.new()
    door.serve(first, 1)
    door.remove_and_listen()
    second = dealers.new()
    door.serve(second, 2)
    door.serve(first, 3)  # whose connection goes on


def test_the_end_of_a_connection_is_told(door: Door, dealers: Dealers) -> None:
    dealer = dealers.new()
    door.serve(dealer, 1)
    (route,) = door.door.arrived
    dealer.close()

    def departed() -> list[bytes]:
        door.door.hear()
        return door.door.departed

    assert wait_for("its end", departed) == [route]


def test_nothing_is_left_at_the_path(home: Path, path: str, dealers: Dealers) -> None:
    for clients in range(2):
        door = Door(Settings.load(env={"IPC_HOME": str(home)}), path)
        assert os.stat(path).st_mode & 0o777 == 0o600
        for number in range(clients):
            door.serve(dealers.new(), number)
        door.close()
        assert not os.path.exists(path)
