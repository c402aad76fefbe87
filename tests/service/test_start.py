"""The first agent starts the service; there is one broker, whatever happens."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from broker.home.endpoints import endpoint, socket_answers
from broker.home.locks import hold, is_held
from broker.service.launcher import ensure_running, supervisor_state
from tests.conftest import Service, wait_for
from tests.processes import alive, freeze

ONE_SEND = """
import broker, sys
with broker.connect(sys.argv[1]) as me:
    me.send("all-here", sys.argv[1])
"""


def brokers(home: Path) -> list[int]:
    """Pids of the broker processes of this home."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if command[3:4] == [b"broker"] and f"IPC_HOME={home}".encode() in environment and alive(int(entry.name)):
            found.append(int(entry.name))
    return found


def test_twenty_agents_at_the_same_instant_start_one_broker(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service()
    env = {**os.environ, **service.env}
    agents = [subprocess.Popen([sys.executable, "-c", ONE_SEND, f"agent-{i}"], env=env) for i in range(20)]
    assert [a.wait(50) for a in agents] == [0] * 20
    assert len(brokers(home)) == 1
    with service.connect("all-here") as me:
        assert sorted(m.content for m in me.check()) == sorted(f"agent-{i}" for i in range(20))


def test_a_second_broker_for_the_same_home_does_not_start(service: Service) -> None:
    env = {**os.environ, **service.env}
    for module in ("broker", "broker.service.supervisor"):
        done = subprocess.run([sys.executable, "-m", module], env=env, capture_output=True, text=True, timeout=20)
        assert (done.returncode, len(done.stderr.splitlines())) == (3, 1)


def test_a_client_that_finds_a_supervisor_alive_waits_for_it_and_starts_none(make_service: Callable[..., Service]) -> None:
    service = make_service().start()
    supervisor = service.pid("supervisor")
    freeze(supervisor)
    try:
        service.kill("broker")
        # a process counts as ended before the last of its threads has let go of the sockets
        wait_for("the end of its sockets", lambda: not socket_answers(service.settings))
        with ThreadPoolExecutor() as other:
            started = other.submit(ensure_running, service.settings)
            wait_for("the client to wait", lambda: is_held(service.home / "run" / "start.lock"))
            os.kill(supervisor, signal.SIGCONT)
            assert started.result() is False
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert service.pid("supervisor") == supervisor


def test_a_supervisor_whose_data_folder_was_removed_at_its_start_ends_and_makes_none(home: Path) -> None:
    locked = hold(home)
    assert locked is not None
    home.rmdir()
    command = [sys.executable, "-m", "broker.service.supervisor", "--locked", str(locked)]
    env = {**os.environ, "IPC_HOME": str(home), "IPC_PORT": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, pass_fds=[locked])
    os.close(locked)
    assert (done.returncode, home.exists()) == (1, False)
    assert "was deleted, moved or replaced" in done.stderr


def test_a_service_has_the_settings_of_the_client_that_started_it(
    make_service: Callable[..., Service], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPC_PORT", "0")
    service = make_service(IPC_PAIR_LIMIT="7")
    assert ensure_running(service.settings)
    state = wait_for("the state", lambda: supervisor_state(service.settings))
    assert state["settings"]["pair_limit"] == "7"


def test_stale_files_of_a_crash_never_block_a_start(make_service: Callable[..., Service], home: Path) -> None:
    service = make_service()
    (home / "run").mkdir(mode=0o700)
    (home / "run" / "supervisor.json").write_text('{"pid": 1, "children": {"broker": {"pid": 1}}}')
    (home / "run" / "broker.lock").write_text("")
    (home / "run" / "supervisor.lock").write_text("")
    Path(endpoint(service.settings).removeprefix("ipc://")).touch()
    Path(endpoint(service.settings).removeprefix("ipc://")).unlink()
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1])",
            endpoint(service.settings).removeprefix("ipc://"),
        ],
        check=True,
    )  # a socket file that nobody listens on
    service.start()
    assert service.connect("fred").whoami()["instance_id"] == "fred"


def test_a_path_too_long_for_a_socket_falls_back_to_a_short_folder(home: Path) -> None:
    service = Service(home / ("x" * 60) / ("y" * 60))
    try:
        service.start()
        assert service.connect("fred").whoami()["queued"] == 0
        folder = Path(endpoint(service.settings).removeprefix("ipc://")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        service.stop()
        shutil.rmtree(Path(endpoint(service.settings).removeprefix("ipc://")).parent)


def test_everything_in_the_home_is_private_whatever_the_umask(make_service: Callable[..., Service], home: Path) -> None:
    before = os.umask(0)
    try:
        service = make_service().start()
        service.connect("fred").send("fred", "x" * 20_000)
    finally:
        os.umask(before)
    for path in [home, *home.rglob("*")]:
        if path.is_symlink():  # it has no mode of its own
            continue
        allowed = 0o700 if path.is_dir() else 0o600
        assert path.lstat().st_mode & 0o777 & ~allowed == 0, path


@pytest.mark.deep
def test_a_taken_port_leaves_the_broker_running_and_names_the_holder(make_service: Callable[..., Service], home: Path) -> None:
    import json
    import socket

    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        service = make_service(IPC_PORT=str(port))
        assert service.connect("fred").send("fred", "x")["status"] == "ok"
        state = home / "run" / "tcp.json"
        error = wait_for("the door's error", lambda: state.exists() and json.loads(state.read_text())["error"])
        assert f"port {port} is held by" in error and f"(pid {os.getpid()})" in error and "IPC_PORT" in error
    wait_for("the door to take the free port", service.port)


def test_binding_beyond_loopback_needs_a_secret(make_service: Callable[..., Service], home: Path) -> None:
    import json

    service = make_service(IPC_HOST="0.0.0.0")  # noqa: S104
    service.connect("fred")
    state = home / "run" / "tcp.json"
    error = wait_for("the door's error", lambda: state.exists() and json.loads(state.read_text())["error"])
    assert "without a shared secret is refused" in error


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_another_os_user_is_refused_at_the_door_and_the_socket(service: Service, home: Path) -> None:
    script = (
        "import encodings.idna, os, socket, sys  \n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "s = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        's.sendall(b\'{"action":"register","instance_id":"mallory"}\'); print(s.recv(65536).decode())\n'
        "u = socket.socket(socket.AF_UNIX)\n"
        "try: u.connect(sys.argv[2]); print('CONNECTED')\n"
        "except PermissionError: print('no permission')\n"
    )
    path = endpoint(service.settings).removeprefix("ipc://")
    done = subprocess.run([sys.executable, "-c", script, str(service.port()), path], capture_output=True, text=True)
    assert "forbidden_user" in done.stdout, done.stderr
    assert "no permission" in done.stdout


@pytest.mark.deep
def test_an_idle_service_uses_no_cpu(service: Service) -> None:
    """Counted in context switches, which a busy poll can't hide: an idle process is not scheduled."""

    def switches() -> int:
        total = 0
        for child in ("broker", "tcp", "supervisor"):
            status = Path(f"/proc/{service.pid(child)}/status").read_text()
            total += sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)
        return total

    before = switches()
    other = subprocess.run([sys.executable, "-c", "import time; time.sleep(1)"], check=True)
    assert other.returncode == 0
    assert switches() - before < 20
