"""The broker's Unix socket takes frames and JSON lines, and every rule of a connection holds for both."""

import itertools
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.batch import Frame
from broker.home.paths import wire_socket
from broker.protocol import frames
from broker.protocol.errors import IpcError
from broker.protocol.json_text import LineSplitter, parse
from broker.server.unix_socket import LineCodec
from tests.conftest import Service, wait_for

Body = dict[str, Any]


class Talker:
    """A client of one form."""

    form = ""

    def __init__(self, service: Service) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20.0)
        self.socket.connect(wire_socket(str(service.home)))
        self._came: list[Body] = []

    def send(self, *requests: Body) -> None:
        self.socket.sendall(self.written(list(requests)))

    def receive(self) -> Body:
        """The next reply or push. Raises EOFError at the connection's end."""
        while not self._came:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError
            self._came += self.read(data)
        return self._came.pop(0)

    def ask(self, action: str, **fields: Any) -> Body:
        self.send({"action": action, "id": 1, **fields})
        return self.receive()

    def written(self, requests: list[Body]) -> bytes:
        raise NotImplementedError

    def read(self, data: bytes) -> list[Body]:
        raise NotImplementedError

    def has_ended(self) -> bool:
        """All that is left to be read is the end."""
        try:
            self.receive()
        except (EOFError, ConnectionResetError):
            return True
        return False


class InFrames(Talker):
    form = "frames"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._cutter = frames.Cutter()

    def written(self, requests: list[Body]) -> bytes:
        return frames.enclose(msgpack.packb(requests))

    def read(self, data: bytes) -> list[Body]:
        return [body for frame in self._cutter.feed(data) for body in msgpack.unpackb(frame)]


class InLines(Talker):
    form = "lines"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._lines = LineSplitter(frames.FRAME_LIMIT_BYTES)

    def written(self, requests: list[Body]) -> bytes:
        return b"".join(json.dumps(body).encode() + b"\n" for body in requests)

    def read(self, data: bytes) -> list[Body]:
        return [json.loads(line) for line in self._lines.feed(data)]


Open = Callable[[], Talker]


@pytest.fixture
def service(shared: Service) -> Iterator[Service]:
    """The worker's service; a test leaves no mail to the next one."""
    yield shared
    for name in ("me", "one", "two", "reader", "sender"):
        client = shared.connect(name)
        while client.check(limit=1000):
            pass


@pytest.fixture(params=[InFrames, InLines], ids=["frames", "lines"])
def talk(request: pytest.FixtureRequest, service: Service) -> Iterator[Open]:
    """Opens connections of one form to a service."""
    opened: list[Talker] = []

    def connect() -> Talker:
        opened.append(request.param(service))
        return opened[-1]

    yield connect
    for one in opened:
        one.socket.close()


@pytest.fixture
def raw(service: Service) -> Iterator[InLines]:
    client = InLines(service)
    yield client
    client.socket.close()


def test_pipelined_requests_are_answered_in_their_order(talk: Open) -> None:
    client = talk()
    client.send(*({"action": "ping", "id": n} for n in range(500)))
    assert [client.receive()["id"] for _ in range(500)] == list(range(500))


def test_mail_and_errors_look_the_same_in_both_forms(service: Service, talk: Open) -> None:
    reader, sender = service.connect("reader"), service.connect("sender")
    client = talk()
    sent = {"message": {"content": "ü\u2028\0", "data": {"n": [1, 2.5, None, 2**62]}}, "to_id": "reader"}
    assert client.ask("send", session_token=sender.token, **sent)["status"] == "ok"
    reply = client.ask("check", session_token=reader.token)
    assert (reply["id"], reply["status"], reply["more"]) == (1, "ok", 0)
    assert reply["messages"][0]["message"] == sent["message"]
    refused = client.ask("whoami", session_token=sender.token[:-1])
    assert (refused["status"], refused["code"], set(refused)) == (
        "error",
        "unauthorized",
        {"id", "status", "code", "message", "hint"},
    )


def test_two_subscriptions_of_one_connection_are_told_apart_and_end_apart(service: Service, talk: Open) -> None:
    one, two = service.connect("one"), service.connect("two")
    client = talk()
    for name, token in (("a", one.token), ("b", two.token)):
        client.send({"action": "subscribe", "id": name, "session_token": token})
        assert client.receive()["id"] == name
    one.send("two", "hello")
    push = client.receive()
    assert (push["push"], push["id"], push["messages"][0]["message"]["content"]) == ("mail", "b", "hello")
    assert client.ask("unsubscribe", session_token=two.token)["status"] == "ok"
    one.send("two", "unheard")
    two.send("one", "heard")
    assert client.receive()["id"] == "a"


