"""The first agent starts the service: find it, or start it and wait until it answers."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from broker.home.data_folder import prepare_home
from broker.home.endpoints import endpoint, socket_answers
from broker.home.local_sockets import connected, peer
from broker.home.locks import hold, is_held, is_supervised, lock, supervisor_locks
from broker.home.paths import runs_older, version_number, wire_socket
from broker.home.process_table import environment_of, parent_of, process_started, words_of
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.version import VERSION

START_DEADLINE_S = 10.0
STOP_DEADLINE_S = 15.0
_POLL_S = 0.02
_START_AGAIN_S = 0.5


def ensure_running(
    settings: Settings, deadline_s: float = START_DEADLINE_S, answers: Callable[[Settings], bool] = socket_answers
) -> bool:
    """Return once something listens at the broker's endpoint; True if this call had to start it.

    Of many callers at once one starts the supervisor, the others wait for it. A service of an earlier version is ended in order
    and replaced; one of a later version is left alone. ``answers`` says whether what the caller waits for is there.
    Raises IpcError ``unavailable``.
    """
    if settings.key_file:
        raise IpcError("unavailable", detail="IPC_KEY_FILE names another machine's broker, and none is started here")
    if answers(settings) and not runs_older(str(settings.home)):
        return False
    try:
        prepare_home(settings)
    except OSError as e:
        raise IpcError("unavailable", detail=str(e)) from None
    end = time.monotonic() + deadline_s
    started: subprocess.Popen[bytes] | None = None
    again_s = 0.0
    with lock(settings.home / "run" / "start.lock") as mine:
        environment = stop_older(settings) if mine else {}
        end = max(end, time.monotonic() + deadline_s) if environment else end  # it may have had much to answer
        while not answers(settings):
            gone = started is None or started.poll() is not None  # killed at birth, or another one was running and died
            if mine and gone and time.monotonic() >= again_s:
                started = _start(settings, environment) or started
                again_s = time.monotonic() + _START_AGAIN_S
            if time.monotonic() > end:
                raise IpcError("unavailable", detail=why_not(settings))
            time.sleep(_POLL_S)
            if not mine and not _someone_starts(settings, answers):
                return ensure_running(settings, max(0.1, end - time.monotonic()), answers)
    return started is not None


def wait_for_broker(settings: Settings, deadline_s: float = START_DEADLINE_S) -> None:
    """Wait for a broker that the supervisor starts. Raises IpcError ``unavailable``."""
    end = time.monotonic() + deadline_s
    while not socket_answers(settings):
        if time.monotonic() > end:
            raise IpcError("unavailable", detail=why_not(settings))
        time.sleep(_POLL_S)


def _someone_starts(settings: Settings, answers: Callable[[Settings], bool]) -> bool:
    """True while another process holds the start lock or the service answers already."""
    if answers(settings):
        return True
    return is_held(settings.home / "run" / "start.lock")


class Running(NamedTuple):
    """The supervisor that runs now. ``version`` is empty for those before 0.4, which did not say."""

    pid: int
    started: str
    version: str


def running_supervisor(settings: Settings) -> Running | None:
    """The supervisor that runs now, None where nobody can say which process that is.

    ``run/supervisor.json`` is believed if the process of that number began when the file says, or is the parent of the broker
    that answers. Where the file is stale that parent is taken, if it was started as a supervisor.
    """
    said = supervisor_state(settings)
    parent = _parent_of_broker(settings)
    pid, started = said.get("pid"), said.get("started")
    if isinstance(pid, int) and pid > 0 and (pid == parent or (started and process_started(pid) == started)):
        return Running(pid, process_started(pid), str(said.get("version", "")))
    if parent and _is_supervisor(parent):
        return Running(parent, process_started(parent), VERSION)
    return None


def supervisor_state(settings: Settings) -> dict[str, Any]:
    """What ``run/supervisor.json`` says, empty if it can't be read; it may be a dead supervisor's."""
    try:
        state = json.loads((settings.home / "run" / "supervisor.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _parent_of_broker(settings: Settings) -> int:
    for path in (wire_socket(str(settings.home)), endpoint(settings).removeprefix("ipc://")):
        with contextlib.suppress(OSError), connected(path, 1.0) as s:
            return parent_of(peer(s)[0])
    return 0


def _is_supervisor(pid: int) -> bool:
    """Whether it was started as ``-m broker.service.supervisor`` or ``ipc up --foreground`` or ``--take-over``."""
    words = words_of(pid)
    # before 0.4 the module had another name
    ours = (b"broker.service.supervisor", b"broker.supervisor", b"--foreground", b"--take-over")
    return any(word in words for word in ours)


def stop(settings: Settings, running: Running, deadline_s: float = STOP_DEADLINE_S) -> bool:
    """End the service in order: what is asked of it by now is answered. False if it has not ended by the deadline."""
    if not _terminate(running):
        return not is_supervised(settings.home)
    end = time.monotonic() + deadline_s
    while is_supervised(settings.home):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True


def _terminate(running: Running) -> bool:
    """Send SIGTERM to that process, and to no other that has its number now. False if it is gone."""
    try:
        if not hasattr(os, "pidfd_open"):
            os.kill(running.pid, signal.SIGTERM)
            return True
        fd = os.pidfd_open(running.pid)
        try:
            if process_started(running.pid) != running.started:
                return False
            signal.pidfd_send_signal(fd, signal.SIGTERM)
        finally:
            os.close(fd)
    except ProcessLookupError:
        return False
    return True


def stop_older(settings: Settings) -> dict[str, str]:
    """End a service of an earlier version. Returns its IPC_* environment.

    With that the next one listens at the same places and asks for the same secret.
    """
    running = running_supervisor(settings) if runs_older(str(settings.home)) else None
    if running is None or version_number(running.version) >= version_number(VERSION):
        return {}
    environment = _environment_of(running.pid)
    stop(settings, running)
    return environment


def take_over(settings: Settings, deadline_s: float = START_DEADLINE_S) -> int | None:
    """The lock of the data folder, once a service that runs has ended in order: for one that a service manager starts.

    None where a later version runs, or the one that runs does not end. Raises OSError.
    """
    prepare_home(settings)
    end = time.monotonic() + deadline_s
    while True:
        running = running_supervisor(settings) if is_supervised(settings.home) else None
        if running is not None and version_number(running.version) > version_number(VERSION):
            return None
        if running is not None and not stop(settings, running):
            return None
        fd = hold(supervisor_locks(settings.home)[0])
        if fd is not None or time.monotonic() > end:
            return fd
        time.sleep(_POLL_S)  # one that has just been started says in a moment who it is


def _environment_of(pid: int) -> dict[str, str]:
    try:
        environment = environment_of(pid)
    except OSError:
        return {}
    return {name: value for name, value in environment.items() if name.startswith("IPC_")}


def _start(settings: Settings, environment: Mapping[str, str]) -> "subprocess.Popen[bytes] | None":
    try:
        return start_supervisor(settings, environment)
    except OSError as e:  # the data folder has just been removed
        raise IpcError("unavailable", detail=str(e)) from None


def start_supervisor(settings: Settings, environment: Mapping[str, str]) -> "subprocess.Popen[bytes] | None":
    """Start supervisor, broker and doors, detached from this process, its terminal and its folder.

    None if a supervisor lives: what it looks after comes up. The lock on the data folder is taken here and handed down, so a
    supervisor has it from birth, for the very folder that its client saw. ``environment`` is added to this process's.
    """
    folder, file = supervisor_locks(settings.home)
    fd = hold(folder)
    if fd is None:
        return None
    try:
        if is_held(file):  # by a version that does not lock the folder, or where the file system can't
            return None
        root = str(Path(__file__).resolve().parents[2])
        env = {**os.environ, **settings.environment(), **environment}
        env["PYTHONPATH"] = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
        with open(settings.home / "logs" / "start.log", "wb", opener=_private) as errors:
            return subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                [sys.executable, "-P", "-m", "broker.service.supervisor", "--locked", str(fd)],
                cwd=settings.home,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                pass_fds=[fd],
            )
    finally:
        os.close(fd)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def why_not(settings: Settings) -> str:
    """What the last start left behind, for a person: the last line of the supervisor or the broker, or where to look."""
    logs = settings.home / "logs"
    for name in ("start.log", "broker.stderr"):
        try:
            said = (logs / name).read_text(errors="replace").strip().splitlines()
        except OSError:
            continue
        if said:
            return said[-1]
    return f"nothing answers at {endpoint(settings)}; see {logs}"
