"""Frames over the broker's Unix socket: cut right, bounded, and nothing that comes stops the others' mail."""

import contextlib
import itertools
import os
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.client.sync import connect
from broker.home.endpoints import endpoint
from broker.home.paths import wire_socket
from broker.protocol import frames
from broker.protocol.errors import IpcError
from tests.conftest import Service, wait_for
from tests.processes import freeze
from tests.protocol.hostile import HOSTILE

MIB = 1024 * 1024


class Raw:
    """A client that writes bytes."""

    def __init__(self, service: Service) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20.0)
        self.socket.connect(wire_socket(str(service.home)))
        self._cutter = frames.Cutter()
        self._replies: list[dict[str, Any]] = []

    def send(self, *requests: dict[str, Any]) -> None:
        self.socket.sendall(frames.enclose(msgpack.packb(list(requests))))

    def receive(self) -> dict[str, Any]:
        while not self._replies:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            for frame in self._cutter.feed(data):
                self._replies += msgpack.unpackb(frame)
        return self._replies.pop(0)

    def ask(self, action: str, **fields: Any) -> dict[str, Any]:
        self.send({"action": action, "id": 1, **fields})
        return self.receive()


@pytest.fixture
def raw(service: Service) -> Iterator[Raw]:
    client = Raw(service)
    yield client
    client.socket.close()