def test_a_wrong_type_in_one_field_refuses_one_request_and_runs_the_others(service: Service, talk: Open) -> None:
    me = service.connect("me")
    client = talk()
    wrong = {"to_id": 5, "message": {"content": "x"}}
    right = {"to_id": "me", "message": {"content": "x"}}
    bodies = [{"action": "send", "session_token": me.token, "id": n, **(wrong if n == 1 else right)} for n in range(3)]
    client.send(*bodies)
    assert [client.receive().get("code") for _ in range(3)] == [None, "bad_request", None]


def test_who_ends_its_sending_side_gets_the_answers_and_then_the_end(service: Service, talk: Open) -> None:
    """Also to more requests than one transaction takes, and to one that waits behind them in the slow lane."""
    me = service.connect("me")
    client = talk()
    requests: list[Body] = [{"action": "ping", "id": n} for n in range(3000)]
    requests.append({"action": "history", "id": "slow", "session_token": me.token})
    for some in (requests[:1000], requests[1000:2000], requests[2000:3000], requests[3000:]):
        client.send(*some)
    client.socket.shutdown(socket.SHUT_WR)
    assert [client.receive()["id"] for _ in requests] == [body["id"] for body in requests]
    assert client.has_ended()


def test_a_wait_ends_with_the_sending_side_and_takes_no_mail_along(service: Service, talk: Open) -> None:
    me = service.connect("me")
    client = talk()
    client.send({"action": "check", "id": 1, "session_token": me.token, "wait_s": 600})
    client.socket.shutdown(socket.SHUT_WR)
    assert client.has_ended()
    me.send("me", "hello")
    assert [m.redelivered for m in me.check(wait=5.0)] == [False]


def test_mail_of_a_connection_that_ends_is_back_at_once(service: Service, talk: Open) -> None:
    me = service.connect("me")
    me.send("me", "hello")
    client = talk()
    assert len(client.ask("check", session_token=me.token)["messages"]) == 1
    client.socket.close()
    assert [m.redelivered for m in me.check(wait=10.0)] == [True]


@pytest.mark.deep
def test_a_client_that_does_not_read_is_read_no_more_and_then_gets_every_answer(talk: Open) -> None:
    client, other = talk(), talk()
    client.socket.setblocking(False)
    sent, rest = 0, b""
    while select.select([], [client.socket], [], 1.0)[1]:
        rest = rest or client.written([{"action": "ping", "id": sent + n} for n in range(100)])
        rest = rest[client.socket.send(rest) :]
        sent += 0 if rest else 100
        assert sent < 2_000_000, "it is read all the same"
    assert other.ask("ping")["status"] == "ok"
    client.socket.settimeout(20.0)
    assert [client.receive()["id"] for _ in range(sent)] == list(range(sent))


@pytest.mark.deep
def test_many_idle_connections_cost_the_others_nothing_they_notice(talk: Open) -> None:
    idle = [talk() for _ in range(400)]
    assert talk().ask("ping")["status"] == "ok"
    assert {one.ask("ping")["status"] for one in idle[::40]} == {"ok"}


@pytest.mark.parametrize("first", [b"GET / HTTP/1.1\r\n\r\n", b"[]\n", b'"x"\n', b"hello\n", b"~"])
def test_text_that_is_no_object_gets_one_line_and_the_end(raw: InLines, first: bytes) -> None:
    raw.socket.sendall(first)
    reply = raw.receive()
    assert (reply["id"], reply["code"]) == (None, "bad_request")
    assert "begins with {" in reply["message"]
    assert raw.has_ended()


@pytest.mark.parametrize("first", [b"\xff\xff\xff\xff", b"\x7f\0\0\0", b"\x05\0\0\0"])
def test_a_first_byte_of_no_text_is_taken_for_a_frame_that_is_too_long(service: Service, first: bytes) -> None:
    client = InFrames(service)
    client.socket.sendall(first)
    assert client.receive()["code"] == "bad_request"
    assert client.has_ended()
    client.socket.close()


NO_REQUESTS = {
    b"{": "JSON",
    b"[1]": "begins with {",
    b"5": "begins with {",
    b"null": "begins with {",
    b'{"action":"ping"} {}': "JSON",
    b'{"action":"ping","id":1.5}': "id",
    b'{"action":"ping","id":{}}': "id",
    b'{"action":"ping","n":NaN}': "NaN",
    b'{"action":"ping","n":1e999}': "finite",
    b'{"action":"ping","n":36893488147419103232}': "64 bits",
    b'{"action":"ping","t":"\xff"}': "UTF-8",
    b'{"action":"ping","t":"\\ud800"}': "UTF-8",
    b'{"a":' + b"[" * 64 + b"]" * 64 + b"}": "64 deep",
    b'{"a":' * 60_000: "64 deep",
}


