"""Agents in real hosts that are killed again and again while mail comes, and what their model really saw of it."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.hosts.machine import CLAUDE_TOOLS, NO_LIMITS, Machine, wait_until
from bench.hosts.model_dialects import ANSWER, Order
from bench.hosts.recording_model import RecordingModel, Request
from bench.hosts.terminals import Claude, Codex, Terminal
from bridges import mail_evidence
from broker.protocol.errors import IpcError
from tests.conftest import Service

LANDS = ("turn", "tool", "tool", "interrupt")
_TURN_TOOLS = 0.6
"""How likely a request of the model is answered by tool calls."""
_THINK_S = 0.3
_PAUSE_S = (2.0, 9.0)
"""Seconds between two disasters of one agent."""
_STEP_S = 1.5
"""Seconds that the tools of one answer take, about."""


class Script:
    """A model that calls one to three tools as often as not. It is asked by threads of the model's server."""

    def __init__(self, machine: Machine, seed: int) -> None:
        self._draw = random.Random(seed)  # noqa: S311
        self._lock = threading.Lock()
        self._note = machine.home / "note.txt"
        self._note.write_text("hello\n")

    def __call__(self, request: Request) -> Sequence[Order]:
        with self._lock:
            think_s, works = self._draw.uniform(0, _THINK_S), self._draw.random() < _TURN_TOOLS
            count, seconds = self._draw.choice((1, 2, 3, 3)), self._draw.uniform(0.05, 0.8)
            checks = self._draw.random() < 0.2
        time.sleep(think_s)
        if not works:
            return ()
        if "input" in request.body:
            tools: list[Order] = [("exec_command", {"cmd": f"sleep {seconds:.2f}"})] * count
            return [("mcp__ipc__check", {})] if checks else tools
        sleep: Order = ("Bash", {"command": f"python3 -c 'import time; time.sleep({seconds:.2f})'", "description": "wait"})
        read: Order = ("Read", {"file_path": str(self._note)})
        return [(f"{CLAUDE_TOOLS}check", {}), read] if checks else [sleep, read, sleep][:count]


@dataclass
class KilledAgent:
    """One name, whose host is killed and started again in its project, sometimes with the conversation that it had."""

    machine: Machine
    model: RecordingModel
    host: type[Claude] | type[Codex]
    name: str
    seed: int
    kills: int = 0
    failures: list[str] = field(default_factory=list)
    _terminal: Terminal | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.project = self.machine.home / self.name
        self.project.mkdir(exist_ok=True)
        self._draw = random.Random(self.seed)  # noqa: S311
        self._thread = threading.Thread(target=self._live_and_die, name=self.name)

    def start(self) -> None:
        self._begin()
        self._thread.start()

    def settle(self) -> None:
        """No disaster comes any more; the agent runs."""
        self._over.set()
        self._thread.join(180)
        assert not self._thread.is_alive() and self.failures == [], self.failures

    def nudge(self) -> None:
        """A prompt of a person, if the host takes one now."""
        if self._terminal is not None:
            with suppress(TimeoutError, OSError):
                self._terminal.type("go on")

    def end(self) -> None:
        """End the agent, also where it failed."""
        self._over.set()
        self._thread.join(180)
        if self._terminal is not None:
            self._terminal.end()
        if (binding := self.machine.binding(self.project)) is not None and binding.live():
            os.kill(binding.pid, signal.SIGKILL)

    def screen(self) -> str:
        return "" if self._terminal is None else self._terminal.screen()

    def _begin(self, *arguments: str) -> None:
        flags = ("--permission-mode", "default") if self.host is Claude else ("--dangerously-bypass-approvals-and-sandbox",)
        self._terminal = self.host(self.machine, self.model, *flags, *arguments, project=self.project)

    def _live_and_die(self) -> None:
        try:
            while not self._over.wait(self._draw.uniform(*_PAUSE_S)):
                if self._draw.random() < 0.3:
                    self.nudge()
                    continue
                self._die()
                self._again()
        except (TimeoutError, AssertionError, OSError) as e:
            self.failures.append(f"{self.name}: {e}")

    def _die(self) -> None:
        assert self._terminal is not None
        binding = self.machine.binding(self.project)
        if binding is not None and self._draw.random() < 0.6:
            self._wait_for_the_worst_moment(binding.session)
        if binding is not None and binding.live() and self._draw.random() < 0.8:
            os.kill(binding.pid, signal.SIGKILL)
        self._terminal.end()  # else its terminal is closed, and it may say so
        self.kills += 1
        if binding is not None:
            wait_until("the host's end", lambda: not binding.live(), 20)

    def _wait_for_the_worst_moment(self, session: str) -> None:
        """Mail was given to the host, and nothing has shown yet that its model has it."""
        with suppress(TimeoutError):
            wait_until("mail that was given", lambda: mail_evidence.held(str(self.machine.data), session), _PAUSE_S[1])
            time.sleep(self._draw.uniform(0, _STEP_S))

    def _again(self) -> None:
        if self.host is Claude and self._draw.random() < 0.5 and self._left_a_conversation():
            with suppress(TimeoutError):
                self._begin("--continue")
                return
        self._begin()

    def _left_a_conversation(self) -> bool:
        """True if the newest conversation of the project has a word of the model; the host goes on with no other."""
        found = self.machine.home.glob(f".claude/projects/*-{self.name}/*.jsonl")
        newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
        return newest is not None and ANSWER in newest.read_text()


