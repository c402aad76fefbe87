"""What clients without a token, or with half a request, can take of the port: bounded bytes, seconds, and no place for long."""

import asyncio
import contextlib
import json
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bridges.tcp import memory
from bridges.tcp.memory import FREE_BYTES, ROOM_BYTES, Room
from tests.conftest import Service, wait_for
from tests.tcp.measures import MIB, memory_bytes


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """One for all, with few places and little patience."""
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home, IPC_CONNECTION_LIMIT="20", IPC_IDLE_TIMEOUT="2")
    try:
        yield service.start()
    finally:
        service.stop()
        shutil.rmtree(home, ignore_errors=True)


def send_half(s: socket.socket, mib: int) -> None:
    """Begin an object and send so much of it, or as much as is taken within a second."""
    s.settimeout(1.0)
    with contextlib.suppress(OSError):
        s.sendall(b'{"a":"')
        for _ in range(mib):
            s.sendall(b"x" * MIB)


def ended(s: socket.socket) -> bool:
    s.setblocking(False)
    try:
        while s.recv(65536):
            pass
    except BlockingIOError:
        return False
    except ConnectionResetError:
        pass
    return True


def lasting(service: Service, request: dict[str, object]) -> socket.socket:
    """A connection that has been answered."""
    s = service.tcp()
    s.sendall(json.dumps(request).encode() + b"\n")
    assert s.recv(65536).endswith(b"\n")
    return s


@pytest.mark.deep
def test_halves_of_requests_are_bounded_over_all_connections_and_a_whole_one_comes_through(service: Service) -> None:
    token, door = service.register("fred"), wait_for("the door", lambda: service.pid("tcp"))
    before = memory_bytes(door)
    with contextlib.ExitStack() as held:
        for _ in range(4):
            send_half(held.enter_context(service.tcp()), 31)
        assert memory_bytes(door) - before < 2.5 * ROOM_BYTES, "a buffer that grows may take twice as much for a moment"
        assert service.ask({"action": "whoami", "session_token": token})["instance_id"] == "fred"
        send = {"action": "send", "to_id": "fred", "message": {"content": "x" * 8 * MIB}, "session_token": token}
        assert service.ask(send)["status"] == "ok"
    wait_for("memory given back", lambda: memory_bytes(door) - before < ROOM_BYTES)


@pytest.mark.deep
def test_a_connection_that_ends_leaves_nothing_behind(service: Service) -> None:
    service.register("fred")
    door = wait_for("the door", lambda: service.pid("tcp"))
    before = memory_bytes(door)
    for _ in range(5):
        with service.tcp() as s:
            send_half(s, 31)
    wait_for("memory given back", lambda: memory_bytes(door) - before < ROOM_BYTES)


@pytest.mark.deep
def test_who_is_silent_without_a_token_lives_seconds_and_with_one_goes_on(service: Service) -> None:
    token = service.register("fred")
    proven = lasting(service, {"action": "whoami", "session_token": token})
    strangers = [service.tcp(), *(lasting(service, {"action": "list"}) for _ in range(3))]
    wait_for("their end", lambda: all(ended(s) for s in strangers[:1]))
    for s in strangers[1:]:
        s.setblocking(True)
        assert s.recv(65536) == b"", "a line would pass for a reply"
    proven.sendall(json.dumps({"action": "whoami", "session_token": token}).encode() + b"\n")
    assert json.loads(proven.recv(65536))["instance_id"] == "fred"
    for s in (proven, *strangers):
        s.close()


@pytest.mark.deep
def test_who_asks_without_a_token_again_and_again_does_not_stay_either(service: Service) -> None:
    with lasting(service, {"action": "list"}) as s:

        def asked_and_ended() -> bool:
            with contextlib.suppress(OSError):
                s.sendall(b'{"action":"list"}\n')
            return ended(s)

        wait_for("its end", asked_and_ended)


def test_places_are_for_who_has_a_token_and_the_oldest_without_one_gives_way(service: Service) -> None:
    token = service.register("fred")
    proven = [lasting(service, {"action": "whoami", "session_token": token}) for _ in range(15)]
    strangers = [lasting(service, {"action": "list"}) for _ in range(5)]
    more = [lasting(service, {"action": "whoami", "session_token": token}) for _ in range(3)]
    assert [ended(s) for s in strangers] == [True] * 3 + [False] * 2, "the oldest first"
    more += [lasting(service, {"action": "whoami", "session_token": token}) for _ in range(2)]
    with service.tcp() as s:
        assert json.loads(s.recv(65536))["code"] == "too_many_connections", "all have a token"
    assert not any(ended(s) for s in (*proven, *more))
    for s in (*proven, *strangers, *more):
        s.close()


class Taker:
    """What the room has told a connection."""

    def __init__(self, told: list[str], name: str) -> None:
        self.told, self.name = told, name

    def hold_up(self) -> None:
        self.told.append(f"{self.name} waits")

    def let_go_on(self) -> None:
        self.told.append(f"{self.name} goes on")

    def give_room(self) -> None:
        self.told.append(f"{self.name} ends")


def in_a_loop(work: Callable[[Room, list[str], list[Taker]], None]) -> list[str]:
    told: list[str] = []

    async def run() -> None:
        work(Room(asyncio.get_running_loop()), told, [Taker(told, name) for name in "abcd"])
        await asyncio.sleep(0.01)

    asyncio.run(run())
    return told


def test_beyond_the_room_only_the_first_is_read_and_the_others_in_their_order() -> None:
    def work(room: Room, told: list[str], takers: list[Taker]) -> None:
        a, b, c, d = takers
        room.count(a, ROOM_BYTES // 2, half_read=True)
        room.count(b, ROOM_BYTES // 2, half_read=True)
        room.count(c, FREE_BYTES, half_read=True)
        told.append("full")
        room.count(c, MIB, half_read=True)
        room.count(a, ROOM_BYTES, half_read=True)
        room.count(b, ROOM_BYTES // 2 + 1, half_read=True)
        told.append("a is answered")
        room.count(a, 0, half_read=False)
        told.append("c has left")
        room.leave(c)
        room.leave(b)
        room.count(d, ROOM_BYTES + 1, half_read=True)

    assert in_a_loop(work) == ["full", "c waits", "b waits", "a is answered", "b goes on", "c goes on", "c has left"]


def test_who_takes_long_ends_once_another_waits_and_who_had_to_wait_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "HOLD_S", 0.0)

    def work(room: Room, told: list[str], takers: list[Taker]) -> None:
        a, b, c, d = takers
        room.count(a, ROOM_BYTES // 2, half_read=False)
        room.count(b, ROOM_BYTES // 2, half_read=True)
        told.append("full")
        room.count(c, MIB, half_read=True)
        room.count(d, MIB, half_read=True)

    assert in_a_loop(work) == ["full", "c waits", "b ends", "c goes on"]
