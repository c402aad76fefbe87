"""A running service of 0.3.0, with mail and leases, is replaced by this version; what belonged to it goes on.

The earlier version is taken out of the repository's history, and runs as it did.
"""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import broker
from broker.client.aio import connect_async
from broker.client.sync import Connection, connect
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.version import VERSION
from tests.conftest import Service, wait_for
from tests.processes import alive

pytestmark = pytest.mark.deep

OLD_COMMIT = "b4a53fe"
ROOT = Path(broker.__file__).parent.parent


@pytest.fixture(scope="module")
def old_code() -> Iterator[Path]:
    """The packages of 0.3.0."""
    made = subprocess.run(["git", "-C", ROOT, "archive", OLD_COMMIT, "broker", "bridges", "nlparse"], capture_output=True)
    shallow = subprocess.run(["git", "-C", ROOT, "rev-parse", "--is-shallow-repository"], capture_output=True).stdout
    if shallow.strip() != b"false":
        pytest.skip("a copy without the history has no 0.3.0 to upgrade from: git fetch --unshallow")
    if made.returncode:
        why = made.stderr.decode().strip()
        pytest.fail(f"commit {OLD_COMMIT} (0.3.0) is not here ({why}); fetch the whole history: git fetch --unshallow")
    folder = Path(tempfile.mkdtemp(prefix="ipc-old-"))
    with tarfile.open(fileobj=BytesIO(made.stdout)) as tar:
        tar.extractall(folder, filter="data")
    yield folder
    shutil.rmtree(folder)


