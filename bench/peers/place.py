"""A fresh home of one system: its driver's commands run there, and whatever they leave running is found and ended."""

import contextlib
import os
import pty
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import proc
from bench.peers.driver import Command, Driver
from bench.peers.installation import Installed

TEMPORARY = "/tmp"  # noqa: S108 (a folder of our own is made in it; a socket's path must be short)
ANSWER_S = 30.0
_WORDS = 150
_STAND_IN_S = "86399"
_SLEEPS = f"sleep\0{_STAND_IN_S}\0".encode()
_STAND_IN = f"""#!/bin/sh
case "$1" in --version) echo "2.1.0 (Claude Code)"; exit 0;; esac
exec sleep {_STAND_IN_S}
"""


class Failed(Exception):
    """A command that gave no answer in time, or ended with a status that is none."""


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended. ``status`` is None where it was killed for giving no answer."""

    status: int | None
    out: str
    err: str
    took_s: float

    def words(self) -> str:
        """What it said last, for a reader of the table."""
        if self.status is None:
            return f"no answer in {ANSWER_S:g} s"
        lines = [line.strip() for line in (self.err.strip() or self.out.strip()).splitlines() if line.strip()]
        if not lines:
            return f"nothing, status {self.status}"
        traceback = lines[0].startswith("Traceback")
        words = f"a traceback that ends in {lines[-1]}" if traceback else lines[0]
        return words if len(words) <= _WORDS else f"{words[:_WORDS]}…"


class Place:
    """Context manager. Its end kills what still runs with this home, and removes it."""

    def __init__(self, installed: Installed, root: Path | None = None) -> None:
        self.home = root or Path(tempfile.mkdtemp(prefix="pr-", dir=TEMPORARY))
        self.typed = 0
        """Commands so far, and files that a person would have to write."""
        self._bin = installed.bin
        self._started: dict[subprocess.Popen[str], float] = {}
        """Processes that the bench holds, with when they were started."""
        self._terminals: list[int] = []
        self._key = secrets.token_hex(4)
        self._texts = 0
        self.driver: Driver = installed.driver(self)

    def __enter__(self) -> "Place":
        self.driver.prepare()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for process in list(self._started):
            self.end(process)
        for terminal in self._terminals:
            os.close(terminal)
        while pids := self.pids():  # a supervisor may have started one more
            self.kill(pids)
        shutil.rmtree(self.home, ignore_errors=True)

    # what a driver asks for

    def write(self, name: str, text: str) -> str:
        self.typed += 1
        path = self.home / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    def out(self, command: Command, agent: str = "") -> str:
        done = self.run(command, agent)
        if done.status != 0:
            raise Failed(f"{' '.join(command.argv)}: {done.words()}")
        return done.out

    def stand_in(self, name: str) -> str:
        path = self.home / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(_STAND_IN)
        path.chmod(0o700)
        return str(path)

    # commands

    def run(self, command: Command, agent: str = "") -> Done:
        """To its end, in the agent's folder, with no terminal and nothing on its standard input."""
        self.typed += 1
        return self.finish(self.start(command, agent))

    def finish(self, process: "subprocess.Popen[str]") -> Done:
        """What became of a process that ``start`` gave. It is killed if it gives no answer."""
        try:
            out, err = process.communicate(timeout=ANSWER_S)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            status = None
        took_s = time.perf_counter() - self._started.pop(process)
        return Done(status, out, err, took_s)

    def start(self, command: Command, agent: str = "", **streams: Any) -> "subprocess.Popen[str]":
        folder = self.home / (agent or "nobody")
        folder.mkdir(exist_ok=True)
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        environment = self._environment(command)
        program = shutil.which(command.argv[0], path=environment["PATH"]) or command.argv[0]
        argv = [program, *command.argv[1:]]
        began_s = time.perf_counter()
        process = subprocess.Popen(argv, cwd=folder, env=environment, text=True, start_new_session=True, **streams)
        self._started[process] = began_s
        return process

    def start_in_terminal(self, command: Command, agent: str) -> "subprocess.Popen[str]":
        """With a terminal of its own that nobody reads."""
        ours, theirs = pty.openpty()
        try:
            return self.start(command, agent, stdin=theirs, stdout=theirs, stderr=theirs)
        finally:
            os.close(theirs)
            self._terminals.append(ours)

    def end(self, process: "subprocess.Popen[str]") -> None:
        """Kill a process that ``start`` gave, and close its streams."""
        self._started.pop(process, None)
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _environment(self, command: Command) -> dict[str, str]:
        home = str(self.home)
        mine = {"HOME": home, "XDG_DATA_HOME": f"{home}/.local/share", "XDG_CONFIG_HOME": f"{home}/.config"}
        mine |= {"XDG_STATE_HOME": f"{home}/.local/state", "XDG_CACHE_HOME": f"{home}/.cache", "XDG_RUNTIME_DIR": home}
        mine |= {"PATH": f"{home}/bin:{self._bin}:/usr/bin:/bin", "LANG": "C.UTF-8", "TERM": "xterm"}
        return {**mine, **self.driver.environment, **command.environment}

    # texts

    def text(self) -> str:
        """A message that is like no other of this place; ``token`` finds it again."""
        self._texts += 1
        return f"the build of the branch is broken, can you have a look? {self.token(self._texts)}"

    def token(self, number: int) -> str:
        return f"t{self._key}-{number:04d}"

    # processes

    def pids(self) -> list[int]:
        """All processes that have this home."""
        wanted = f"HOME={self.home}".encode()
        found = []
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit() and wanted in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    found.append(int(name))
        return found

    def stand_ins(self) -> list[int]:
        return [pid for pid in self.pids() if _command_line(pid) == _SLEEPS]

    def of_system(self) -> list[int]:
        """All but the stand-ins."""
        return [pid for pid in self.pids() if _command_line(pid) not in (b"", _SLEEPS)]

    def kept(self) -> list[int]:
        """Those of them that the system keeps by itself: none that the bench has started and still holds."""
        ours = {process.pid for process in self._started}
        return [pid for pid in self.of_system() if pid not in ours]

    def kill(self, pids: list[int]) -> None:
        """SIGKILL, and wait until they are gone."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_until("the killed processes to be gone", lambda: not set(pids) & set(self.pids()))


def _command_line(pid: int) -> bytes:
    """Empty for a process that is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def settled(process: "subprocess.Popen[str]", quiet_s: float = 0.3) -> None:
    """Return when a process has ended, or has used no processor time for a while: it waits for something."""
    used, since_s = -1.0, time.monotonic()
    end_s = since_s + ANSWER_S
    while process.poll() is None and time.monotonic() - since_s < quiet_s and time.monotonic() < end_s:
        now = proc.cpu_s(process.pid)
        if now - used > 0.002:
            used, since_s = now, time.monotonic()
        time.sleep(0.02)


def wait_until(what: str, condition: Callable[[], object], deadline_s: float = ANSWER_S) -> None:
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            raise Failed(f"waited {deadline_s:g} s for {what}")
        time.sleep(0.005)
