"""The door's Unix socket: what the port speaks, for this OS user alone."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridges.tcp.peer import unix_peer
from broker.home.paths import door_socket
from tests.conftest import Service, wait_for


def connected(service: Service) -> socket.socket:
    path = door_socket(str(service.home))

    def attempt() -> socket.socket | None:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        try:
            s.connect(path)
        except OSError:
            s.close()
            return None
        return s

    found: socket.socket = wait_for("the socket", attempt)
    return found


def legacy(service: Service, body: dict[str, Any], half_close: bool = False) -> dict[str, Any]:
    with connected(service) as s:
        s.sendall(json.dumps(body).encode())
        if half_close:
            s.shutdown(socket.SHUT_WR)
        reply: dict[str, Any] = json.loads(s.recv(65536))
        return reply


def test_both_forms_are_spoken(shared: Service, tag: str) -> None:
    token = legacy(shared, {"action": "register", "instance_id": f"fred{tag}"})["session_token"]
    with connected(shared) as s, s.makefile("rwb") as f:
        for number in range(3):
            f.write(json.dumps({"action": "whoami", "session_token": token, "id": number}).encode() + b"\n")
        f.flush()
        assert [json.loads(f.readline())["id"] for _ in range(3)] == [0, 1, 2]


def test_status_and_ping_are_answered_here_and_owners_actions_are_not(service: Service) -> None:
    assert legacy(service, {"action": "ping"})["pid"] == service.pid("broker")
    assert legacy(service, {"action": "status"})["queued"] == 0
    assert legacy(service, {"action": "import"})["code"] == "unknown_action"
    assert service.ask({"action": "ping"})["code"] == "unknown_action"


def test_a_request_names_its_door_for_the_log_here_and_not_at_the_port(shared: Service, tag: str) -> None:
    token = shared.register(f"fred{tag}")
    body = {"action": "send", "from_id": f"claude{tag}", "to_id": "x", "message": {"content": "x"}, "session_token": token}
    assert legacy(shared, {**body, "door": "hook"})["code"] == "spoofed_sender"
    assert shared.ask({**body, "door": "hook"})["code"] == "spoofed_sender"
    entries = wait_for("the log", lambda: [e["door"] for e in shared.log("broker") if e["event"] == "spoof_refused"][1:])
    assert entries == ["tcp"]


@pytest.mark.parametrize("half_close", [False, True])
def test_mail_is_acknowledged_by_a_clean_close(service: Service, half_close: bool) -> None:
    token = service.register("fred")
    service.connect("claude").send("fred", "x")
    check = {"action": "check", "session_token": token}
    assert len(legacy(service, check, half_close)["messages"]) == 1
    wait_for("the acknowledgement", lambda: legacy(service, {"action": "status"})["queued"] == 0)
    assert legacy(service, check)["messages"] == []


def test_a_client_that_closes_without_reading_gets_its_mail_again(shared: Service, tag: str) -> None:
    token = shared.register(f"fred{tag}")
    shared.connect(f"claude{tag}").send(f"fred{tag}", "x")
    check = {"action": "check", "session_token": token}
    with connected(shared) as s:
        s.sendall(json.dumps(check).encode())
        assert s.recv(1) == b"{"
    again = wait_for("the mail", lambda: legacy(shared, check)["messages"])
    assert again[0]["redelivered"] is True


def test_it_is_there_while_the_port_is_held_by_something_else(make_service: Callable[..., Service], home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        service = make_service(IPC_PORT=str(holder.getsockname()[1]))
        service.connect("fred")
        assert legacy(service, {"action": "ping"})["status"] == "ok"
        assert service.port() == 0


def test_it_is_private_and_replaces_what_a_dead_door_left(service: Service) -> None:
    connected(service).close()
    path = door_socket(str(service.home))
    assert os.stat(path).st_mode & 0o777 == 0o600
    before = service.pid("tcp")
    service.kill("tcp")
    wait_for("the next door", lambda: service.pid("tcp") not in (0, before))
    assert legacy(service, {"action": "ping"})["status"] == "ok"


def test_a_second_door_does_not_take_the_firsts_socket(service: Service) -> None:
    connected(service).close()
    path = door_socket(str(service.home))
    before = os.stat(path).st_ino
    second = subprocess.Popen([sys.executable, "-m", "bridges.tcp"], env={**os.environ, **service.env})
    try:
        wait_for("its complaint", lambda: [e for e in service.log("tcp") if e["event"] == "socket_cannot_listen"])
        assert os.stat(path).st_ino == before
    finally:
        second.terminate()
        assert second.wait(20) == 0
    assert legacy(service, {"action": "ping"})["status"] == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_os_user_is_a_stranger(home: Path) -> None:
    home.chmod(0o755)
    path = str(home / "open.sock")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        os.chmod(path, 0o777)  # noqa: S103
        listening.listen()
        for uid, verdict in ((65534, "foreign"), (0, "ours")):
            code = f"import os,socket,sys; os.setuid({uid}); s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.recv(1)"
            client = subprocess.Popen([sys.executable, "-c", code, path])
            with listening.accept()[0] as connection:
                assert unix_peer(connection) == (verdict, uid)
            assert client.wait(20) == 0
