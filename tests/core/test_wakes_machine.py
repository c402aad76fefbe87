"""A random history of one agent's ways: one notice at a time, none in a turn but for interrupts, and no mail is forgotten."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from broker.core.leases import end_connection
from tests.core.wakeable import LOOK_S, Host
from tests.engine import Core, small
from tests.examples import examples

WAYS = ("socket", "monitor", "queue", "of-a-new-host")
STEP_S = (0.0, 0.1, 0.3, 2.0, LOOK_S, 130.0)
BOUND_S = 130.0 + (LOOK_S + 0.1) * (len(WAYS) + 1)
"""A turn may go on for two minutes without a word, and each way has ``LOOK_S``."""


class Waking(RuleBasedStateMachine):
    """The processes of the ways answer, fail, end and come again at random; so do turns and reads."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="ipc-"))
        self.core = Core(self.folder)
        small(self.core, wake_limit=0, pair_wake_limit=0)
        self.core.register("fred", "claude")
        self.host = Host(self.core)
        self.host.pushes()
        self.at_work = False
        self.urgent = False
        """An interrupt was sent since the last notice."""
        self.out: str | None = None
        """The way whose notice is outstanding."""
        self.given: list[str] = []
        """Ways that gave notices since mail last came or the agent last gave a sign."""
        self.waits_s: float | None = None
        """Since when mail waits of which nobody was told."""

    def teardown(self) -> None:
        self.core.store.close()
        shutil.rmtree(self.folder)

    def box(self) -> Any:
        return self.core.engine.state.mailboxes["claude"]

    def hear(self) -> None:
        """Take what is pushed by now."""
        pushes = [push for push in self.host.pushes() if push.get("push") == "wake"]
        assert len(pushes) <= 1
        for push in pushes:
            assert self.out is None or self.box().waking.called == push["way"], "two notices are out"
            assert not self.at_work or self.urgent or self.out, "a turn runs, and no interrupt is under way"
            assert push["way"] not in self.given, "it was tried for this mail"
            assert push["unread"] > 0
            self.out, self.waits_s, self.urgent = push["way"], None, False
            self.given.append(push["way"])
        if not self.box().waking.called:
            self.out = None

    def signed(self) -> None:
        self.out, self.given = None, []

    @rule(way=st.sampled_from(WAYS))
    def arm(self, way: str) -> None:
        before = self.host.states().get(way)
        self.host.arm(way)
        if before in (None, "failed", "refused"):
            self.given = [one for one in self.given if one != way]
        self.urgent = self.urgent or (before is None and bool(self.box().urgent))
        if before is None and self.box().loud and self.waits_s is None and not self.box().waking.called:
            self.waits_s = self.core.mono_s
        self.hear()

    @rule(way=st.sampled_from(WAYS))
    def process_ends(self, way: str) -> None:
        state = self.core.engine.state
        state.connections[way.encode()] = {self.box().id}
        end_connection(state, way.encode())
        self.hear()

    @rule(land=st.sampled_from(["turn", "tool", "interrupt"]))
    def mail_comes(self, land: str) -> None:
        self.core.send("fred", "claude", land=land)
        self.urgent = self.urgent or land == "interrupt"
        if self.host.states():
            self.waits_s = self.core.mono_s if self.waits_s is None else self.waits_s
        self.given = []
        self.hear()

    @precondition(lambda self: self.out)
    @rule(result=st.sampled_from(["given", "given", "failed", "refused"]))
    def process_answers(self, result: str) -> None:
        assert self.out
        self.host.answer(self.out, result)
        self.hear()

    @rule()
    def turn_begins(self) -> None:
        self.signed()
        self.at_work = True
        self.core.ask("claude", "report", event="turn_began")
        self.hear()

    @rule()
    def turn_ends(self) -> None:
        self.at_work = False
        self.core.ask("claude", "report", event="turn_ended")
        self.hear()

    @rule()
    def mail_is_read(self) -> None:
        messages = self.core.check("claude")
        if messages:
            self.signed()
            self.core.ask("claude", "ack", ids=[m["id"] for m in messages])
        self.urgent, self.waits_s = False, None
        self.hear()

    @rule(step_s=st.sampled_from(STEP_S))
    def time_passes(self, step_s: float) -> None:
        for _ in range(max(1, round(step_s / 2.0))):  # the server does chores when they are due
            self.core.pass_time(step_s / max(1, round(step_s / 2.0)))
            if self.at_work and step_s > 120:
                self.at_work = self.core.wall_s - self.box().activity.event_s < 120
            self.hear()

    @invariant()
    def nothing_that_is_due_is_forgotten(self) -> None:
        waking, due = self.box().waking, self.core.engine.state.waking
        if waking.called or waking.due_s < float("inf"):
            assert self.box().id in due
        if self.waits_s is not None and self.box().loud and any(w.state == "armed" for w in waking.ways):
            assert self.core.mono_s - self.waits_s <= BOUND_S


Waking.TestCase.settings = examples(60, stateful_step_count=40, suppress_health_check=list(HealthCheck), deadline=None)
TestWaking = Waking.TestCase
