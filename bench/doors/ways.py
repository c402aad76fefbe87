"""Every way into the broker, and the prototype with its one way."""

import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench import prototype
from bench.doors.lines import one_shot
from bench.doors.pipes import stream_address
from bench.doors.zeromq import BOX
from bench.service import TEMPORARY, Service, has_module
from bench.systems import Address, Skip, System, Way
from broker.client.sync import connect
from broker.home.endpoints import endpoint
from broker.home.paths import wire_socket

_START_S = 10.0


class Door(Way):
    """A way into the service; each client has a name and a session of its own."""

    system: Service

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._tokens: dict[int, str] = {}

    def token(self, number: int) -> str:
        """The session of client ``number``; the first call also registers the recipient, as is the usual case."""
        if not self._tokens:
            connect(BOX, settings=self.system.settings).close()
        if number not in self._tokens:
            with connect(self.name(number), settings=self.system.settings) as client:
                self._tokens[number] = client.token
        return self._tokens[number]

    def name(self, number: int) -> str:
        return f"bench-{self.key}-{number}"


class Zeromq(Door):
    key = "zeromq"
    title = "**ZeroMQ door**"

    def address(self, number: int) -> Address:
        return Address("bench.doors.zeromq:WireSender", (endpoint(self.system.settings), self.token(number)))


class Stream(Door):
    key = "stream"
    title = "**Unix socket of the broker**"

    def address(self, number: int) -> Address:
        return Address("bench.doors.zeromq:WireSender", (stream_address(self.system.settings), self.token(number)))


class Library(Door):
    key = "library"
    title = "**Python client** (`send`, `send_many`)"

    def address(self, number: int) -> Address:
        return Address("bench.doors.zeromq:LibrarySender", (self.system.settings, self.token(number)))


class LastingTcp(Door):
    key = "tcp"
    title = "**TCP door**, lasting connection"

    def address(self, number: int) -> Address:
        wait_for_tcp(self.system)
        place = ("127.0.0.1", self.system.port)
        return Address("bench.doors.lines:LastingSender", (place, self.name(number), self.token(number)))


class TcpByUnixSocket(Door):
    key = "tcp-unix"
    title = "the same door, if it took the Unix socket of the broker"

    def address(self, number: int) -> Address:
        if not has_module("bridges.tcp"):
            raise Skip("the TCP door is not installed")
        place = ("127.0.0.1", self.system.door_by_unix_socket())
        return Address("bench.doors.lines:LastingSender", (place, self.name(number), self.token(number)))


class UnixSocket(Door):
    key = "unix"
    title = "**JSON on a Unix socket**, lasting connection"

    def address(self, number: int) -> Address:
        path = wire_socket(str(self.system.home))
        return Address("bench.doors.lines:LastingSender", (path, self.name(number), self.token(number)))


class OneShotTcp(Door):
    key = "oneshot"
    title = "**TCP door**, a connection a request"
    pipelines = False

    def address(self, number: int) -> Address:
        wait_for_tcp(self.system)
        place = ("127.0.0.1", self.system.port)
        return Address("bench.doors.lines:OneShotSender", (place, self.name(number), self.token(number)))


def wait_for_tcp(service: Service) -> None:
    if not has_module("bridges.tcp"):
        raise Skip("the TCP door is not installed")
    service.wait_for_door()
    one_shot(("127.0.0.1", service.port), {"action": "ping"})


DOORS: tuple[type[Door], ...] = (Zeromq, Stream, Library, UnixSocket, LastingTcp, TcpByUnixSocket, OneShotTcp)


class Ipc(Service):
    """The service with the doors that are compared. With durability ``normal`` a power cut may lose what was acknowledged."""

    def __init__(self, durability: str = "full", doors: Sequence[type[Door]] = DOORS) -> None:
        super().__init__(durability)
        self._doors = doors
        self._normal = durability != "full"
        self.key = f"ipc-{durability}" if self._normal else "ipc"

    def ways(self) -> list[Way]:
        ways = [door(self) for door in self._doors]
        for way in ways if self._normal else ():
            way.key += "-normal"
            way.title += ", durability normal (a power cut may lose the last moment)"
        return list(ways)


class Prototype(System):
    """bench.prototype in a process of its own."""

    key = "prototype"

    def __init__(self, durability: str = "full") -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="proto-", dir=TEMPORARY))
        self._durability = durability
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        root = Path(__file__).resolve().parents[2]
        command = [sys.executable, "-m", "bench.prototype", str(self.folder), self._durability]
        self._process = subprocess.Popen(command, cwd=root)
        wait_for_socket(self.folder / "prototype.sock", self._process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stored(self) -> int:
        with closing(sqlite3.connect(self.folder / "prototype.db")) as db:
            return int(db.execute("SELECT count(*) FROM message").fetchone()[0])

    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ways(self) -> list[Way]:
        return [PrototypeWay(self)]


class PrototypeWay(Way):
    key = "prototype"
    title = "prototype: the least a durable send can cost with these parts"

    system: Prototype

    def address(self, number: int) -> Address:
        return Address("bench.doors.zeromq:WireSender", (prototype.address(self.system.folder), None))


def wait_for_socket(path: Path, process: "subprocess.Popen[bytes]") -> None:
    """Return once the process listens there. Raises RuntimeError if it ended, TimeoutError."""
    end_s = time.monotonic() + _START_S
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        if time.monotonic() > end_s:
            raise TimeoutError(f"nothing listens at {path}")
        time.sleep(0.02)
