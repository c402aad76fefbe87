"""Disks, clocks, limits and peers that fail, against real processes."""

import json
import os
import resource
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from broker.home.endpoints import endpoint
from broker.protocol.errors import IpcError
from tests.conftest import Service, wait_for
from tests.deep.faults.shim import NoCompiler, build
from tests.processes import freeze

IDLE = 10_000


@pytest.fixture
def disk(home: Path, tmp_path: Path, make_service: Callable[..., Service]) -> Iterator[tuple[Service, Path]]:
    """A service whose disk fails in the ways that the file's letters name (see shim.c)."""
    try:
        library = build(tmp_path)
    except NoCompiler as e:
        pytest.skip(str(e))
    fail = tmp_path / "fail"
    service = make_service(LD_PRELOAD=str(library), SHIM_ROOT=str(home), SHIM_FAIL=str(fail))
    yield service.start(), fail
    fail.unlink(missing_ok=True)


@pytest.mark.parametrize("letters", ["S", "W", "SW"])
def test_a_disk_that_fails_refuses_mail_serves_reads_and_is_trusted_again(disk: tuple[Service, Path], letters: str) -> None:
    service, fail = disk
    me = service.connect("fred")
    me.send("fred", "before")
    fail.write_text(letters)
    with pytest.raises(IpcError) as caught:
        me.send("fred", "refused")
    assert caught.value.code == "storage_full"
    assert me.list()
    fail.unlink()
    assert me.send("fred", "after")["status"] == "ok"
    service.kill("broker")
    assert [m.content for m in service.connect("fred").check()] == ["before", "after"]


def test_after_a_failed_sync_the_wal_is_started_anew(disk: tuple[Service, Path], home: Path) -> None:
    """What the kernel dropped with the failed sync must not be taken for written by the next one."""
    service, fail = disk
    me = service.connect("fred")
    me.send_many([("fred", "x" * 2000)] * 200)
    before = (home / "ipc.db-wal").stat().st_size
    fail.write_text("S")
    with pytest.raises(IpcError):
        me.send("fred", "refused")
    fail.unlink()
    me.send("fred", "after")
    assert (home / "ipc.db-wal").stat().st_size < before


def test_a_database_that_can_not_be_synced_loses_nothing_that_was_acknowledged(disk: tuple[Service, Path], home: Path) -> None:
    """The WAL keeps it: mail is refused from then on, or the broker starts again and moves the WAL's pages again."""
    service, fail = disk
    service.register("nova")
    me, first = service.connect("fred"), service.pid("broker")
    fail.write_text("D")
    acknowledged, refused = 0, False
    while not refused and service.pid("broker") == first:
        try:
            replies = me.send_many([("nova", "x" * 2000)] * 200)
        except IpcError:  # the connection has ended
            refused = True
        else:
            acknowledged += sum(reply["status"] == "ok" for reply in replies)
            refused = any(reply["status"] != "ok" for reply in replies)
    assert acknowledged >= 200
    fail.unlink()
    service.start()
    assert service.connect("fred").send("nova", "after")["status"] == "ok"
    service.kill("broker")
    service.start()
    with closing(sqlite3.connect(home / "ipc.db")) as db:
        assert db.execute("SELECT count(*) FROM message").fetchone()[0] > acknowledged


def test_a_deleted_large_file_spoils_no_other_mail(service: Service, home: Path) -> None:
    me = service.connect("fred")
    me.send_many([("fred", "a"), ("fred", "y" * 20_000), ("fred", "b")])
    next((home / "large-messages").glob("*.md")).unlink()
    assert [m.content[:1] for m in me.check()] == ["a", "y", "b"]
    doctor = subprocess.run(
        [sys.executable, "-m", "bridges.cli", "doctor"], capture_output=True, text=True, env=env_of(service)
    )
    assert "1 unread large message has lost its file" in doctor.stdout


def env_of(service: Service) -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("IPC_")}, **service.env}


def test_few_descriptors_keep_strangers_waiting_and_no_one_out(service: Service) -> None:
    resource.prlimit(service.pid("tcp"), resource.RLIMIT_NOFILE, (64, 64))
    token = service.register("fred")
    idle = [service.tcp() for _ in range(100)]
    for s in idle:
        s.close()
    reply = wait_for("an answer", lambda: service.ask({"action": "whoami", "session_token": token}))
    assert reply["status"] == "ok"
    assert not [line for line in service.log("tcp") if "traceback" in line]


@pytest.mark.timeout(180)
def test_ten_thousand_idle_connections_cost_no_one_an_answer(make_service: Callable[..., Service]) -> None:
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + 1000:
        pytest.skip(f"this user may have {hard} descriptors a process")
    service = make_service(IPC_IDLE_TIMEOUT="300").start()
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    token = service.register("fred")
    idle: list[socket.socket] = []
    try:
        idle += (service.tcp() for _ in range(IDLE))
        for _ in range(20):
            assert service.ask({"action": "whoami", "session_token": token})["status"] == "ok"
        rss_mib = int(Path(f"/proc/{service.pid('tcp')}/statm").read_text().split()[1]) * 4096 / 2**20
        assert rss_mib < 250
    finally:
        for s in idle:
            s.close()


