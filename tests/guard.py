"""What a test run must leave as it was: the user's home, port 9876, and the list of processes.

For the whole run HOME, IPC_HOME and TMPDIR are one temporary folder, and IPC_PORT is 0. At the end no process may live whose
environment, command line or folder names that folder or the run: it fails the run, and is ended. A socket of a test's own
process never reaches port 9876; a service that a test starts there fails the run.
"""

import contextlib
import os
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

RUN = "AGENT_IPC_TEST_RUN"
"""The run's temporary folder; what the run starts inherits it."""
USERS_PORT = 9876
_ENDING_S = float(os.environ.get("AGENT_IPC_TEST_ENDING_S", 5.0))
"""What has been told to end may take so long."""
_LOOK_S = 0.2
_said: list[str] = []
_over = threading.Event()
sys.dont_write_bytecode = False  # each worker and each process of ours would compile all that it imports
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_configure(config: pytest.Config) -> None:
    sys.addaudithook(_refuse_the_users_port)
    if hasattr(config, "workerinput"):
        return  # its environment is the controller's
    # sockets need short paths, so the system's folder may be too long; in memory a sync costs nothing
    base = "/dev/shm" if os.path.isdir("/dev/shm") and config.option.markexpr != "deep" else "/tmp"  # noqa: S108
    root = Path(f"{base}/t-{secrets.token_hex(3)}")
    root.mkdir()
    root.chmod(0o1777)  # as the folder that it stands for: tests act as other users, too
    os.environ.setdefault("PIP_CACHE_DIR", os.path.expanduser("~/.cache/pip"))
    os.environ.setdefault("npm_config_cache", os.path.expanduser("~/.npm"))
    for name in [n for n in os.environ if n.startswith(("IPC_", "XDG_"))]:
        del os.environ[name]
    os.environ.update({RUN: str(root), "HOME": str(root), "TMPDIR": str(root), "IPC_HOME": f"{root}/ipc", "IPC_PORT": "0"})
    threading.Thread(target=_watch_the_users_port, args=(root,), daemon=True).start()


def _refuse_the_users_port(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("socket.connect", "socket.bind"):
        address = arguments[1]
        assert not (isinstance(address, tuple) and address[1] == USERS_PORT), f"{event} {address}: the user's own service"


def _watch_the_users_port(root: Path) -> None:
    while not _over.wait(_LOOK_S):
        inodes = _at_the_users_port()
        for pid, line in _processes_of(os.fsencode(root)) if inodes else ():
            with contextlib.suppress(OSError):
                if inodes & {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}:
                    _said.append(f"at port {USERS_PORT}: {pid} {line}")
                    _over.set()


def _at_the_users_port() -> set[str]:
    """The sockets that listen or are connected there, as a process's /proc/PID/fd names them."""
    port = f":{USERS_PORT:04X}"
    rows = [line.split() for table in ("tcp", "tcp6") for line in Path("/proc/net", table).read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if port in (row[1][-5:], row[2][-5:])}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    _over.set()
    root = Path(os.environ[RUN])
    left = _wait_for_the_end(root)
    _said.extend(f"left behind: {pid} {line}" for pid, line in left.items())
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if _said:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    shutil.rmtree(root, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _said:
        terminalreporter.section("what the run did not leave as it was", red=True)
        terminalreporter.write_line("\n".join(_said))


def _wait_for_the_end(root: Path) -> dict[int, str]:
    end = time.monotonic() + _ENDING_S
    while (left := dict(_processes_of(os.fsencode(root)))) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _processes_of(root: bytes) -> Iterator[tuple[int, str]]:
    """(pid, command line and test) of each process that names ``root``."""
    mine = {os.getpid(), os.getppid()}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            folder = os.fsencode((entry / "cwd").readlink())
        except OSError:  # it is gone, or another user's
            continue
        if int(entry.name) not in mine and command and root in command + environment + folder:
            test = next((p[20:] for p in environment.split(b"\0") if p.startswith(b"PYTEST_CURRENT_TEST=")), b"?")
            yield int(entry.name), f"{command.replace(bytes(1), b' ').decode(errors='replace')}(of {test.decode()})"