def memory_mib(pid: int) -> float:
    with open(f"/proc/{pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_a_stream_is_cut_into_the_same_frames_however_it_comes(whole: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frames.enclose, whole))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    cutter = frames.Cutter()
    found = [bytes(f) for a, b in itertools.pairwise([0, *cuts, len(stream)]) for f in cutter.feed(memoryview(stream)[a:b])]
    assert found == whole


def test_the_socket_is_the_users_own(service: Service) -> None:
    path = wire_socket(str(service.home))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_a_request_may_come_byte_by_byte(service: Service, raw: Raw) -> None:
    for byte in frames.enclose(msgpack.packb([{"action": "ping", "id": 7}])):
        raw.socket.sendall(bytes([byte]))
    reply = raw.receive()
    assert reply["id"] == 7
    assert reply["pid"] == service.pid("broker")


def test_a_hostile_frame_gets_an_error_and_the_connection_goes_on(service: Service, raw: Raw) -> None:
    pid = service.pid("broker")
    for frame in HOSTILE:
        raw.socket.sendall(frames.enclose(frame))
        reply = raw.receive()
        assert (reply["id"], reply["code"]) == (None, "bad_request"), frame[:20]
    assert raw.ask("ping")["pid"] == pid


def test_a_length_over_the_limit_gets_an_error_and_the_end(service: Service, raw: Raw) -> None:
    raw.socket.sendall((frames.FRAME_LIMIT_BYTES + 1).to_bytes(4, "big") + b"x")
    assert raw.receive()["code"] == "bad_request"
    with pytest.raises((EOFError, ConnectionResetError)):
        raw.receive()
    assert Raw(service).ask("ping")["status"] == "ok"


def test_who_leaves_in_the_middle_of_a_frame_takes_nothing_along(service: Service, raw: Raw) -> None:
    raw.socket.sendall(frames.enclose(b"x" * 1000)[:500])
    raw.socket.close()
    assert Raw(service).ask("ping")["status"] == "ok"


@pytest.mark.deep
def test_a_client_that_does_not_read_is_read_no_more_and_costs_no_memory(service: Service, raw: Raw) -> None:
    """It sends pings until nothing more goes out, and then gets an answer to each of them, in order."""
    pid = service.pid("broker")
    before_mib = memory_mib(pid)
    raw.socket.setblocking(False)
    others = Raw(service)
    sent, rest = 0, b""
    while rest or select.select([], [raw.socket], [], 1.0)[1]:
        if rest and not select.select([], [raw.socket], [], 1.0)[1]:
            break
        rest = rest or frames.enclose(msgpack.packb([{"action": "ping", "id": sent + n} for n in range(100)]))
        rest = rest[raw.socket.send(rest) :]
        sent += 0 if rest else 100
        assert sent < 2_000_000, "it is read all the same"
    assert others.ask("ping")["status"] == "ok"
    assert memory_mib(pid) < before_mib + 32
    raw.socket.setblocking(True)
    for number in range(sent):
        assert raw.receive()["id"] == number


@pytest.mark.deep
def test_who_takes_none_of_much_mail_is_dropped_and_the_mail_comes_back(make_service: Callable[..., Service]) -> None:
    """All of it is back at once, also what was in the kernel's buffers."""
    service = make_service().start()
    sender, reader = service.connect("sender"), service.connect("reader")
    text = "x" * 9_000
    for _ in range(3):
        sender.send_many([("reader", text)] * 1000)
    deaf = Raw(service)
    deaf.send({"action": "subscribe", "id": 1, "session_token": reader.token, "window": 10_000})
    deaf.send(
        *({"action": "check", "id": n, "session_token": reader.token, "limit": 100, "max_bytes": MIB} for n in range(2, 40))
    )
    pushed: list[str] = []

    def dropped() -> bool:
        pushed.append(sender.send("reader", "one more")["message_id"])
        return any(e["event"] == "reply_undeliverable" for e in service.log("broker"))

    wait_for("the drop", dropped)
    got: dict[str, None] = {}

    def all_here() -> bool:
        got.update(dict.fromkeys(m.id for m in reader.check(limit=1000)))
        return len(got) == 3000 + len(pushed)

    wait_for("all mail", all_here, 60.0)
    deaf.socket.close()


def test_mail_pushed_to_a_connection_that_has_gone_is_there_for_the_next(service: Service) -> None:
    reader, sender = service.connect("reader"), service.connect("sender")
    gone = Raw(service)
    assert gone.ask("subscribe", session_token=reader.token)["status"] == "ok"
    gone.socket.close()
    sender.send("reader", "are you there?")
    assert [m.content for m in reader.check(wait=5.0)] == ["are you there?"]


def test_a_wait_ends_with_its_connection(service: Service) -> None:
    """What comes then is handed out for the first time, not again."""
    reader, sender = service.connect("reader"), service.connect("sender")
    for number in range(3):
        gone = Raw(service)
        gone.send({"action": "check", "id": number, "session_token": reader.token, "wait_s": 600})
        gone.ask("ping")
        gone.socket.close()
    sender.send("reader", "hello")
    assert [m.redelivered for m in reader.check(wait=5.0)] == [False]


def test_mail_of_a_killed_client_is_back_at_once(service: Service) -> None:
    """Its lease would last for half a minute."""
    reader, sender = service.connect("reader"), service.connect("sender")
    sender.send("reader", "hello")
    script = (
        "import sys, time, broker\n"
        "me = broker.connect('reader', token=sys.argv[1])\n"
        "print(len(me.check()), flush=True)\n"
        "time.sleep(600)\n"
    )
    env = {**os.environ, **service.env}
    command = [sys.executable, "-c", script, reader.token]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None and killed.stdout.readline() == "1\n"
        assert reader.check() == []
        killed.kill()
    (back,) = reader.check(wait=10.0)
    assert (back.content, back.redelivered) == ("hello", True)
    assert reader.ack([back]) == 1


@pytest.mark.deep
def test_checks_of_one_connection_wait_for_each_other_to_be_read(make_service: Callable[..., Service]) -> None:
    """Seventy megabytes of mail over one connection that reads, asked for at once."""
    service = make_service(IPC_RATE_LIMIT="0").start()
    sender, reader = service.connect("sender"), service.connect("reader")
    for _ in range(7):
        assert all(r["status"] == "ok" for r in sender.send_many([("reader", "x" * 10_000)] * 1000))
    checks = [{"action": "check", "session_token": reader.token, "limit": 100} for _ in range(70)]
    replies = reader._connection.request_many(checks)
    assert sum(len(reply["messages"]) for reply in replies) == 7000
    assert not [e for e in service.log("broker") if e["event"] == "reply_undeliverable"]


@pytest.mark.deep
def test_many_megabytes_go_out_in_frames_that_fit(service: Service) -> None:
    with service.connect("fred") as fred:
        replies = fred.send_many([("fred", "x" * MIB)] * 70)
    assert {reply["status"] for reply in replies} == {"ok"}


@pytest.mark.deep
def test_a_broker_that_hangs_ends_a_send_by_its_deadline(service: Service) -> None:
    fred = service.connect("fred")
    pid = service.pid("broker")
    freeze(pid)
    try:
        began_s = time.monotonic()
        with pytest.raises(IpcError, match=r"timeout|answer"):
            fred.send("fred", "x" * 4 * MIB, timeout_s=1.0)
        assert time.monotonic() - began_s < 15.0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_who_listens_for_pushes_is_told_that_the_broker_went_away(service: Service) -> None:
    fred = service.connect("fred")
    assert fred.request("subscribe")["status"] == "ok"
    service.kill("broker")
    with pytest.raises(IpcError, match="subscribe again"):
        fred._connection.poll_pushes(20.0)


def test_the_python_client_needs_no_zeromq_and_falls_back_to_it(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_HEARTBEAT="3600").start()  # at a beat the socket that is removed below would be made again
    script = (
        "import sys, broker\n"
        "with broker.connect('fred') as me:\n"
        "    me.send('fred', 'hello')\n"
        "    assert [m.content for m in me.check()] == ['hello']\n"
        "print('zmq' in sys.modules)\n"
    )

    def run() -> str:
        env = {**os.environ, **service.env}
        done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert run() == "False"
    os.unlink(wire_socket(str(service.home)))  # as with a broker of an earlier version
    assert run() == "True"


def test_both_doors_reach_the_same_mail(service: Service) -> None:
    over_zeromq = service.settings.but(endpoint=endpoint(service.settings))
    with connect("one", settings=over_zeromq) as one, connect("two", settings=service.settings) as two:
        one.send("two", "by ZeroMQ")
        two.send("one", "by the Unix socket")
        assert [m.content for m in two.check(wait=5.0)] == ["by ZeroMQ"]
        assert [m.content for m in one.check(wait=5.0)] == ["by the Unix socket"]
