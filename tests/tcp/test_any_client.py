"""A client that says its bytes in any pieces, half-closes, resets and waits, against the door's own code over a real socket.

Whatever it does: replies come in order, mail is acknowledged only if the client has it, the rest comes back, nothing is lost.
"""

import asyncio
import json
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from hypothesis.strategies import booleans, integers, lists, sampled_from

from bridges.tcp.connection import TcpConnection
from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.stream import Stream
from broker.home.logs import Log
from tests.deep.fuzz.direct import Direct, DirectBroker, Found

MAIL = 3
_TURNS = 300
"""Turns of the loop after which a connection whose client is gone has ended."""


class JumpLoop(asyncio.SelectorEventLoop):
    """An event loop whose time can be put forward."""

    ahead_s = 0.0

    def time(self) -> float:
        return super().time() + self.ahead_s


class FaultLog(Log):
    """A log in which an exception is a finding."""

    def exception(self, error: BaseException, event: str = "internal_error", **fields: Any) -> str:
        raise Found(f"{error!r} was logged as {event} {fields}") from error


class WatchedConnection(TcpConnection):
    ended = False

    def connection_lost(self, error: OSError | None) -> None:
        super().connection_lost(error)
        self.ended = True


class DoorInside:
    """The door over the real engine and store, in this process; one for all examples."""

    def __init__(self, home: Path) -> None:
        self.direct = Direct(home)
        self.loop = JumpLoop()
        self.faults: list[Any] = []
        self.loop.set_exception_handler(lambda _loop, context: self.faults.append(context.get("exception") or context))
        self.upstream = self.loop.run_until_complete(self._upstream())
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.readers = 0

    async def _upstream(self) -> JsonUpstream:
        return JsonUpstream(self.direct.settings, (broker := DirectBroker(self.direct)), broker, FaultLog("any client"))  # type: ignore[arg-type]

    def turn(self, count: int = 20, jump_s: float = 0.0) -> None:
        async def turns() -> None:
            for _ in range(count):
                self.loop.ahead_s += jump_s
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())
        assert not self.faults, self.faults

    def connect(self) -> tuple[socket.socket, WatchedConnection]:
        client = socket.create_connection(self.listening.getsockname())
        client.setblocking(False)
        accepted, _address = self.listening.accept()
        accepted.setblocking(False)
        connection = WatchedConnection(self.upstream)

        async def start() -> None:
            Stream(self.loop, accepted, connection).start()

        self.loop.run_until_complete(start())
        return client, connection

    def reader(self) -> str:
        """The token of a new name with mail."""
        self.readers += 1
        name = f"reader{self.readers}"
        token: str = self.direct.ask({"action": "register", "instance_id": name, "id": 1})[0]["session_token"]
        for n in range(MAIL):
            body = {"action": "send", "to_id": name, "message": {"content": str(n)}, "session_token": token, "id": 1}
            assert self.direct.ask(body)[0]["status"] == "ok"
        return token

    def left(self, token: str) -> list[str]:
        """The mail that a reader still gets."""
        (reply,) = self.direct.ask({"action": "check", "session_token": token, "limit": 100, "id": 1})
        return [m["message"]["content"] for m in reply["messages"]]

    def close(self) -> None:
        self.listening.close()
        self.loop.close()
        self.direct.close()


@pytest.fixture(scope="module", autouse=True)
def door() -> Iterator[None]:
    home = Path(tempfile.mkdtemp(prefix="ipc-", dir="/tmp"))
    AnyClient.door = DoorInside(home)
    yield
    AnyClient.door.close()
    shutil.rmtree(home, ignore_errors=True)


class AnyClient(RuleBasedStateMachine):
    """One client from its first byte to its end."""

    door: DoorInside

    @initialize(actions=lists(sampled_from(["check", "check", "whoami", "zap"]), min_size=1, max_size=6), newlines=booleans())
    def connects(self, actions: list[str], newlines: bool) -> None:
        self.token = self.door.reader()
        self.lasting = newlines or len(actions) > 1
        lines = [
            json.dumps({"action": action, "session_token": self.token, "limit": 1, "id": n}).encode()
            for n, action in enumerate(actions)
        ]
        self.count = len(lines)
        self.unsaid = b"\n".join(lines) + b"\n" * newlines
        self.got = bytearray()
        self.ended = self.half_closed = self.slow = False
        self.client, self.connection = self.door.connect()

    @precondition(lambda self: self.unsaid and not self.ended and not self.half_closed)
    @rule(size=integers(1, 200), turns=integers(0, 10))
    def says_some(self, size: int, turns: int) -> None:
        self._read()
        try:
            self.client.send(self.unsaid[:size])
        except (BrokenPipeError, ConnectionResetError):
            self.ended = True
        self.unsaid = self.unsaid[size:]
        self.door.turn(turns)

    @rule(seconds=sampled_from([0.01, 0.3, 31.0, 4000.0]))
    def waits(self, seconds: float) -> None:
        self.slow |= seconds > 0.1
        self.door.loop.ahead_s += seconds
        self.door.turn()

    @precondition(lambda self: not self.ended)
    @rule()
    def reads(self) -> None:
        self.door.turn()
        self._read()

    @precondition(lambda self: not self.ended and not self.half_closed)
    @rule()
    def half_closes(self) -> None:
        self.half_closed = True
        try:
            self.client.shutdown(socket.SHUT_WR)
        except OSError:
            self.ended = True

    @precondition(lambda self: not self.ended)
    @rule()
    def resets(self) -> None:
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.client.close()
        self.ended = True

    def _read(self) -> None:
        try:
            while data := self.client.recv(65536):
                self.got += data
        except (BlockingIOError, ConnectionResetError):
            pass

    def teardown(self) -> None:
        whole = not self.ended and self.half_closed and not self.unsaid and not self.slow
        if not self.ended:
            self.door.turn(40, jump_s=0.001)
            self._read()
        self.client.close()
        for _ in range(_TURNS):
            if self.connection.ended:
                break
            self.door.turn(1, jump_s=0.01)
        assert self.connection.ended, "the connection of a client that is gone ends"
        self.door.turn()
        replies = objects(self.got.decode())
        numbers = [reply["id"] for reply in replies if "id" in reply]
        assert numbers == list(range(len(numbers))), "replies come in the order of requests"
        if whole:
            assert len(numbers) == self.count, "what was sent before the end of the client's side is answered"
        shown = [m["message"]["content"] for reply in replies for m in reply.get("messages", ())]
        left = self.door.left(self.token)
        acknowledged = [mail for mail in map(str, range(MAIL)) if mail not in left]
        assert left == sorted(left), "what comes back keeps its order"
        if not (self.half_closed and not self.lasting):  # its kernel has the reply, whether it reads or not
            assert set(acknowledged) <= set(shown), "nothing is acknowledged that the client does not have"


def objects(text: str) -> list[dict[str, Any]]:
    """Replies, with or without newlines between them."""
    found, decoder = [], json.JSONDecoder()
    text = text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


AnyClient.TestCase.settings = settings(max_examples=80, stateful_step_count=12, deadline=None)
TestAnyClient = AnyClient.TestCase
