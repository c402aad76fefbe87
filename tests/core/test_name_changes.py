"""A random history of names against a model: none leaves a body that lives without force, and who loses one is told."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.core.leases import begin_connection, end_connection
from broker.core.sessions import token_hash
from tests.engine import HOUR, Core
from tests.examples import examples

NAMES = ("x", "y", "z")
SEEN, HIDDEN, SILENT = "seen", "hidden", "silent"
"""A program whose process is seen, one of another pid namespace, an old one that says nothing of itself."""


@dataclass(eq=False)
class Program:
    """One client and its connection."""

    route: str
    kind: str
    pid: int
    tokens: dict[str, str] = field(default_factory=dict)
    """By name: the last that it got."""

    @property
    def body(self) -> dict[str, Any] | None:
        return None if self.kind == SILENT else {"kind": "process", "key": f"p{self.pid}", "pid": self.pid, "started": "1"}


@dataclass(eq=False)
class Hold:
    """Who has a name, as the model sees it."""

    token: str
    pid: int | None
    """None where it was taken without a body."""
    route: str | None
    seen_s: float
    said_gone: bool = False
    subscriber: str | None = None
    watchers: set[str] = field(default_factory=set)

    @property
    def listeners(self) -> list[str]:
        """Connections that are pushed to."""
        return [*self.watchers, *([self.subscriber] if self.subscriber is not None else [])]


class Names(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="ipc-"))
        self.core = Core(self.home)
        self.pids = 0
        self.programs = [Program(f"r{n}", kind, self._pid(kind)) for n, kind in enumerate((SEEN, SEEN, HIDDEN, SILENT, SILENT))]
        self.holds: dict[str, Hold] = {}
        self.forwards: dict[str, float] = {}
        self.lost: dict[str, str] = {}
        """Code by token that must be told of."""
        self._connect_all()

    def _pid(self, kind: str) -> int:
        self.pids += 1
        self.core.processes[self.pids] = True if kind == SEEN else None
        return self.pids

    def _connect_all(self) -> None:
        for program in self.programs:
            begin_connection(self.core.engine.state, program.route.encode())

    def teardown(self) -> None:
        self.core.store.close()
        shutil.rmtree(self.home)

    # the model

    def lives(self, hold: Hold) -> bool:
        if hold.said_gone:
            return False
        if hold.listeners:
            return True
        if hold.pid is None:
            return False
        alive = self.core.processes[hold.pid]
        return self.core.wall_s - hold.seen_s <= 900 if alive is None else alive

    def loses(self, name: str, hold: Hold, code: str) -> None:
        """The holder's token ends, and all who listened by it have just been told so."""
        told = [o for o in self.core.late if o.get("push") == "session_replaced"]
        assert [o["code"] for o in told] == [code] * len(hold.listeners), (name, told)
        if code == "session_replaced":
            assert all(o["holder"]["since"] for o in told)
        self.lost[hold.token] = name

    # what programs do

    @rule(number=st.integers(0, 4), name=st.sampled_from(NAMES), force=st.booleans(), shows=st.booleans())
    def register(self, number: int, name: str, force: bool, shows: bool) -> None:
        program, hold = self.programs[number], self.holds.get(name)
        fields: dict[str, Any] = {"force": True} if force else {}
        if program.body is not None:
            fields["body"] = program.body
        if shows and name in program.tokens:
            fields["session_token"] = program.tokens[name]
        self.core.late.clear()
        reply = self.core.batch({"as_": program.route, "action": "register", "instance_id": name, **fields})[-1]
        if hold is None and self.forwards.get(name, 0.0) > self.core.wall_s:
            assert reply["code"] == "name_forwarding"
            return
        if hold is not None:
            own = fields.get("session_token") == hold.token or (program.body is not None and hold.pid == program.pid)
            own = own or program.route in (hold.route, *hold.listeners)
            if self.lives(hold) and not force and not own:
                assert reply["code"] == "name_held" and reply["holder"]["since"] and not self.core.late, reply
                return
        assert reply["status"] == "ok", reply
        if hold is not None:
            self.loses(name, hold, "session_replaced")
        program.tokens[name] = reply["session_token"]
        pid = None if program.body is None else program.pid
        self.holds[name] = Hold(reply["session_token"], pid, program.route, self.core.wall_s)
        self.forwards.pop(name, None)

    def _held_by(self, program: Program) -> list[tuple[str, Hold]]:
        return [(name, hold) for name, hold in self.holds.items() if hold.token in program.tokens.values()]

    @rule(number=st.integers(0, 4), action=st.sampled_from(["whoami", "subscribe", "watch", "gone", "back", "unregister"]))
    def act(self, number: int, action: str) -> None:
        """With each name that the program has."""
        program = self.programs[number]
        for name, hold in self._held_by(program):
            self.core.late.clear()
            fields: dict[str, Any] = {"action": action}
            if action == "watch":
                fields = {"action": "subscribe", "notify": True}
            elif action in ("gone", "back"):
                fields = {"action": "presence", "state": "gone" if action == "gone" else "idle"}
            reply = self.core.batch({"as_": program.route, "session_token": hold.token, **fields})[-1]
            assert reply["status"] == "ok", reply
            hold.seen_s = self.core.wall_s
            if action == "subscribe":
                hold.subscriber = program.route
            elif action == "watch":
                hold.watchers.add(program.route)
            elif action == "gone":
                hold.said_gone = True
            elif action == "back":
                hold.said_gone = False
            elif action == "unregister":
                self.loses(name, hold, "session_ended")
                del self.holds[name]

    @rule(number=st.integers(0, 4), new=st.sampled_from(NAMES))
    def rename(self, number: int, new: str) -> None:
        for name, hold in self._held_by(self.programs[number])[:1]:
            reply = self.core.batch({"as_": "r", "action": "rename", "new_id": new, "session_token": hold.token})[-1]
            hold.seen_s = self.core.wall_s
            if new != name and (new in self.holds):
                assert reply["code"] == "name_taken"
            elif reply["status"] == "ok" and new != name:
                self.holds[new] = self.holds.pop(name)
                self.forwards.pop(new, None)
                self.forwards[name] = self.core.wall_s + 2 * HOUR

    # what happens to them

    @rule(number=st.integers(0, 4), dies=st.booleans())
    def disconnects(self, number: int, dies: bool) -> None:
        program = self.programs[number]
        end_connection(self.core.engine.state, program.route.encode())
        for hold in self.holds.values():
            hold.watchers.discard(program.route)
            hold.subscriber = None if hold.subscriber == program.route else hold.subscriber
            hold.route = None if hold.route == program.route else hold.route
        if dies and program.kind == SEEN:
            self.core.processes[program.pid] = False
            program.pid = self._pid(program.kind)
            program.tokens.clear()
        program.route = f"r{int(program.route[1:]) + 10}"
        begin_connection(self.core.engine.state, program.route.encode())

    @rule(seconds=st.sampled_from([1.0, 100.0, 899.0, 901.0, HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.core.pass_time(seconds)

    @rule()
    def broker_is_killed(self) -> None:
        self.core.restart()
        self._connect_all()
        for hold in self.holds.values():
            hold.subscriber, hold.route = None, None
            hold.watchers.clear()

    # what must hold

    @invariant()
    def each_holder_can_act_and_each_loser_is_told(self) -> None:
        state = self.core.engine.state
        assert {name for name, m in state.mailboxes.items() if m.claimed} == set(self.holds)
        for name, hold in self.holds.items():
            session = state.mailboxes[name].session
            assert session is not None and session.token_hash == token_hash(hold.token) and not session.replaced
        for token in list(self.lost)[-3:]:
            reply = self.core.ask(None, "whoami", session_token=token)
            assert reply["code"] in ("session_replaced", "session_ended"), reply


Names.TestCase.settings = examples(60, stateful_step_count=30, suppress_health_check=list(HealthCheck))
TestNames = Names.TestCase