@dataclass(frozen=True)
class Verdict:
    """What the broker says of the messages beside what the model's requests held. Each is a list of sentences."""

    false: list[str]
    """Said to be in context, and no request held it by then."""
    lost: list[str]
    """Neither held by a request nor said to wait or to have ended."""
    waiting: list[str]
    """Not held by any request, and said so."""
    unproven: list[str]
    """Held by a request, and not yet said to be in context."""
    inferred: int


def judge(receipts: Sequence[dict[str, Any]], words: dict[str, str], model: RecordingModel) -> Verdict:
    """``words`` tells the text of each message by its id."""
    verdict = Verdict([], [], [], [], sum(1 for r in receipts if r.get("inferred")))
    for receipt in receipts:
        held, step = model.first_with(words[receipt["id"]]) is not None, receipt["step"]
        read = step in ("in_context", "answered") or any(s["step"] == "in_context" for s in receipt["steps"])
        sentence = f"{words[receipt['id']]} to {receipt['to']}: {step} {receipt.get('why', '')} {receipt['steps']}"
        if read and not held:
            verdict.false.append(sentence)
        elif held and not read:
            verdict.unproven.append(sentence)
        elif not held:
            reported = step in ("stored", "pushed", "expired", "refused", "withdrawn", "dead")
            (verdict.waiting if reported else verdict.lost).append(sentence)
    return verdict


class KillProof:
    """Two agents of Claude Code, one of Codex CLI if it is installed, a broker that is killed, and bob, who writes to them."""

    def __init__(self, home: Path, model: RecordingModel, seed: int) -> None:
        self.machine = Machine(home)
        self.machine.env |= NO_LIMITS
        self.model = model
        self.draw = random.Random(seed)  # noqa: S311
        model.script = Script(self.machine, seed)
        self.service = Service(self.machine.data, **NO_LIMITS)
        self.machine.write(".claude/settings.json", '{"permissions": {"allow": ["Bash", "Read"]}}')
        self.machine.ipc("install", "claude", "--allow")
        hosts: list[type[Claude] | type[Codex]] = [Claude, Claude]
        if shutil.which("codex", path=self.machine.env["PATH"]):
            self.machine.ipc("install", "codex", "--allow")
            hosts.append(Codex)
        self.machine.ipc("register", "bob")
        self.agents = [
            KilledAgent(self.machine, model, host, f"agent{n}", self.draw.randrange(1 << 30)) for n, host in enumerate(hosts)
        ]
        self.words: dict[str, str] = {}
        self.broker_kills = 0

    def run(self, messages: int, over_s: float) -> None:
        """Send that many in about so many seconds, among disasters."""
        for agent in self.agents:
            agent.start()
        for number in range(messages):
            words = f"mail-{number:03}-{self.draw.randrange(1 << 32):08x}"
            agent = self.draw.choice(self.agents)
            self.words[self._send(agent.name, words)] = words
            if self.draw.random() < 0.04:
                self.service.kill("broker")
                self.broker_kills += 1
            time.sleep(self.draw.uniform(0, 2 * over_s / messages))
        for agent in self.agents:
            agent.settle()

    def _send(self, name: str, words: str) -> str:
        """Send until the broker says that it has the message. Its id keeps a second attempt from being a second message."""

        def sent() -> str:
            with suppress(IpcError):
                land = LANDS[len(self.words) % len(LANDS)]
                body = {"to_id": name, "message": {"content": words}, "land": land, "message_id": f"of-{words[-8:]}"}
                return str(self.machine.request("bob", "send", **body)["message_id"])
            return ""

        return str(wait_until("the broker", sent))

    def receipts(self) -> list[dict[str, Any]]:
        ids = list(self.words)
        return [
            row
            for start in range(0, len(ids), 100)
            for row in self.machine.request("bob", "receipts", ids=ids[start : start + 100])["receipts"]
        ]

    def verdict(self) -> Verdict:
        receipts = self.receipts()  # first: what the model sees meanwhile can't make a false one true
        return judge(receipts, self.words, self.model)

    def until_quiet(self, deadline_s: float) -> Verdict:
        """The verdict once nothing waits any more, or at the deadline. A person's prompt helps on the way."""
        end_s = time.monotonic() + deadline_s
        verdict = self.verdict()
        while (verdict.waiting or verdict.unproven) and time.monotonic() < end_s:
            for agent in self.agents:
                agent.nudge()
            time.sleep(5)
            verdict = self.verdict()
        return verdict

    def close(self) -> None:
        for agent in self.agents:
            agent.end()
        self.machine.ipc("down")
