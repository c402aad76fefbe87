"""Receipts against a model: whatever is sent, pushed, taken, given back, read, answered, and however often the broker dies."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from broker.core import steps
from broker.core.batch import Batch
from tests.engine import Core
from tests.examples import examples

LEASE_S = 30
WAYS = ("socket", "monitor", "queue")
EVIDENCE = (None, "hook", "tool", "closed", "inferred")


@dataclass
class Way:
    """What the model knows of one message for one reader."""

    reader: str
    waits: bool = True
    leased_until_s: float = 0.0
    attempts: int = 0
    pushed: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    """Pushes that are not written yet."""
    evidence: str | None = None
    ending: str | None = None
    answered: bool = False

    def path(self, now_s: float) -> list[str]:
        told = ["stored", *(f"pushed {way}" for way in dict.fromkeys([*self.pushed, *self.fresh]))]
        if self.waits and (self.attempts or self.leased_until_s > now_s):
            told.append("pushed handed out")
        if not self.waits:
            told.append(self.ending or ("in_context?" if self.evidence in ("closed", "inferred") else "in_context"))
        return [*told, "answered"] if self.answered else told


class Receipts(RuleBasedStateMachine):
    """Fred writes to claude and bob; time passes in whole seconds."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="ipc-")
        self.core = Core(Path(self.folder.name))
        self.core.register("fred", "claude", "bob")
        self.ways: dict[tuple[str, str], Way] = {}

    def teardown(self) -> None:
        if hasattr(self, "core"):
            self.core.store.close()
            self.folder.cleanup()

    def of(self, data: st.DataObject, *, reader: str | None = None) -> tuple[str, Way] | None:
        keys = sorted(key for key in self.ways if reader in (None, key[1]))
        if not keys:
            return None
        key = data.draw(st.sampled_from(keys))
        return key[0], self.ways[key]

    @rule(to=st.sampled_from(["claude", "bob"]), land=st.sampled_from(["interrupt", "tool", "turn", "digest"]))
    def send(self, to: str, land: str) -> None:
        number = self.core.send("fred", to, land=land)["number"]
        self.ways[number, to] = Way(to)

    @rule()
    def broadcast(self) -> None:
        number = self.core.ask("fred", "broadcast", message={"content": "x"})["number"]
        for name in ("claude", "bob"):
            self.ways[number, name] = Way(name)

    @rule(data=st.data(), name=st.sampled_from(WAYS))
    def push(self, data: st.DataObject, name: str) -> None:
        found = self.of(data)
        if found is not None:
            number, way = found
            core = self.core
            core.pass_time(0.001)  # no two notices are given in the same instant, and the receipt orders them by time
            batch = Batch(core.engine.state, core.store, core.engine.settings, core.now(), lambda: "")
            steps.pushed(batch, core.engine.state.mailboxes[way.reader], [int(number)], name)
            way.fresh.append(name)

    @rule(seconds=st.sampled_from([1, 10, LEASE_S]))
    def wait(self, seconds: int) -> None:
        self.core.pass_time(seconds)
        self.core.engine.keep_house(self.core.now())
        for way in self.ways.values():
            way.pushed, way.fresh = [*way.pushed, *way.fresh], []

    @rule(who=st.sampled_from(["claude", "bob"]), limit=st.integers(1, 3))
    def check(self, who: str, limit: int) -> None:
        for mail in self.core.check(who, limit=limit):
            way = self.ways[mail["id"], who]
            assert way.waits and mail.get("redelivered", False) == bool(way.attempts)
            way.attempts, way.leased_until_s = way.attempts + 1, self.core.mono_s + LEASE_S

    @rule(data=st.data(), evidence=st.sampled_from(EVIDENCE))
    def ack(self, data: st.DataObject, evidence: str | None) -> None:
        found = self.of(data)
        if found is not None:
            number, way = found
            was_given = way.waits and way.attempts > 0
            fields: dict[str, Any] = {} if evidence is None else {"evidence": evidence}
            assert self.core.ask(way.reader, "ack", ids=[number], **fields)["acked"] == was_given
            if was_given:
                way.waits, way.evidence = False, evidence

    @rule(data=st.data(), unseen=st.booleans(), refuse=st.booleans())
    def give_back(self, data: st.DataObject, unseen: bool, refuse: bool) -> None:
        found = self.of(data)
        if found is not None:
            number, way = found
            held = way.waits and way.leased_until_s > self.core.mono_s
            fields = {"refuse": True} if refuse else {"unseen": True} if unseen else {}
            self.core.ask(way.reader, "release", ids=[number], **fields)
            if refuse and way.waits and way.attempts:
                way.waits, way.ending = False, "refused"
            elif held:
                way.attempts -= unseen
                way.leased_until_s = 0.0

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        found = self.of(data)
        if found is not None:
            self.core.ask("fred", "withdraw", withdraw_id=found[0])
            for (number, _), way in self.ways.items():
                if number == found[0] and way.waits and not way.attempts:
                    way.waits, way.ending = False, "withdrawn"

    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        found = self.of(data)
        if found is not None:
            number, way = found
            reply = self.core.ask(way.reader, "reply", to_message=number, message={"content": "yes"})
            way.answered |= reply["status"] == "ok"

    @rule()
    def index(self) -> None:
        self.core.store.index()

    @rule()
    def die(self) -> None:
        self.core.restart()
        for way in self.ways.values():
            way.leased_until_s, way.fresh = 0.0, []

    @invariant()
    def each_row_tells_what_happened(self) -> None:
        if not getattr(self, "ways", None):
            return
        numbers = sorted({number for number, _ in self.ways})
        rows = self.core.ask("fred", "receipts", ids=numbers[-100:])["receipts"]
        told = {(row["id"], row["to"]): [_word(step) for step in row["steps"]] for row in rows}
        assert told == {key: way.path(self.core.mono_s) for key, way in self.ways.items()}
        assert all(row["step"] == row["steps"][-1]["step"] and row["at"] for row in rows if "at" in row["steps"][-1])


def _word(step: dict[str, Any]) -> str:
    return step["step"] + (f" {step['way']}" if "way" in step else "") + ("?" if step.get("inferred") else "")


Receipts.TestCase.settings = examples(30, stateful_step_count=30, suppress_health_check=list(HealthCheck), deadline=None)
TestReceipts = Receipts.TestCase
