"""Random traffic on all doors while broker, door and supervisor are killed, stopped and told to end.

A run is a row of homes. In each, agents write and read through their doors for a number of cycles; each cycle does one
violence and waits until an agent's request is answered again, which is the recovery time. Then all is quiet, the mailboxes
are emptied and the history is judged.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import broker.client.sync
import broker.service.launcher
from broker.client.sync import Connection, connect
from broker.home.endpoints import endpoint
from broker.home.settings import Settings
from broker.service.launcher import ensure_running
from tests.deep.faults.agents import Agent, CliDoor, ClientDoor, Door, Forger, LineDoor, McpDoor, OneShotDoor
from tests.deep.faults.history import History, Problem
from tests.deep.faults.points import FILE, POINTS
from tests.ports import free_port
from tests.processes import alive

ROOT = Path(__file__).resolve().parents[3]
CYCLES_A_HOME = 25
LEASE_S = 1.0
_DEADLINE_S = 30.0
SLOW_END_S = 3.0
AGENTS = ("zmq", "unix", "line1", "line2", "shot", "cli", "mcp")
SIGNALS = tuple(
    f"{signal_name} {victim}" for signal_name in ("SIGKILL", "SIGTERM", "SIGSTOP") for victim in ("broker", "tcp", "supervisor")
)
FAULTS = (*SIGNALS, *(f"killed at {point}" for point in POINTS))


class Stuck(Exception):
    """The service did not come back in time."""


@dataclass(slots=True)
class Result:
    """Counts and times of a run, by fault."""

    seed: str
    tried: Counter[str] = field(default_factory=Counter)
    recovery_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        broken = Counter(p.rule for p in self.problems)
        rows = []
        for fault in sorted(self.tried):
            times = self.recovery_s[fault]
            median_s, max_s = (statistics.median(times), max(times)) if times else (None, None)
            rows.append({"fault": fault, "tried": self.tried[fault], "median_s": median_s, "max_s": max_s})
        return {
            "seed": self.seed,
            "cycles": sum(self.tried.values()),
            "faults": rows,
            "counts": dict(sorted(self.counts.items())),
            "problems": dict(broken),
            "first_problems": [f"{p.rule}: {p.detail}" for p in self.problems[:20]],
        }


class Home:
    """One service in a temporary home, started through the test's supervisor."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="ipc-"))
        self.env = {
            "IPC_HOME": str(self.path),
            "IPC_PORT": str(free_port()),
            "IPC_LEASE": str(LEASE_S),
            "IPC_RATE_LIMIT": "0",
            "IPC_MAILBOX_LIMIT": "0",
            # read mail is swept at each start once it is older than the time that ids are remembered
            "IPC_READ_TTL": "45",
            "IPC_DEDUPE": "45",
        }
        self.settings = Settings.load(env=self.env)
        self.process_env = {**{k: v for k, v in os.environ.items() if not k.startswith("IPC_")}, **self.env}
        self.process_env["PYTHONPATH"] = str(ROOT)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        ensure_running(self.settings)
        self.wait("the TCP door", self._door_answers)

    @contextlib.contextmanager
    def starts_services(self) -> Iterator[None]:
        """Meanwhile the clients of this process start this home's service in place of the launcher's own."""
        before = broker.service.launcher.start_supervisor
        broker.service.launcher.start_supervisor = self.start_supervisor
        try:
            yield
        finally:
            broker.service.launcher.start_supervisor = before

    def start_supervisor(self, _settings: Settings, _environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        errors = os.open(self.path / "logs" / "start.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        command = [sys.executable, "-m", "tests.deep.faults.points", "supervisor"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=self.process_env, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
            start_new_session=True,
        )  # fmt: skip
        os.close(errors)
        self._started.append(process)
        return process

    def port(self) -> int:
        return self.settings.port

    def _door_answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", self.port()), 1.0).close()
            return True
        return False

    def pid(self, child: str) -> int:
        try:
            state = json.loads((self.path / "run" / "supervisor.json").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        pid = state["pid"] if child == "supervisor" else (state["children"].get(child) or {}).get("pid")
        return pid if pid and self.alive(pid) else 0

    def alive(self, pid: int) -> bool:
        for process in self._started:
            process.poll()
        return alive(pid)

    def wait(self, what: str, condition: Callable[[], Any], deadline_s: float = _DEADLINE_S) -> Any:
        end_s = time.monotonic() + deadline_s
        while not (value := condition()):
            if time.monotonic() > end_s:
                raise Stuck(f"waited {deadline_s:g} s for {what} in {self.path}")
            time.sleep(0.005)
        return value

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.wait("the supervisor", lambda: self.pid("supervisor")), signal.SIGTERM)
        self.wait("the end of all", lambda: not any(self.pid(c) for c in ("broker", "tcp", "supervisor")))

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Run:
    """One home's worth of cycles."""

    def __init__(self, seed: str, cycles: int, result: Result) -> None:
        self.seed, self.cycles, self.result = seed, cycles, result
        self.random = random.Random(seed)  # noqa: S311 (a seeded test)
        self.home = Home()
        self.history = History(list(AGENTS))
        self.agents: list[Agent] = []

    def run(self) -> None:
        with environment(self.home.env), self.home.starts_services():
            self.home.start()
            self._populate()
            probe = Agent("probe", self.doors["probe"], self.history, "")
            for _ in range(self.cycles):
                fault = self.random.choice(FAULTS)
                self.result.tried[fault] += 1
                self.result.recovery_s[fault].append(self._cycle(fault, probe))
            self._finish()
        self.home.remove()

    def _populate(self) -> None:
        others = ("zmq", "cli", "mcp")
        with closing(Connection(self.home.settings)) as first:
            for name in others[1:]:  # there for broadcasts; by nobody's body, so that their programs can take them
                first.request("register", instance_id=name)
        clients = {n: connect(n, settings=self.home.settings) for n in [*AGENTS, "probe", "mallory"] if n not in others}
        over_zeromq = self.home.settings.but(endpoint=endpoint(self.home.settings))
        clients["zmq"] = connect("zmq", settings=over_zeromq)
        tokens = {n: c.token for n, c in clients.items()}
        subprocess.run(
            [sys.executable, "-m", "bridges.cli", "register", "cli"], env=self.home.process_env, check=True, capture_output=True
        )
        self.doors: dict[str, Door] = {
            "zmq": ClientDoor(clients["zmq"]),
            "unix": ClientDoor(clients["unix"]),
            "line1": LineDoor(self.home.port, tokens["line1"]),
            "line2": LineDoor(self.home.port, tokens["line2"]),
            "shot": OneShotDoor(self.home.port, tokens["shot"]),
            "cli": CliDoor(self.home.process_env, "cli"),
            "mcp": McpDoor(self.home.process_env, "mcp"),
            "probe": ClientDoor(clients["probe"]),
        }
        for name in AGENTS:
            pause_s = {"cli": 0.3, "mcp": 0.05}.get(name, 0.001)
            self.agents.append(Agent(name, self.doors[name], self.history, f"{self.seed}-{name}", pause_s))
        self.forger = Forger(Connection(self.home.settings), tokens["mallory"], list(AGENTS), f"{self.seed}-forger")
        for name in ("line1", "line2", "shot", "mallory"):
            clients[name].close()
        for thread in (*self.agents, self.forger):
            thread.start()

    def _cycle(self, fault: str, probe: Agent) -> float:
        """Do it, and return the seconds from the death (or the stop) until an agent is answered again."""
        time.sleep(self.random.uniform(0.02, 0.25))  # traffic in between, so that each fault meets another moment
        kind, _, rest = fault.partition(" ")
        began_s = self._kill_at(rest.removeprefix("at ")) if kind == "killed" else self._signal(kind, rest)
        self._until_answered(probe, "tcp" in fault)
        return time.monotonic() - began_s

    def _signal(self, name: str, victim: str) -> float:
        pid = self.home.wait(f"a running {victim}", lambda: self.home.pid(victim))
        began_s = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, getattr(signal, name))
            if name == "SIGSTOP":
                time.sleep(self.random.uniform(0.05, 0.6))
                os.kill(pid, signal.SIGCONT)
            else:
                self._await_end(pid, f"{name} {victim}")
        return began_s

    def _await_end(self, pid: int, what: str) -> None:
        """Wait for a process to be gone. One that takes long over it is a fault; its stacks are kept."""
        before = {child: self.home.pid(child) for child in ("broker", "tcp")}
        try:
            self.home.wait(f"the end of {what}", lambda: not self.home.alive(pid), SLOW_END_S)
        except Stuck:
            for child_pid in filter(None, before.values()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child_pid, signal.SIGUSR1)
            time.sleep(0.2)
            stacks = [f"{c}: {(self.home.path / 'logs' / f'{c}.stderr').read_text()}" for c in before]
            self.result.problems.append(Problem("slow_end", f"{what}\n" + "\n".join(stacks)))
            self.home.wait(f"the end of {what}", lambda: not self.home.alive(pid))

    def _kill_at(self, point: str) -> float:
        """Have the next broker die at the point; if the traffic does not lead it there in time, end it."""
        self._test_supervisor()
        file = self.home.path / "run" / FILE
        file.write_text(json.dumps({"point": point, "nth": self.random.randint(1, 40)}))
        self._signal("SIGKILL", "broker")
        self.home.wait("the armed broker", lambda: not file.exists())
        armed = self.home.wait("its process", lambda: self._armed_pid())
        end_s = time.monotonic() + 3.0
        while self.home.alive(armed) and time.monotonic() < end_s:
            time.sleep(0.002)
        if self.home.alive(armed):
            self.result.counts["point not reached"] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(armed, signal.SIGKILL)
        return time.monotonic()

    def _armed_pid(self) -> int:
        """The broker's pid as the supervisor knows it, which may have died at once."""
        try:
            state = json.loads((self.home.path / "run" / "supervisor.json").read_text())
        except (FileNotFoundError, ValueError):
            return 0
        return int((state["children"]["broker"] or {}).get("pid") or 0)

    def _test_supervisor(self) -> None:
        """A command may have started the plain supervisor after a kill; put the test's in its place."""
        pid = self.home.wait("a supervisor", lambda: self.home.pid("supervisor"))
        with contextlib.suppress(OSError):
            if b"tests.deep.faults" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return
        self._signal("SIGKILL", "supervisor")
        self.home.start()

    def _until_answered(self, probe: Agent, tcp: bool) -> None:
        def answered() -> bool:
            with contextlib.suppress(Exception):
                return bool(probe.door.ask({"action": "whoami"})["status"] == "ok")
            return False

        self.home.wait("an answer", answered)
        if tcp:
            self.home.wait("the TCP door", self.home._door_answers)

    def _finish(self) -> None:
        for thread in (*self.agents, self.forger):
            thread.stopping.set()
        for thread in (*self.agents, self.forger):
            thread.join(90.0)
            if thread.is_alive() or thread.error:
                raise AssertionError(f"{thread.name} failed") from thread.error
        self.home.start()
        for agent in self.agents:
            agent.drain(LEASE_S)
        self.history.finish()
        self.result.counts.update(self.history.counts)
        self.result.counts["forgeries refused"] += self.forger.tried
        self.result.problems += self.history.problems
        for agent in self.agents:
            agent.door.close()
        self.home.stop()
        self.doors["probe"].close()
        self.forger.connection.close()
        self._look_at_the_folder()

    def _look_at_the_folder(self) -> None:
        """What the processes left: a database without faults, no half-written file, no unexpected exception."""
        import sqlite3

        with contextlib.closing(sqlite3.connect(self.home.path / "ipc.db")) as db:
            verdict = db.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            self.result.problems.append(Problem("corrupt", verdict))
        for log in (self.home.path / "logs").glob("*.log"):
            for line in log.read_text(errors="replace").splitlines():
                if '"traceback"' in line:
                    self.result.problems.append(Problem("exception", line[:2000]))


def run(seed: str, cycles: int, report: Callable[[str], None] = lambda _line: None) -> Result:
    """Run so many cycles; stop at the home that shows a problem and keep its folder."""
    result = Result(seed)
    for number, start in enumerate(range(0, cycles, CYCLES_A_HOME)):
        one = Run(f"{seed}/{number}", min(CYCLES_A_HOME, cycles - start), result)
        try:
            one.run()
        except (Stuck, AssertionError, TimeoutError) as e:
            result.problems.append(Problem("stuck", f"{e}: {e.__cause__!r}; {one.home.path}"))
        report(f"{start + one.cycles} cycles, {result.counts['deliveries']} deliveries, {len(result.problems)} problems")
        if result.problems:
            break
    return result