def test_a_reader_that_reads_nothing_holds_up_no_one_and_loses_nothing(service: Service) -> None:
    token = service.register("slow")
    fred = service.connect("fred")
    with service.tcp() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(json.dumps({"action": "subscribe", "window": 10_000, "session_token": token}).encode() + b"\n")
        fred.send_many([("slow", f"{i} " + "x" * 5000) for i in range(1000)])
        for _ in range(20):
            assert fred.send("fred", "quick")["status"] == "ok"
    got: list[int] = []
    with service.connect("slow", token=token) as slow:
        wait_for(
            "its mail back", lambda: (got.extend(int(m.content.split()[0]) for m in slow.check(limit=500)), len(got) >= 1000)[1]
        )
    assert sorted(got) == list(range(1000))


def test_a_half_open_peer_gets_its_mail_back(make_service: Callable[..., Service]) -> None:
    service = make_service(IPC_LEASE="1").start()
    token = service.register("fred")
    service.connect("claude").send("fred", "x")
    s = service.tcp()
    s.sendall(json.dumps({"action": "check", "session_token": token}).encode() + b"\n")
    assert b'"x"' in s.recv(65536)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()  # a reset, as of a machine that is gone
    with service.connect("fred", token=token) as fred:
        mail = wait_for("the mail", lambda: fred.check())
    assert [(m.content, m.redelivered) for m in mail] == [("x", True)]


def test_links_in_the_data_folder_lead_nowhere(home: Path, tmp_path: Path, make_service: Callable[..., Service]) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    victim.chmod(0o644)
    (home / "large-messages").mkdir()
    (home / "large-messages" / "20270101-000000_a_b_message.md").symlink_to(victim)
    (home / "large-messages" / ".0123456789abcdef.tmp").symlink_to(victim)
    service = make_service().start()
    me = service.connect("fred")
    me.send("fred", "y" * 20_000)
    service.kill("broker")
    me.send("fred", "z")
    assert victim.read_text() == "untouched"
    assert stat.S_IMODE(victim.stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_os_user_reads_no_file_and_opens_no_socket(service: Service, home: Path) -> None:
    service.connect("fred").send("fred", "y" * 20_000)
    wait_for("the session's files", lambda: (home / "owner.key").exists())
    paths = [str(p) for p in home.rglob("*")] + [endpoint(service.settings).removeprefix("ipc://")]
    script = (
        "import os, socket, sys\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    for how in (os.O_RDONLY, os.O_WRONLY):\n"
        "        try: os.close(os.open(path, how)); print('OPENED', path)\n"
        "        except OSError: pass\n"
        "    try: s = socket.socket(socket.AF_UNIX); s.connect(path); print('CONNECTED', path)\n"
        "    except OSError: pass\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nContent-Type: text/plain\r\n\r\n"
        b'{"action":"register","instance_id":"mallory"}\n',
        b'GET /?{"action":"register"} HTTP/1.1\r\nHost: localhost.evil.example:9876\r\n\r\n',
        b'OPTIONS * HTTP/1.1\r\n\r\n{"action":"register","instance_id":"mallory"}',
    ],
)
def test_a_browser_or_a_rebound_name_can_do_nothing_at_the_port(service: Service, raw: bytes) -> None:
    with service.tcp() as s:
        s.sendall(raw)
        reply = json.loads(s.recv(65536))
        assert reply["code"] == "bad_request"
        assert s.recv(65536) == b""
    assert "mallory" not in [i["id"] for i in service.connect("fred").list()]


def test_a_token_is_worth_nothing_after_its_session_was_replaced(service: Service) -> None:
    old = service.register("fred")
    new = service.register("fred")
    assert service.ask({"action": "whoami", "session_token": old})["code"] == "session_replaced"
    request = {"action": "rename", "new_id": "freddy", "session_token": new}
    assert service.ask(request)["status"] == "ok"
    for name in ("fred", "freddy"):
        request = {"action": "check", "instance_id": name, "session_token": old}
        assert service.ask(request)["code"] == "session_replaced"
    assert service.ask({"action": "check", "instance_id": "claude", "session_token": new})["code"] == "spoofed_sender"


def test_a_stopped_door_is_missed_by_no_other(service: Service) -> None:
    pid = service.pid("tcp")
    freeze(pid)
    try:
        assert service.connect("fred").send("fred", "x")["status"] == "ok"
    finally:
        os.kill(pid, signal.SIGCONT)
    assert service.ask({"action": "whoami", "session_token": service.register("nova")})["status"] == "ok"
