"""``python -m broker.service.supervisor``: keeps the broker and the doors running.

A child that dies is started again after 0.1 s, then twice as long each time up to 5 s; 30 s of health reset that. The
loop sleeps until a child ends, a signal comes or a restart is due. Children die with the supervisor
(broker.service.supervised), so a killed one leaves nothing that holds a lock or a port. What
is running stands in ``run/supervisor.json``.

A child on demand is started by the first connection to its Unix socket, which is the supervisor's and is handed down: who
connects while the child starts, or between two of them, waits in the socket's queue and is not refused.

A child that hangs is killed and started again (broker.service.heartbeat). At each beat, and when a child has ended, the
supervisor checks that the data folder is still the one that it locked (broker.home.watched_files); if not, all children end.

    client --takes the lock on the data folder, hands it down--> supervisor --pipes--> broker, doors
                                                                    |  a beat each third of heartbeat_s: "?" down, "." up
                                                                    '- dead child: again after 0.1 .. 5 s
"""

import contextlib
import importlib.util
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time

from broker.home import restore_journal
from broker.home.data_folder import prepare_home
from broker.home.endpoints import clear_socket
from broker.home.files import write_private
from broker.home.locks import broker_lock, lock, supervisor_locks
from broker.home.logs import Log
from broker.home.paths import python
from broker.home.process_table import process_started
from broker.home.settings import Settings, SettingsError
from broker.home.watched_files import Ground, GroundGone, note
from broker.service.doors import DOORS
from broker.service.heartbeat import LOOKS, Heartbeat
from broker.version import VERSION

ALREADY_RUNNING = 3
_FIRST_BACKOFF_S = 0.1
_LAST_BACKOFF_S = 5.0
_HEALTHY_S = 30.0
_STOP_S = 5.0
BEAT_S = 15.0
"""Seconds of three beats where ``heartbeat_s`` is 0 and nobody is killed."""


class Child:
    """One supervised process: ``python -m MODULE --supervised``."""

    def __init__(self, module: str, due_s: float | None = 0.0) -> None:
        self.module = module
        self.listening: socket.socket | None = None
        """The socket of a child on demand. A connection that waits there starts the child."""
        self.process: subprocess.Popen[bytes] | None = None
        self.started_s = 0.0
        self.backoff_s = _FIRST_BACKOFF_S
        self.due_s = due_s
        """When to start it again (monotonic), None while it runs."""
        self.restarts = 0
        self.exits: list[int] = []
        self.heartbeat: Heartbeat | None = None

    @property
    def name(self) -> str:
        return self.module.rpartition(".")[2]

    @property
    def waits(self) -> bool:
        """True while a connection would start it."""
        return self.listening is not None and self.process is None and self.due_s is None

    def command(self) -> list[str]:
        command = [*python(), "-m", self.module, "--supervised"]
        return command if self.listening is None else [*command, "--serve", "--listening", str(self.listening.fileno())]

    @property
    def answers(self) -> int:
        """The descriptor on which its heartbeat comes, -1 if it has none."""
        stdout = self.process.stdout if self.process is not None else None
        return stdout.fileno() if stdout is not None and not stdout.closed else -1

    def ask(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):  # it has just ended
                os.write(self.process.stdin.fileno(), b"?")

    def listen_to(self) -> None:
        """Read what the child said. Any byte means that it lives."""
        if self.process is not None and self.process.stdout is not None:
            if os.read(self.answers, 4096):
                if self.heartbeat is not None:
                    self.heartbeat.heard()
            else:
                self.process.stdout.close()