class Both:
    """One data folder, and the commands of both versions over it."""

    def __init__(self, home: Path, old_code: Path) -> None:
        self.service = Service(home / "ipc", IPC_SESSION_TIMEOUT="345678")
        self.project = home / "project"
        self.project.mkdir()
        base = {"HOME": str(home), "PATH": os.environ["PATH"], "CLAUDE_PID": str(os.getpid())}
        self._envs = {
            "old": {**base, **self.service.env, "PYTHONPATH": str(old_code)},
            "new": {**base, "IPC_HOME": str(home / "ipc")},
        }

    def start(self, version: str, *words: str) -> "subprocess.Popen[str]":
        command, pipe = [sys.executable, "-m", "bridges.cli", *words], subprocess.PIPE
        return subprocess.Popen(
            command, env=self._envs[version], cwd=self.project, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def ipc(self, version: str, *words: str, stdin: str = "") -> str:
        """What a command prints, which must succeed."""
        process = self.start(version, *words)
        out, err = process.communicate(stdin, timeout=40)
        assert process.returncode == 0, (words, out, err)
        return out

    def hook(self, version: str, event: str) -> str:
        given = {"hook_event_name": event, "session_id": "s-1", "cwd": str(self.project), "prompt": "go on"}
        return self.ipc(version, "hook", "claude", event, stdin=json.dumps(given))

    def version(self) -> str:
        connection = Connection(self.service.settings, autostart=False)
        try:
            return str(connection.request("ping")["version"])
        finally:
            connection.close()


@pytest.fixture
def both(home: Path, old_code: Path) -> Iterator[Both]:
    made = Both(home, old_code)
    made.ipc("old", "up")
    assert made.version() == "0.3.0"
    yield made
    made.service.stop()


class Relay:
    """A host that runs ``ipc mcp``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self._number = 0
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        self.ask("initialize", client)
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def _write(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def ask(self, method: str, params: dict[str, Any]) -> str:
        assert self.process.stdout is not None
        self._number += 1
        self._write({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params})
        while True:
            line = self.process.stdout.readline()
            assert line, "the relay ended"
            if json.loads(line).get("id") == self._number:
                return line

    def call(self, tool: str, **arguments: Any) -> str:
        return self.ask("tools/call", {"name": tool, "arguments": arguments})


def test_a_running_service_of_0_3_0_is_replaced_with_all_that_belongs_to_it(both: Both) -> None:
    service, stopped = both.service, threading.Event()
    both.ipc("old", "register", "claude")
    for number in range(3):
        both.ipc("old", "send", "fred", f"queued {number}")
    both.ipc("old", "register", "fred")
    fred = json.loads((service.home / "sessions" / "cli-fred.json").read_text())["token"]
    holder = Connection(service.settings, autostart=False)
    holder.request("check", session_token=fred, limit=1)  # leased, and not acknowledged
    relay = Relay(both.start("old", "mcp", "--name", "relay"))
    assert "Message" in relay.call("send", to_id="fred", content="by the relay")
    both.hook("old", "SessionStart")
    bound = json.loads(next((service.home / "sessions").glob("host-*s-1*.json")).read_text())["name"]
    monitor = both.start("old", "monitor", "s-1")
    answered: list[str] = []

    def send_all_along() -> None:
        sender = service.connect("steady", autostart=False)
        while not stopped.is_set() or len(answered) < 50:
            text = f"steady {len(answered)}"
            with contextlib.suppress(IpcError):  # between the two, where nothing is started for it
                sender.send("counter", text, message_id=text.replace(" ", "-"))
                answered.append(text)

    steady = threading.Thread(target=send_all_along)
    before, port = [service.pid(child) for child in ("supervisor", "broker", "tcp")], service.port()
    steady.start()
    try:
        wait_for("sends on the way", lambda: len(answered) > 5)
        assert "Running in" in both.ipc("new", "up")
        count = len(answered)
        wait_for("sends after it", lambda: len(answered) > count + 5)
    finally:
        stopped.set()
        steady.join(30)
    assert both.version() == VERSION
    assert not any(alive(pid) for pid in before)
    assert wait_for("the port", service.port) and port

    with connect("fred", token=fred, settings=service.settings, autostart=False) as me:
        mail = me.check()
    assert [m.content for m in mail] == ["queued 0", "queued 1", "queued 2", "by the relay"]
    with service.connect("counter") as counter:
        assert [m.content for m in counter.check(limit=10_000)][: len(answered)] == answered
    assert "345678" in both.ipc("new", "status", "--config")  # what the earlier one was started with

    # what is left of 0.3.0 goes on, and does not put its own service in this one's place
    assert "Message" in relay.call("send", to_id="fred", content="after") and "fred" in relay.call("list_instances")
    assert both.ipc("old", "send", bound, "to the hook's session", "--as", "claude")
    assert monitor.stdout is not None and bound in monitor.stdout.readline()  # its connection was the earlier door's
    assert "to the hook's session" in both.hook("old", "UserPromptSubmit")
    assert both.ipc("old", "send", bound, "once more", "--as", "claude")
    assert "once more" in both.hook("new", "UserPromptSubmit")
    assert "after" in both.ipc("old", "check", "--as", "fred")
    assert "Already running" in both.ipc("old", "up")
    assert both.version() == VERSION
    for process in (relay.process, monitor):
        process.kill()
        process.communicate()
    holder.close()


def _relay(both: Both) -> None:
    process = both.start("new", "mcp", "--name", "relay")
    try:
        Relay(process).call("check")
    finally:
        process.kill()
        process.communicate()


async def _asyncio(settings: Settings) -> None:
    client = await connect_async("fred", settings=settings)
    await client.close()


FIRST: dict[str, Callable[[Both], object]] = {
    "shell": lambda both: both.ipc("new", "register", "fred"),
    "hook": lambda both: both.hook("new", "SessionStart"),
    "relay": _relay,
    "python": lambda both: both.service.connect("fred"),
    "asyncio": lambda both: asyncio.run(_asyncio(both.service.settings)),
}


@pytest.mark.parametrize("first", FIRST)
def test_the_first_client_of_this_version_replaces_it_whichever_it_is(both: Both, first: str) -> None:
    FIRST[first](both)
    assert both.version() == VERSION


def test_a_service_of_a_later_version_is_left_alone_and_named(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service().start()
    supervisor, state = service.pid("supervisor"), home / "run" / "supervisor.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "version": "9.10.0"}))
    env = {**os.environ, **service.env}
    done = subprocess.run([sys.executable, "-m", "bridges.cli", "up"], env=env, capture_output=True, text=True, timeout=40)
    assert "Already running" in done.stdout
    assert f"the service is version 9.10.0, this is {VERSION}; upgrade this one: pip install" in done.stderr
    assert service.pid("supervisor") == supervisor


def test_a_stale_file_of_an_earlier_version_ends_no_process(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service(IPC_HEARTBEAT="0").start()
    supervisor, state = service.pid("supervisor"), home / "run" / "supervisor.json"
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        state.write_text(json.dumps({"pid": bystander.pid, "children": {}}))
        service.connect("fred")
        assert alive(bystander.pid) and alive(supervisor)
        bystander.communicate(b"\n", timeout=20)
    state.write_text(json.dumps({"pid": supervisor, "children": {}}))
    with contextlib.closing(Connection(service.settings, autostart=False)) as connection:
        assert connection.request("ping")["version"] == VERSION
