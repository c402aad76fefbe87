"""A real service of its own: supervisor, broker and TCP door in a temporary home, started and stopped by the book."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.systems import System
from broker.home.settings import Settings
from broker.service.launcher import ensure_running

TEMPORARY = "/tmp"  # noqa: S108 (folders of our own are made in it; a socket's path must be short)
ROOT = Path(__file__).resolve().parent.parent
_STOP_S = 15.0
_DOOR_S = 10.0


def has_module(name: str) -> bool:
    """True if ``python -m name`` would find something to run."""
    try:
        return importlib.util.find_spec(f"{name}.__main__") is not None
    except ModuleNotFoundError:
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service(System):
    """This project's service without rate and mailbox limits; ``more`` are settings by environment name."""

    key = "ipc"

    def __init__(self, durability: str = "full", **more: str) -> None:
        super().__init__()
        # a socket's path must be short, so the folder is, too
        self.home = Path(tempfile.mkdtemp(prefix="ipc-", dir=TEMPORARY))
        self.port = free_port()
        self.env = {
            "IPC_HOME": str(self.home),
            "IPC_PORT": str(self.port),
            "IPC_RATE_LIMIT": "0",
            "IPC_MAILBOX_LIMIT": "0",
            "IPC_PAIR_LIMIT": "0",
            "IPC_SHARED_SECRET": "",
            "IPC_ENDPOINT": "",
            "IPC_DURABILITY": durability,
            **more,
        }
        self.settings = Settings.load(env=self.env)
        self._door: subprocess.Popen[str] | None = None
        self._door_port = 0

    def start(self) -> None:
        """Return when the broker accepts connections."""
        with environment(self.env):  # the processes inherit it
            ensure_running(self.settings)

    def stop(self) -> None:
        if self._door is not None:
            self._door.communicate()  # the end of its standard input ends it
        self.halt()
        shutil.rmtree(self.home, ignore_errors=True)

    def halt(self) -> None:
        """SIGTERM to the supervisor, then wait until it and its children are gone. Raises TimeoutError."""
        pids = self.pids()
        supervisor = pids.get("supervisor")
        if supervisor is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGTERM)
        end = time.monotonic() + _STOP_S
        while any(alive(pid) for pid in pids.values()):
            if time.monotonic() > end:
                raise TimeoutError(f"the service in {self.home} did not stop")
            time.sleep(0.01)

    def pids(self) -> dict[str, int]:
        """Process ids by name: ``supervisor``, ``broker`` and the doors that run."""
        try:
            state: dict[str, Any] = json.loads((self.home / "run" / "supervisor.json").read_text())
        except FileNotFoundError:
            return {}
        children = {name: child["pid"] for name, child in state["children"].items() if child["pid"]}
        return {"supervisor": state["pid"], **children}

    def pid(self) -> int:
        return self.pids()["broker"]

    def wait_for_door(self) -> None:
        """Return once the TCP door accepts connections. Raises TimeoutError."""
        end = time.monotonic() + _DOOR_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1.0):
                return
            if time.monotonic() > end:
                raise TimeoutError(f"the TCP door does not listen on port {self.port}")
            time.sleep(0.02)

    def door_by_unix_socket(self) -> int:
        """The port of a TCP door that reaches the broker by its Unix socket; see bench.doors.tcp_door."""
        if self._door is None:
            command = [sys.executable, "-m", "bench.doors.tcp_door", "unix"]
            self._door = subprocess.Popen(
                command, cwd=ROOT, env=environment_for(self.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            assert self._door.stdout is not None
            self._door_port = int(self._door.stdout.readline())
        return self._door_port

    def database_bytes(self) -> int:
        """The database and its write-ahead log, as files."""
        return sum(path.stat().st_size for path in self.home.glob("ipc.db*"))

    def stored(self) -> int:
        """Messages in the database, read as a second process would."""
        uri = f"file:{self.home / 'ipc.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            return int(db.execute("SELECT count(*) FROM message").fetchone()[0])


@contextlib.contextmanager
def running(**more: str) -> Iterator[Service]:
    """A started service, stopped and removed afterwards."""
    service = Service(**more)
    try:
        service.start()
        yield service
    finally:
        service.stop()


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """``os.environ`` with these values, put back afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def environment_for(env: dict[str, str]) -> dict[str, str]:
    """The environment of this process without its IPC settings, with these."""
    return {**{name: value for name, value in os.environ.items() if not name.startswith("IPC_")}, **env}


def alive(pid: int) -> bool:
    """True while the process runs; one that is our own child is reaped."""
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG) == (0, 0)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
