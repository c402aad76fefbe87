"""The first agent starts the service: find it, or start it and wait until it answers."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from broker.errors import IpcError
from broker.runtime import endpoint, lock, prepare_home, socket_answers
from broker.settings import Settings

START_DEADLINE_S = 10.0
_POLL_S = 0.02
_START_AGAIN_S = 0.5


def ensure_running(
    settings: Settings, deadline_s: float = START_DEADLINE_S, answers: Callable[[Settings], bool] = socket_answers
) -> bool:
    """Return once something listens at the broker's endpoint; True if this call had to start it.

    Of many callers at once one starts the supervisor, the others wait for it. ``answers`` is for callers that wait for
    something else than the broker. Raises IpcError ``unavailable``.
    """
    if settings.key_file:
        raise IpcError("unavailable", detail="IPC_KEY_FILE names another machine's broker, and none is started here")
    if answers(settings):
        return False
    try:
        prepare_home(settings)
    except OSError as e:
        raise IpcError("unavailable", detail=str(e)) from None
    end = time.monotonic() + deadline_s
    started: subprocess.Popen[bytes] | None = None
    again_s = 0.0
    with lock(settings.home / "run" / "start.lock") as mine:
        while not answers(settings):
            gone = started is None or started.poll() is not None  # killed at birth, or another one was running and died
            if mine and gone and time.monotonic() >= again_s:
                started = start_supervisor(settings)
                again_s = time.monotonic() + _START_AGAIN_S
            if time.monotonic() > end:
                raise IpcError("unavailable", detail=why_not(settings))
            time.sleep(_POLL_S)
            if not mine and not _someone_starts(settings, answers):
                return ensure_running(settings, max(0.1, end - time.monotonic()), answers)
    return started is not None


def wait_for_broker(settings: Settings, deadline_s: float = START_DEADLINE_S) -> None:
    """Wait for a broker that someone else (the supervisor) starts. Raises IpcError ``unavailable``."""
    end = time.monotonic() + deadline_s
    while not socket_answers(settings):
        if time.monotonic() > end:
            raise IpcError("unavailable", detail=why_not(settings))
        time.sleep(_POLL_S)


def is_supervised(settings: Settings) -> bool:
    """True if a supervisor lives: what it looks after will come up."""
    path = settings.home / "run" / "supervisor.lock"
    if not path.exists():
        return False
    with lock(path) as free:
        return not free


def _someone_starts(settings: Settings, answers: Callable[[Settings], bool]) -> bool:
    """True while another process holds the start lock or the service answers already."""
    if answers(settings):
        return True
    with lock(settings.home / "run" / "start.lock") as free:
        return not free


def start_supervisor(settings: Settings) -> "subprocess.Popen[bytes]":
    """Start supervisor, broker and doors, detached from this process, its terminal and its folder."""
    root = str(Path(__file__).resolve().parent.parent)
    env = {**os.environ, "IPC_HOME": str(settings.home)}
    env["PYTHONPATH"] = os.pathsep.join(p for p in (root, os.environ.get("PYTHONPATH", "")) if p)
    errors = os.open(settings.home / "logs" / "start.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "broker.supervisor"],
            cwd=settings.home,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )
    finally:
        os.close(errors)


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