def test_a_line_that_is_no_request_gets_one_refusal_and_the_connection_goes_on(raw: InLines) -> None:
    for line, why in NO_REQUESTS.items():
        raw.socket.sendall(b"  \n" + line + b"\n")
        reply = raw.receive()
        assert (reply["id"], reply["code"]) == (None, "bad_request"), line[:40]
        assert why in reply["message"], line[:40]
    assert raw.ask("ping")["status"] == "ok"


def test_a_line_may_be_as_long_as_a_frame_and_a_longer_one_gets_one_refusal_and_the_end(raw: InLines) -> None:
    fill = frames.FRAME_LIMIT_BYTES - len(b'{"action":"ping","fill":""}')
    raw.socket.sendall(b'{"action":"ping","fill":"' + b"x" * fill + b'"}\n')
    assert raw.receive()["status"] == "ok"
    raw.socket.sendall(b'{"action":"ping","id":7}\n{"fill":"')
    chunk = b"x" * 1024 * 1024
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for _ in range(66):
            raw.socket.sendall(chunk)
    assert raw.receive()["id"] == 7
    assert raw.receive()["code"] == "too_large"
    assert raw.has_ended()


def test_a_request_names_its_door_for_the_log(service: Service, raw: InLines) -> None:
    me = service.connect("me")
    raw.ask("send", session_token=me.token, from_id="other", to_id="me", message={"content": "x"}, door="hook")
    wait_for("the log", lambda: "hook" in [e["door"] for e in service.log("broker") if e["event"] == "spoof_refused"])


def test_what_one_line_names_does_not_hold_for_the_next(service: Service, raw: InLines) -> None:
    """A frame's token holds for all of its requests; lines stand alone."""
    me = service.connect("me")
    raw.send({"action": "whoami", "session_token": me.token}, {"action": "whoami"})
    assert [raw.receive().get("code") for _ in range(2)] == [None, "unauthorized"]


@pytest.mark.skipif(not os.path.exists("/bin/nc"), reason="there is no nc")
def test_a_shell_can_ask_with_nc(service: Service) -> None:
    done = subprocess.run(
        ["/bin/nc", "-NU", wire_socket(str(service.home))], input=b'{"action":"ping"}\n', capture_output=True, timeout=20
    )
    assert json.loads(done.stdout)["pid"] == service.pid("broker")


@pytest.mark.parametrize("form", ["frames", "lines"])
def test_a_killed_process_gives_back_the_mail_it_held(service: Service, form: str) -> None:
    me = service.connect("me")
    me.send("me", "hello")
    body = {"action": "check", "session_token": me.token}
    raw = frames.enclose(msgpack.packb([body])) if form == "frames" else json.dumps(body).encode() + b"\n"
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(bytes.fromhex(sys.argv[2]))\n"
        "s.recv(65536); print('got', flush=True); s.recv(1)\n"
    )
    command = [sys.executable, "-c", script, wire_socket(str(service.home)), raw.hex()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None and killed.stdout.readline() == "got\n"
        killed.kill()
    assert [m.redelivered for m in me.check(wait=10.0)] == [True]


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=20)), max_size=6
    ),
    st.data(),
)
def test_a_stream_of_lines_gives_the_same_requests_however_it_is_cut(bodies: list[Body], data: st.DataObject) -> None:
    blank = st.sampled_from([b"", b" ", b"\r", b"\t\n\n"])
    stream = b"".join(
        data.draw(blank)
        + json.dumps(body, ensure_ascii=data.draw(st.booleans())).encode("utf-8", "replace")
        + data.draw(blank)
        + b"\n"
        for body in bodies
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    splitter = LineSplitter(len(stream))
    found = [parse(line) for a, b in itertools.pairwise([0, *cuts, len(stream)]) for line in splitter.feed(stream[a:b])]
    assert found == bodies
    assert splitter.held_bytes == 0


LINES = st.sampled_from(
    [b'{"session_token":"a"}', b'{"session_token":"b"}', b'{"session_token":"a","door":"tcp"}', b"{}", b'{"door":"cli"}', b"{"]
)


@given(st.lists(LINES, max_size=600), st.data())
def test_lines_that_came_together_ask_what_each_asks_alone(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    codec, found = LineCodec(), []
    for start, end in itertools.pairwise([0, *cuts, len(stream)]):
        for group in codec.feed(memoryview(stream)[start:end]):
            try:
                found += [(r.token, r.door) for r in Frame(b"route", codec.decode(group)).requests()]
            except IpcError:
                found.append(("wrong", ""))
    alone = [(body.get("session_token"), body.get("door", "zmq")) for body in map(json.loads, filter(b"{".__ne__, lines))]
    assert [one for one in found if one[0] != "wrong"] == alone
    assert [one[0] == "wrong" for one in found] == [line == b"{" for line in lines]
