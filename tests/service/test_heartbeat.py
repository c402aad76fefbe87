"""A process that hangs is noticed and replaced; one that is busy is left alone."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from broker.client.sync import Client
from broker.home.paths import mcp_socket
from broker.protocol.errors import IpcError
from broker.service.heartbeat import Heartbeat, main_thread
from tests.conftest import Service, wait_for
from tests.processes import alive, freeze


@pytest.mark.parametrize("child", ["broker", *(pytest.param(door, marks=pytest.mark.deep) for door in ("tcp", "mcp"))])
def test_a_stopped_process_is_killed_and_started_again(make_service: Callable[..., Service], child: str) -> None:
    import socket

    service = make_service(IPC_HEARTBEAT="0.6").start()
    with socket.socket(socket.AF_UNIX) as agent:
        if child == "mcp":
            agent.connect(mcp_socket(str(service.home)))  # which starts it
        before = wait_for("the process", lambda: service.pid(child))
        freeze(before)
        wait_for("the next one", lambda: service.pid(child) not in (0, before))
    assert not alive(before)
    assert [e["child"] for e in service.log("supervisor") if e["event"] == "child_hangs"] == [child]
    assert service.ask({"action": "register", "instance_id": "fred"})["status"] == "ok"


@pytest.mark.deep
def test_a_broker_whose_database_another_program_holds_is_not_killed(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_HEARTBEAT="0.6").start()
    sender = service.connect("fred")
    before = service.pid("broker")
    with closing(sqlite3.connect(service.home / "ipc.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        end_s = time.monotonic() + 4 * 0.6
        while time.monotonic() < end_s:
            assert refusal(sender) == "storage_locked"
        other.execute("ROLLBACK")
    assert sender.send("fred", "x")["message"] == "Message sent"
    assert service.pid("broker") == before


def refusal(sender: Client) -> str:
    with pytest.raises(IpcError) as refused:
        sender.send("fred", "x")
    return refused.value.code


def test_without_a_heartbeat_nothing_is_killed(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_HEARTBEAT="0").start()
    assert service.connect("fred").send("fred", "x")["message"] == "Message sent"


def spawn(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs Linux's /proc")
def test_a_process_that_runs_is_busy_and_one_that_does_not_is_still() -> None:
    spinning, sleeping = spawn("while True: pass"), spawn("input()")
    try:
        wait_for("it to sleep", lambda: main_thread(sleeping.pid)[0] == "S" and main_thread(sleeping.pid)[1])
        ran = main_thread(sleeping.pid)[1]
        wait_for("it to rest", lambda: main_thread(sleeping.pid)[1] == ran)
        busy, still = Heartbeat(spinning.pid), Heartbeat(sleeping.pid)
        busy.ask()
        still.ask()
        assert [still.look() for _ in range(3)] == [False, False, True]
        assert [busy.look() for _ in range(59)] == [False] * 59
        assert busy.look()  # not back at its loop for twenty times as long: it never will be
        still.heard()
        still.ask()
        assert not still.look()
    finally:
        for process in (spinning, sleeping):
            process.kill()
            process.communicate()


def test_what_can_not_be_known_counts_as_busy() -> None:
    gone = spawn("")
    gone.communicate()
    heartbeat = Heartbeat(gone.pid)
    heartbeat.ask()
    assert [heartbeat.look() for _ in range(10)] == [False] * 10