class Supervisor:
    """Runs children until told to stop."""

    def __init__(self, settings: Settings, log: Log, locks: contextlib.ExitStack, ground: Ground) -> None:
        self._settings = settings
        self._log = log
        self._ground = ground
        held = supervisor_locks(settings.home)[1]
        self._ground.keep(held, lambda: take(held, locks))
        self._state_path = settings.home / "run" / "supervisor.json"
        self._state = ""
        self._identity = {
            "pid": os.getpid(),
            "started": process_started(os.getpid()),
            "version": VERSION,
            "settings": {name: value for name, value, _origin in settings.public()},
        }
        self._children = [Child("broker")]
        for door in DOORS:
            if importlib.util.find_spec(door.module) is None or (door.setting and not getattr(settings, door.setting)):
                continue
            if door.socket_of is None:
                self._children.append(Child(door.module))
            else:
                self._listen(door.module, door.socket_of(str(settings.home)))
        self._beat_s = (settings.heartbeat_s or BEAT_S) / LOOKS
        self._next_beat_s = time.monotonic() + self._beat_s
        self._running = True
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def run(self) -> None:
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, lambda *_: self._stop())
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only its wake-up matters
        while self._running:
            self._tend(time.monotonic())
            waiting = {c.listening.fileno(): c for c in self._children if c.listening is not None and c.waits}
            answers = {c.answers: c for c in self._children if c.answers >= 0}
            ready, _, _ = select.select([self._read, *waiting, *answers], [], [], self._timeout_s())
            for fd in ready:
                if fd in waiting:
                    waiting[fd].due_s = 0.0
                elif fd in answers:
                    answers[fd].listen_to()
            with contextlib.suppress(BlockingIOError):
                os.read(self._read, 4096)

    def _timeout_s(self) -> float:
        """Until the next restart or beat."""
        dues = [c.due_s for c in self._children if c.due_s is not None]
        return max(0.0, min([*dues, self._next_beat_s]) - time.monotonic())

    def _look(self) -> None:
        """Make again what was removed from the data folder. Raises GroundGone if the folder itself is gone."""
        note(self._log, self._ground.look())
        if self._state and self._read_state() != self._state:
            self._write_state()

    def _beat(self, now_s: float) -> None:
        """Ask each child whether it lives; kill one that hangs, unless ``heartbeat_s`` is 0."""
        if now_s < self._next_beat_s:
            return
        self._next_beat_s = now_s + self._beat_s
        self._look()
        for child in self._children:
            heartbeat, process = child.heartbeat, child.process
            if heartbeat is None or process is None:
                continue
            if not heartbeat.asked:
                heartbeat.ask()
                child.ask()
            elif heartbeat.look() and self._settings.heartbeat_s:
                self._log.error("child_hangs", child=child.name, pid=process.pid, silent_looks=heartbeat.silent)
                process.kill()

    def _listen(self, module: str, path: str) -> None:
        """Offer the socket of a child on demand."""
        child = Child(module, due_s=None)
        try:
            self._offer(child, path)
        except OSError as e:  # its clients run one for themselves
            self._log.error("socket_cannot_listen", path=path, detail=str(e))
            return
        self._children.append(child)
        self._ground.keep(path, lambda: self._offer(child, path))

    def _offer(self, child: Child, path: str) -> None:
        """Bind the child's socket. We hold the supervisor's lock: a file that is there is a dead one's. Raises OSError.

        A child that runs has the socket that is gone, and ends, in order; its clients come to the new one."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            clear_socket(self._settings, path)
            listening.bind(path)
            os.chmod(path, 0o600)
            listening.listen(1024)
        except OSError:
            listening.close()
            raise
        if child.listening is not None:
            child.listening.close()
        child.listening = listening
        if child.process is not None:
            child.process.terminate()

    def _stop(self) -> None:
        self._running = False

    def _tend(self, now_s: float) -> None:
        """Note what ended, start what is due."""
        changed = False
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._note_exit(child, now_s)
                changed = True
                self._look()  # perhaps it ended because the folder is gone
            if child.due_s is not None and child.due_s <= now_s:
                self._start(child, now_s)
                changed = True
        if changed:
            self._write_state()
        self._beat(now_s)

    def _note_exit(self, child: Child, now_s: float) -> None:
        assert child.process is not None
        status = child.process.returncode
        if now_s - child.started_s > _HEALTHY_S:
            child.backoff_s = _FIRST_BACKOFF_S
        child.exits = [*child.exits[-9:], status]
        if child.listening is not None and status == 0:  # it had nothing to do; the next connection starts it
            child.backoff_s = _FIRST_BACKOFF_S
            self._log.info("child_rests", child=child.name)
        else:
            child.due_s = now_s + child.backoff_s
            child.restarts += 1
            self._log.warning("child_ended", child=child.name, status=status, restart_in_s=child.backoff_s)
            child.backoff_s = min(child.backoff_s * 2, _LAST_BACKOFF_S)
        for pipe in (child.process.stdin, child.process.stdout):
            if pipe is not None:
                pipe.close()
        child.process = child.heartbeat = None

    def _start(self, child: Child, now_s: float) -> None:
        errors = self._settings.home / "logs" / f"{child.name}.stderr"
        fd = -1
        try:
            self._ground.check_home()
            prepare_home(self._settings)
            fd = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            child.process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
                child.command(),
                pass_fds=[] if child.listening is None else [child.listening.fileno()],
                stdin=subprocess.PIPE,  # held open by us: its end tells the child that we are gone
                stdout=subprocess.PIPE,  # for its heartbeat
                stderr=fd,
                bufsize=0,
            )
        except OSError as e:
            self._log.error("child_cannot_start", child=child.name, detail=str(e))
            child.due_s = now_s + child.backoff_s
            child.backoff_s = min(child.backoff_s * 2, _LAST_BACKOFF_S)
            return
        finally:
            if fd >= 0:
                os.close(fd)
        child.started_s, child.due_s = now_s, None
        child.heartbeat = Heartbeat(child.process.pid)
        self._log.info("child_started", child=child.name, pid=child.process.pid, restarts=child.restarts)

    def end(self, *, in_order: bool) -> None:
        """Stop the children: doors first, so that their last requests are answered; then the broker."""
        for child in reversed(self._children):
            process = child.process
            if process is None:
                continue
            if in_order:
                process.terminate()
            else:
                process.kill()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._log.warning("child_killed", child=child.name)
                process.kill()
                process.wait()
        self._log.info("supervisor_stopped")

    def _write_state(self) -> None:
        children = {
            c.name: {"pid": c.process.pid if c.process else None, "restarts": c.restarts, "exits": c.exits}
            for c in self._children
        }
        self._state = json.dumps({**self._identity, "children": children})
        try:
            write_private(self._state_path, self._state)
        except OSError as e:  # a full disk must not stop the service
            self._log.warning("state_not_written", detail=str(e))

    def _read_state(self) -> str:
        try:
            return self._state_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def take(path: str, locks: contextlib.ExitStack) -> None:
    """Hold a lock until ``locks`` ends. Raises GroundGone if another supervisor has it."""
    if not locks.enter_context(lock(path)):
        raise GroundGone(f"another supervisor has {path}")


def main(locked: int | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start, 3 one is running already.

    ``locked`` is a descriptor of the data folder, with its lock; the lock is taken here unless it is given.
    """
    try:
        settings = Settings.of_service()
        with contextlib.ExitStack() as locks:
            return _supervise(settings, locks, locked)
    except (SettingsError, OSError) as e:
        print(e, file=sys.stderr)
        return 1


