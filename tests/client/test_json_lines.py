"""The quick client: one request over the broker's Unix socket, whatever dies in between."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.client import json_lines
from broker.client.json_lines import QuickConnection, request
from broker.home.paths import Place, wire_socket
from broker.protocol.errors import CATALOGUE, IpcError, RemoteError
from tests.conftest import Service, wait_for
from tests.processes import freeze

HEAVY = {"zmq", "msgpack", "asyncio", "argparse", "dataclasses", "typing", "pathlib", "subprocess", "hashlib", "peewee"}


def ask(place: Place, action: str, token: str | None = None, **fields: Any) -> dict[str, Any]:
    return request(place, {"action": action, "session_token": token, **fields})


def test_a_request_is_answered_and_an_error_is_raised(service: Service) -> None:
    place = Place(str(service.home))
    token = ask(place, "register", instance_id="fred")["session_token"]
    assert ask(place, "whoami", token)["instance_id"] == "fred"
    with pytest.raises(RemoteError) as refused:
        ask(place, "whoami", "wrong")
    assert refused.value.code == "unauthorized"


def test_it_imports_nothing_but_a_little_of_the_standard_library(service: Service) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "from broker.client import json_lines; from broker.home.paths import Place\n"
        "assert json_lines.request(Place.here(), {'action': 'ping'}, autostart=False)['pid']\n"
        "print(*(set(sys.modules) - before))"
    )
    env = {**os.environ, **service.env}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"sys_path={sys.path!r}\nimport sys\nsys.path=sys_path\n{code}"],
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


def test_the_first_request_starts_the_service(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service()
    with service.environment():
        assert ask(Place(str(home)), "ping")["pid"] == service.pid("broker")


def test_without_autostart_a_missing_service_is_told_at_once_and_nothing_is_started(home: Path) -> None:
    with pytest.raises(IpcError) as told:
        request(Place(str(home)), {"action": "ping"}, autostart=False)
    assert told.value.code == "unavailable"
    assert list(home.iterdir()) == []


def test_a_broker_that_does_not_answer_is_a_timeout(service: Service) -> None:
    place = Place(str(service.home))
    pid = ask(place, "ping")["pid"]
    freeze(pid)
    try:
        with pytest.raises(IpcError) as told:
            request(place, {"action": "ping"}, autostart=False, timeout_s=0.2)
        assert told.value.code == "timeout"
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("victim", ["broker", "supervisor"])
@pytest.mark.deep
def test_what_dies_in_between_costs_a_delay_and_stores_nothing_twice(service: Service, victim: str) -> None:
    place = Place(str(service.home))
    token = ask(place, "register", instance_id="fred")["session_token"]
    with service.environment(), QuickConnection(place) as door:
        for number in range(60):
            if number % 20 == 10:
                os.kill(wait_for("the victim", lambda: service.pid(victim)), signal.SIGKILL)
            body = {"action": "send", "session_token": token, "to_id": "claude", "message": {"content": str(number)}}
            assert door.request(body)["status"] == "ok"
        with service.connect("claude") as claude:
            assert [m.content for m in claude.check()] == [str(n) for n in range(60)]


def test_mail_that_was_not_acknowledged_goes_back_with_the_connection(service: Service) -> None:
    place = Place(str(service.home))
    token = ask(place, "register", instance_id="fred")["session_token"]
    ask(place, "send", token, to_id="fred", message={"content": "one"})
    with QuickConnection(place) as door:
        first = door.request({"action": "check", "session_token": token})["messages"]
    assert [m["message"]["content"] for m in first] == ["one"]
    with QuickConnection(place) as door:
        again = wait_for("the mail", lambda: door.request({"action": "check", "session_token": token})["messages"])
        assert again[0]["redelivered"] is True
        assert door.request({"action": "ack", "session_token": token, "ids": [again[0]["id"]]})["acked"] == 1
    with QuickConnection(place) as door:
        assert door.request({"action": "check", "session_token": token})["messages"] == []


def test_large_mail_comes_in_the_brokers_own_form(service: Service) -> None:
    place = Place(str(service.home))
    token = ask(place, "register", instance_id="fred")["session_token"]
    for size in (20_000, 3_000_000):
        ask(place, "send", token, to_id="fred", message={"content": "x" * size})
    with QuickConnection(place) as door:
        mail = door.request({"action": "check", "session_token": token})["messages"]
        assert [(m["file"]["size_bytes"], "data" in m["message"]) for m in mail] == [(20_000, False), (3_000_000, False)]


def test_a_broker_without_supervisor_and_doors_is_asked_all_the_same(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service()
    broker = subprocess.Popen([sys.executable, "-m", "broker"], env={**os.environ, **service.env})
    try:
        wait_for("the broker", lambda: (home / "run" / "broker.sock").exists())
        with service.environment():
            assert ask(Place(str(home)), "ping")["pid"] == broker.pid
    finally:
        broker.terminate()
        broker.wait(20)


def test_half_a_line_of_a_lost_broker_is_not_taken_for_an_answer(home: Path) -> None:
    """It dies in the middle of its reply: the request is made again on the next connection."""
    import socket
    import threading

    (home / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(wire_socket(str(home)))
        listening.listen()
        seen: list[dict[str, Any]] = []

        def serve() -> None:
            for answer in (b'{"status": "ok", "mess', b'{"status": "ok"}\n'):
                connection, _ = listening.accept()
                with connection, connection.makefile("rb") as lines:
                    seen.append(json.loads(lines.readline()))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        body = {"action": "send", "to_id": "claude", "message": {"content": "x"}}
        assert request(Place(str(home)), body, autostart=False) == {"status": "ok"}
        thread.join(10)
    assert seen[0] == seen[1] and seen[0]["message_id"]


@pytest.mark.parametrize("line", [b"[]", b'"x"', b"5", b"{", b"[" * 60_000, b"\xff", b'{"id":1}'])
def test_a_broker_that_answers_no_object_is_an_error_of_the_catalogue(home: Path, line: bytes) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(line + b"\n")
    with theirs, QuickConnection(Place(str(home)), autostart=False) as door:
        door._socket = ours
        with pytest.raises(IpcError) as refused:
            door.request({"action": "ping"}, timeout_s=1)
        assert refused.value.code in CATALOGUE


@pytest.mark.parametrize("value", ["soon", [], float("inf"), 10**400])
def test_a_time_to_wait_that_is_none_is_left_out(value: object) -> None:
    assert "retry_after_s" not in RemoteError({"code": "timeout", "message": "", "retry_after_s": value}).to_wire()


def test_an_answer_without_end_is_not_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "_REPLY_BYTES", 100_000)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            theirs.send(b"x" * 10_000)
    with theirs, QuickConnection(Place(str(home)), autostart=False) as door:
        door._socket = ours
        with pytest.raises(IpcError) as refused:
            door.request({"action": "ping"}, timeout_s=5)
        assert (refused.value.code, len(door._received)) == ("too_large", 0)


@pytest.mark.deep
def test_a_question_whose_broker_dies_late_is_waited_for_no_longer_than_was_asked(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    token = service.register("fred")
    killing = threading.Timer(5.0, service.kill, ("broker",))
    killing.start()
    message = {"content": "which branch?"}
    # 6 s of wait, 9 s of patience: a wait that began anew after 5 s would outlast it
    fields = {"session_token": token, "to_id": "claude", "message": message, "wait_s": 6}
    reply = request(Place(str(service.home)), {"action": "ask", **fields}, timeout_s=9.0)
    killing.join()
    assert (reply["state"], reply["duplicate"]) == ("open", True)
