"""The ground moves under a running service: its data folder or files in it are deleted, moved or replaced."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.home.endpoints import endpoint
from broker.home.local_sockets import connected
from broker.home.locks import is_held, is_supervised
from broker.home.paths import mcp_socket, wire_socket
from tests.conftest import Service, wait_for
from tests.processes import alive

BEAT = {"IPC_HEARTBEAT": "0.6"}  # a beat each 0.2 s
CHILDREN = ("supervisor", "broker", "tcp")


class Line:
    """A lasting connection to the port."""

    def __init__(self, service: Service) -> None:
        self._file = service.tcp().makefile("rwb")

    def ask(self, **body: Any) -> dict[str, Any]:
        """The reply, empty where the connection ended without one."""
        with contextlib.suppress(OSError):
            self._file.write(json.dumps(body).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
            return json.loads(line) if line else {}
        return {}

    def send(self, token: str, to: str, text: str) -> dict[str, Any]:
        return self.ask(action="send", session_token=token, to_id=to, message={"content": text}, message_id=text)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Service]:
    """One service for all tests that it outlives."""
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home, **BEAT).start()
    yield service
    service.stop()
    shutil.rmtree(home, ignore_errors=True)


def sockets(service: Service) -> list[str]:
    home = str(service.home)
    return [wire_socket(home), endpoint(service.settings).removeprefix("ipc://"), mcp_socket(home)]


def pids(service: Service) -> list[int]:
    return [wait_for(child, lambda child=child: service.pid(child)) for child in CHILDREN]


REMOVED = [
    *([f"run/{name}"] for name in ("wire.sock", "broker.sock", "mcp.sock", "tcp.json", "supervisor.json", "open")),
    ["run/broker.lock", "run/supervisor.lock"],
    ["run"],
]


@pytest.mark.parametrize("names", REMOVED, ids=" ".join)
def test_what_was_removed_from_the_data_folder_is_made_again(lasting: Service, names: list[str]) -> None:
    before, line = pids(lasting), Line(lasting)
    for path in [lasting.home / name for name in names]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def healed() -> bool:
        files = [lasting.home / "run" / f for f in ("tcp.json", "supervisor.json", "broker.lock", "supervisor.lock", "open")]
        with contextlib.suppress(OSError):
            for path in sockets(lasting):
                connected(path).close()
            held = all(is_held(lasting.home / "run" / lock) for lock in ("broker.lock", "supervisor.lock"))
            return held and all(f.exists() for f in files)
        return False

    wait_for(f"{names} to be there again", healed, explain=lasting.describe)
    assert pids(lasting) == before
    assert line.ask(action="list")["code"] == "unauthorized"  # the same connection, to the same broker
    assert lasting.connect("fred").send("fred", "x")["status"] == "ok"
    with lasting.environment():
        assert is_supervised(lasting.home)


def test_mail_goes_on_while_everything_in_run_is_gone_and_a_second_service_does_not_start(lasting: Service) -> None:
    line, token, before = Line(lasting), lasting.register("busy"), pids(lasting)
    shutil.rmtree(lasting.home / "run")
    env = {**os.environ, **lasting.env}
    for module in ("broker.service.supervisor", "broker"):
        done = subprocess.run([sys.executable, "-m", module], env=env, capture_output=True, text=True, timeout=20)
        assert done.returncode == 3, (module, done.stderr)
    assert line.send(token, "busy", "x")["status"] == "ok"
    wait_for("the sockets", lambda: all(os.path.exists(p) for p in sockets(lasting)), explain=lasting.describe)
    assert pids(lasting) == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere run/broker.lock decides alone")
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_two_brokers_never_have_one_database_by_whatever_path(
    lasting: Service, home: Path, link: Callable[[Path, Path], None]
) -> None:
    link(lasting.home / "ipc.db", home / "ipc.db")
    env = {**os.environ, "IPC_HOME": str(home)}
    done = subprocess.run([sys.executable, "-m", "broker"], env=env, capture_output=True, text=True, timeout=20)
    assert (done.returncode, "another broker has the database" in done.stderr) == (3, True), done.stderr


@pytest.mark.deep
@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_nothing_is_acknowledged_once_the_data_folder_is_another(
    make_service: Callable[..., Service], home: Path, how: str
) -> None:
    service = make_service(**BEAT).start()
    line, fred = Line(service), service.register("fred")
    assert line.send(fred, "fred", "kept")["status"] == "ok"
    running, aside = pids(service), home.with_name(f"{home.name}.aside")
    try:
        if how == "deleted":
            shutil.rmtree(home)
        else:
            home.rename(aside)
        if how == "replaced":
            shutil.copytree(aside, home, ignore=shutil.ignore_patterns("*.sock"))
        assert line.send(fred, "fred", "lost").get("status") != "ok"
        wait_for("the end of all processes", lambda: not any(alive(pid) for pid in running))
        home.mkdir(exist_ok=True)
        service.start()  # the next client's
        texts = [m.content for m in service.connect("fred").check()]
        assert texts == (["kept"] if how == "replaced" else [])
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@pytest.mark.deep
@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_nothing_is_acknowledged_once_the_database_is_another(
    make_service: Callable[..., Service], home: Path, how: str
) -> None:
    service = make_service(IPC_HEARTBEAT="0").start()  # so that no beat comes before the send
    line, fred, broker = Line(service), service.register("fred"), pids(service)[1]
    os.rename(home / "ipc.db", home / "aside.db")
    if how == "replaced":
        shutil.copy(home / "aside.db", home / "ipc.db")
    sent = line.send(fred, "fred", "x")
    wait_for("the end of that broker", lambda: not alive(broker), explain=service.describe)
    assert "ipc.db was removed, moved or replaced" in (home / "logs" / "broker.log").read_text()
    unread = [m.content for m in service.connect("fred").check()]
    assert unread == (["x"] if sent.get("status") == "ok" else [])  # by the next broker, in the database that has the name


def test_a_removed_write_ahead_log_loses_nothing(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service(IPC_HEARTBEAT="0").start()
    fred, broker = service.connect("fred"), pids(service)[1]
    fred.send("fred", "one")
    (home / "ipc.db-wal").unlink()
    fred.send("fred", "two")  # unanswered by the first broker, and sent again with its id
    wait_for("the end of that broker", lambda: not alive(broker))
    assert [m.content for m in fred.check()] == ["one", "two"]


def test_an_idle_broker_whose_database_was_removed_ends_at_a_beat(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service(**BEAT).start()
    broker = pids(service)[1]
    for suffix in ("", "-wal", "-shm"):
        (home / f"ipc.db{suffix}").unlink()
    wait_for("another broker", lambda: service.pid("broker") not in (0, broker), explain=service.describe)
    assert service.connect("fred").send("fred", "x")["status"] == "ok"


@pytest.mark.parametrize(("module", "name"), [("broker.service.supervisor", "supervisor.lock"), ("broker", "broker.lock")])
def test_a_service_of_an_earlier_version_is_respected_by_its_locks(home: Path, module: str, name: str) -> None:
    (home / "run").mkdir(mode=0o700)
    with open(home / "run" / name, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        env = {**os.environ, "IPC_HOME": str(home), "IPC_PORT": "0"}
        done = subprocess.run([sys.executable, "-m", module], env=env, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3, done.stderr


def ipc(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **service.env}
    return subprocess.run([sys.executable, "-m", "bridges.cli", *words], env=env, capture_output=True, text=True, timeout=40)


@pytest.mark.deep
@pytest.mark.parametrize("what", ["number given to another process", "dead process", "nonsense", "no file"])
def test_down_ends_the_supervisor_and_nothing_else_whatever_the_file_says(
    make_service: Callable[..., Service], home: Path, what: str
) -> None:
    service = make_service().start()
    supervisor, state = pids(service)[0], home / "run" / "supervisor.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        said = json.loads(state.read_text())
        if what == "number given to another process":
            state.write_text(json.dumps({**said, "pid": bystander.pid}))
        elif what == "dead process":
            state.write_text(json.dumps({**said, "pid": 2**22 - 1}))
        elif what == "nonsense":
            state.write_text('{"pid": "x", "started": 7')
        else:
            state.unlink()
        done = ipc(service, "down")
        assert (done.returncode, done.stdout) == (0, "Stopped\n"), done.stderr
        wait_for("its end", lambda: not alive(supervisor))
        assert alive(bystander.pid)
        bystander.communicate(b"\n", timeout=20)


def test_down_says_so_where_nobody_can_tell_which_process_runs(home: Path) -> None:
    service = Service(home)
    (home / "run").mkdir(mode=0o700)
    with open(home / "run" / "supervisor.lock", "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (home / "run" / "supervisor.json").write_text(json.dumps({"pid": os.getpid(), "started": "1"}))
        done = ipc(service, "down")
    assert (done.returncode, "does not name the supervisor that runs" in done.stderr) == (1, True), done.stderr
