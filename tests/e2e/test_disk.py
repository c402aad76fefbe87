"""A disk that is full: new mail is refused, reads go on, and it recovers by itself."""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from broker.protocol.errors import IpcError
from broker.service.launcher import ensure_running
from tests.conftest import Service, wait_for
from tests.ports import free_port


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@pytest.fixture
def small_disk(home: Path) -> Iterator[Path]:
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(home)):
        pytest.skip("mounting a small tmpfs needs root")
    yield home
    subprocess.run(["umount", "-l", str(home)], check=True)


@pytest.mark.deep
def test_a_full_disk_refuses_new_mail_keeps_what_it_has_and_recovers(
    small_disk: Path, make_service: Callable[..., Service]
) -> None:
    service = make_service(IPC_RATE_LIMIT="0").start()
    me = service.connect("fred")
    stored = []
    for i in range(2000):
        reply = me.send_many([("claude", f"{i} " + "x" * 4000)])[0]
        if reply["status"] != "ok":
            break
        stored.append(str(i))
    assert reply["code"] == "storage_full"
    assert stored
    assert me.list()  # reads are served
    assert mount("-o", "remount,size=16m", str(small_disk))
    assert me.send("claude", "last")["status"] == "ok"
    got: list[str] = []
    with service.connect("claude") as receiver:
        while mail := receiver.check():
            got += [m.content.split()[0] for m in mail]
    assert got == [*stored, "last"]


@pytest.mark.deep
def test_hooks_bring_stored_mail_and_a_new_session_its_name_though_the_disk_is_full(
    small_disk: Path, make_service: Callable[..., Service]
) -> None:
    service = make_service().start()
    project = small_disk / "web"
    project.mkdir()

    def hook(event: str, session: str) -> str:
        given = json.dumps({"session_id": session, "cwd": str(project), "source": "startup"})
        env = {**os.environ, **service.env, "CLAUDE_PID": str(os.getpid())}
        command = [sys.executable, "-m", "bridges.cli", "hook", "claude", event]
        return subprocess.run(command, input=given, env=env, capture_output=True, text=True).stdout

    assert "under the name web" in hook("SessionStart", "one")
    service.connect("bob").send("web", "stored before")
    fill = small_disk / "fill"
    with contextlib.suppress(OSError), fill.open("wb", buffering=0) as out:
        while True:
            out.write(b"x" * 4096)
    assert "stored before" in hook("UserPromptSubmit", "one")
    assert "under the name web" in hook("SessionStart", "two")
    fill.unlink()


@pytest.mark.deep
def test_a_service_that_starts_on_a_full_disk_serves_its_doors(small_disk: Path, make_service: Callable[..., Service]) -> None:
    port = free_port()
    service = make_service(IPC_HEARTBEAT="0.9", IPC_PORT=str(port)).start()
    token = service.register("web")
    service.connect("bob").send("web", "stored before")
    fill = small_disk / "fill"
    with contextlib.suppress(OSError), fill.open("wb", buffering=0) as out:
        while True:
            out.write(b"x" * 4096)
    service.kill("supervisor")
    wait_for("the end of the door", lambda: service.port() == 0)
    with service.environment():
        wait_for("the broker", lambda: ensured(service))
    request = json.dumps({"action": "check", "session_token": token}).encode()

    said: list[str] = []

    def over_the_port() -> str:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as s:
                s.sendall(request)
                return s.recv(65536).decode()
        except OSError as e:
            said.append(f"{type(e).__name__}: {e}")
            return ""

    found = wait_for("the port", over_the_port, 40, explain=lambda: f"{Counter(said)}\n{service.describe()}")
    assert "stored before" in found
    fill.unlink()
    wait_for("the state file, made at a later beat", service.port)


def ensured(service: Service) -> bool:
    with contextlib.suppress(IpcError):
        ensure_running(service.settings)
        return True
    return False
