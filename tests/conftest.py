"""Real services in temporary homes: short paths (sockets), free ports, never the user's own."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.client.sync import Client, connect
from broker.home.settings import Settings
from broker.service.launcher import ensure_running
from tests import examples
from tests.processes import alive

pytest_plugins = ["tests.engine", "tests.guard", "tests.hosts.showing"]
DEADLINE_S = 20.0
DEEP = Path(__file__).with_name("deep")
DEEP_TIMEOUT_S = 180
# a shell starts what runs in the background with SIGINT ignored, and so would be all that the tests start
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.markexpr == "deep":
        examples.take_all()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What stands in tests/deep is deep; a property is, too, in a deep run, with all its examples."""
    for item in items:
        if DEEP in item.path.parents or (config.option.markexpr == "deep" and item.get_closest_marker("hypothesis")):
            item.add_marker("deep")
        if item.get_closest_marker("deep") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(DEEP_TIMEOUT_S))


def wait_for(what: str, condition: Callable[[], Any], deadline_s: float = DEADLINE_S, explain: Callable[[], str] = str) -> Any:
    """The first true value of ``condition``; fails with ``what``, and ``explain``, when the deadline passes."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"waited {deadline_s} s for {what}\n{explain()}")
        time.sleep(0.01)


class Service:
    """Supervisor, broker and TCP door of one temporary home."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.env = {"IPC_HOME": str(home), "IPC_PORT": "0", "IPC_WAKE_PAUSE": "0", **environment}
        self._clients: list[Client] = []

    @property
    def settings(self) -> Settings:
        return Settings.load(env=self.env)

    def start(self) -> "Service":
        wait_for("the TCP door", self._started, explain=self.describe)
        return self

    def _started(self) -> int:
        with self.environment():
            ensure_running(self.settings)  # again and again: a broker that is being killed may still accept a connection
        return self.port()

    def describe(self) -> str:
        """What the run files and logs say, for a failure's message."""
        files = [*(self.home / "run").glob("*.json"), *(self.home / "logs").iterdir()]
        return "\n".join(f"--- {f.name}\n{f.read_text()[-3000:]}" for f in files)

    @contextlib.contextmanager
    def environment(self) -> Iterator[None]:
        before = dict(os.environ)
        for name in [n for n in os.environ if n.startswith("IPC_")]:
            del os.environ[name]
        os.environ.update(self.env)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def connect(self, name: str, **options: Any) -> Client:
        with self.environment():
            client = connect(name, settings=self.settings, **options)
        self._clients.append(client)
        return client

    def port(self) -> int:
        state = self._read("tcp.json")
        if not state or state["error"] or not alive(state["pid"]):
            return 0
        return int(state["port"])

    def tcp(self, timeout_s: float = 10.0) -> socket.socket:
        s = socket.create_connection(("127.0.0.1", wait_for("the TCP door", self.port)))
        s.settimeout(timeout_s)
        return s

    def ask(self, request: dict[str, Any] | bytes) -> dict[str, Any]:
        """One request in the legacy form: one object, one recv, close."""
        with self.tcp() as s:
            s.sendall(request if isinstance(request, bytes) else json.dumps(request).encode())
            reply: dict[str, Any] = json.loads(s.recv(65536).decode("utf-8"))
            return reply

    def register(self, name: str) -> str:
        reply = self.ask({"action": "register", "instance_id": name, "auth_token": ""})
        assert reply["status"] == "ok", reply
        return str(reply["session_token"])

    def pid(self, child: str) -> int:
        state = self._read("supervisor.json")
        if not state:
            return 0
        pid = state["pid"] if child == "supervisor" else (state["children"].get(child) or {}).get("pid")
        return pid if pid and alive(pid) else 0

    def queued(self, name: str) -> int:
        """How much mail of a name is stored and not acknowledged, once the tables say so."""
        rows = "SELECT count(*) FROM queue JOIN mailbox ON mailbox.id = queue.mailbox_id WHERE mailbox.name = ?"
        tail = "SELECT 1 FROM message WHERE id > (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'queued_id')"
        with contextlib.closing(sqlite3.connect(f"file:{self.home / 'ipc.db'}?mode=ro", uri=True)) as db:
            wait_for("the end of the tail", lambda: not db.execute(tail).fetchone())
            return int(db.execute(rows, (name,)).fetchone()[0])

    def kill(self, child: str, signum: int = signal.SIGKILL) -> None:
        pid = wait_for(f"a running {child}", lambda: self.pid(child))
        state = self._read("supervisor.json") if child == "supervisor" else None
        pids = [pid, *(row["pid"] for row in (state or {"children": {}})["children"].values() if row and row["pid"])]
        os.kill(pid, signum)
        # a supervisor's children die with it, some later: a client that came meanwhile would find them and start nothing
        wait_for(f"the end of {child}", lambda: not any(alive(one) for one in pids))

    def log(self, name: str) -> list[dict[str, Any]]:
        path = self.home / "logs" / f"{name}.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            state: dict[str, Any] = json.loads((self.home / "run" / name).read_text())
        except (FileNotFoundError, ValueError):
            return None
        return state

    def close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    def stop(self) -> None:
        self.close_clients()
        pids = [p for p in (self.pid("broker"), self.pid("tcp"), self.pid("supervisor")) if p]
        supervisor = self.pid("supervisor")
        if supervisor:
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor, signal.SIGTERM)
        wait_for("the service's end", lambda: not any(alive(p) for p in pids))


@pytest.fixture
def home() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ipc-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_service(home: Path) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def make(**environment: str) -> Service:
        service = Service(home, **environment)
        services.append(service)
        return service

    yield make
    for service in services:
        service.stop()


@pytest.fixture(scope="session")
def shared_services() -> Iterator[list[Service]]:
    """At most one that runs: a test that ended one gave the next test a new one."""
    services: list[Service] = []
    yield services
    for service in services:
        service.stop()
        shutil.rmtree(service.home, ignore_errors=True)


@pytest.fixture
def shared(shared_services: list[Service]) -> Iterator[Service]:
    """The worker's service, for tests that neither end nor count what it has; their names end in ``tag``."""
    if not shared_services or not all(map(shared_services[-1].pid, ("supervisor", "broker", "tcp"))):
        shared_services.append(Service(Path(tempfile.mkdtemp(prefix="ipc-"))).start())
    service = shared_services[-1]
    for path in (service.home / "sessions").iterdir() if (service.home / "sessions").exists() else ():
        path.unlink()  # nobody is registered by what the worker's earlier tests did
    yield service
    service.close_clients()


@pytest.fixture
def tag() -> str:
    """The end of a test's names on the shared service, which makes them its own."""
    return secrets.token_hex(2)


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service().start()