def _supervise(settings: Settings, locks: contextlib.ExitStack, locked: int | None) -> int:
    """Raises SettingsError, OSError."""
    folder, file = supervisor_locks(settings.home)
    log = Log("supervisor", settings.home / "logs", settings.log_level)
    ground = None
    if locked is not None:
        locks.callback(os.close, locked)
        found = os.fstat(locked)
        ground = Ground(settings, (found.st_dev, found.st_ino))
        try:
            ground.check_home()
        except GroundGone as e:
            print(e, file=sys.stderr)
            return 1
    prepare_home(settings)
    try:
        for path in (file,) if locked is not None else (folder, file):
            take(path, locks)
    except GroundGone:
        print(f"already running for {settings.home}", file=sys.stderr)
        return ALREADY_RUNNING
    settings = _restored(settings, log)
    supervisor = Supervisor(settings, log, locks, ground or Ground(settings))
    try:
        supervisor.run()
    except GroundGone as e:  # there is nobody left to be answered
        log.error("ground_gone", detail=str(e))
        print(e, file=sys.stderr)
        supervisor.end(in_order=False)
        return 1
    supervisor.end(in_order=True)
    return 0


def _restored(settings: Settings, log: Log) -> Settings:
    """Finish a restore now, since the settings of the doors are part of what was restored. Raises SettingsError, OSError."""
    with lock(broker_lock(settings.home)) as alone:
        try:
            if alone and restore_journal.finish(settings.home):
                log.warning("restore_finished")
                settings = Settings.load()
                prepare_home(settings)
        except (OSError, SettingsError) as e:
            log.error("restore_not_finished", detail=str(e))
            raise
    return settings


def locked_in(arguments: list[str]) -> int | None:
    """What the command line says is ``locked``. That of ``start_supervisor`` needs no argparse (0.4 MB)."""
    if len(arguments) == 2 and arguments[0] == "--locked" and arguments[1].isdecimal():
        return int(arguments[1])
    import argparse

    parser = argparse.ArgumentParser(prog="python -m broker.service.supervisor", description="Run broker and doors.")
    parser.add_argument("--locked", type=int, metavar="FD", help="an inherited descriptor of the data folder, locked")
    found: int | None = parser.parse_args(arguments).locked
    return found


if __name__ == "__main__":
    sys.exit(main(locked_in(sys.argv[1:])))
