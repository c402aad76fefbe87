"""Prompts of hosts that the person answers: decided once, by the owner, while somebody waits; never by default."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.core import permissions
from broker.core.leases import end_connection
from broker.protocol.actions import ACTIONS
from broker.protocol.permission_rows import SHOWN_CHARS
from broker.protocol.rows import Access
from tests.engine import OWNER, Core

CALL = {"call": "call-0001", "tool": "Bash", "shown": '{"command": "ls"}'}


def ask(core: Core, who: str, **fields: Any) -> list[dict[str, Any]]:
    """The replies at once: none where the request waits."""
    return core.batch({"id": 50, "action": "permission_ask", **CALL, "wait_s": 60, **fields}, name=who)


def waiting(core: Core) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = core.ask(None, "overview", session_token=OWNER)["permissions"]
    return rows


def decide(core: Core, permission_id: str, decision: str = "allow") -> dict[str, Any]:
    (reply,) = core.batch(
        {"action": "permission_decide", "permission_id": permission_id, "decision": decision, "session_token": OWNER},
        name="page",
    )
    return reply


def told(core: Core) -> list[Any]:
    """What those who waited were told since the last look."""
    core.late += core.keep_house()
    decisions = [late["decision"] for late in core.late if "decision" in late]
    core.late.clear()
    return decisions


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_decision_is_told_once_to_the_hook_that_waits(pair: Core, decision: str) -> None:
    assert ask(pair, "fred") == []
    (row,) = waiting(pair)
    assert (row["name"], row["tool"], row["shown"]) == ("fred", "Bash", CALL["shown"])
    assert decide(pair, row["id"], decision) | {"id": 0} == {
        "id": 0,
        "status": "ok",
        "decided": decision,
        "name": "fred",
        "tool": "Bash",
    }
    assert (told(pair), waiting(pair)) == ([decision], [])
    assert decide(pair, row["id"], "allow")["code"] == "permission_over"
    assert told(pair) == []


def test_the_same_call_asked_again_is_the_same_entry_and_gets_what_was_decided(pair: Core) -> None:
    ask(pair, "fred")
    (first,) = waiting(pair)
    pair.batch({"action": "permission_ask", **CALL, "wait_s": 60, "id": 7}, name="fred")
    assert told(pair) == ["none"]  # the request that waited before
    assert [row["id"] for row in waiting(pair)] == [first["id"]]
    decide(pair, first["id"], "deny")
    assert told(pair) == ["deny"]
    assert [reply["decision"] for reply in ask(pair, "fred")] == ["deny"]
    pair.pass_time(permissions.REMEMBERED_S + 1)
    told(pair)
    assert ask(pair, "fred") == []


@pytest.mark.parametrize(
    "other", [{"call": "call-0002"}, {"tool": "Write"}, {"shown": '{"command": "ls "}'}, {"who": "claude"}]
)
def test_a_decision_holds_for_no_other_call(pair: Core, other: dict[str, str]) -> None:
    ask(pair, "fred")
    decide(pair, waiting(pair)[0]["id"])
    assert ask(pair, other.pop("who", "fred"), **other) == []
    assert told(pair) == ["allow"]


def test_nobody_is_told_to_allow_by_the_passing_of_time(pair: Core) -> None:
    ask(pair, "fred")
    (row,) = waiting(pair)
    pair.pass_time(61)
    assert waiting(pair) == []
    assert decide(pair, row["id"])["code"] == "permission_over"
    assert told(pair) == ["none"]


def test_who_does_not_wait_is_told_what_is_known(pair: Core) -> None:
    assert [reply["decision"] for reply in ask(pair, "fred", wait_s=0)] == ["none"]
    assert waiting(pair) == []


def test_an_entry_ends_with_its_connection(pair: Core) -> None:
    ask(pair, "fred")
    (row,) = waiting(pair)
    end_connection(pair.engine.state, b"fred")
    assert waiting(pair) == []
    assert decide(pair, row["id"])["code"] == "permission_over"
    assert told(pair) == []
    assert pair.engine.state.permissions == {}


@pytest.mark.parametrize("end", [("register", {"instance_id": "fred", "force": True}), ("unregister", {})])
def test_an_entry_and_what_was_decided_end_with_their_session(pair: Core, end: tuple[str, dict[str, Any]]) -> None:
    ask(pair, "fred")
    ask(pair, "fred", call="call-0002")
    decide(pair, waiting(pair)[0]["id"])
    told(pair)
    pair.ask("fred", end[0], **end[1])
    assert told(pair) == ["none"]
    assert pair.engine.state.permissions == {}


@pytest.mark.parametrize(
    ("report", "left"),
    [
        ({"event": "tool_ended", "tool": "Bash", "input": "ab"}, 0),
        ({"event": "tool_ended", "tool": "Bash", "input": "cd"}, 1),
        ({"event": "tool_ended", "tool": "Bash"}, 1),
        ({"event": "tool_began", "tool": "Bash"}, 1),
        ({"event": "sign"}, 1),
        ({"event": "permission", "tool": "Bash"}, 1),
        ({"event": "turn_began"}, 0),
        ({"event": "turn_ended"}, 0),
        ({"event": "failed"}, 0),
        ({"event": "ended"}, 0),
    ],
)
def test_what_was_answered_at_the_host_s_terminal_waits_no_longer(pair: Core, report: dict[str, str], left: int) -> None:
    ask(pair, "fred", input="ab")
    pair.ask("claude", "report", **report)
    assert len(waiting(pair)) == 1
    pair.ask("fred", "report", **report)
    assert len(waiting(pair)) == left
    assert told(pair) == ["none"] * (1 - left)


@pytest.mark.parametrize(("event", "left"), [("turn_began", 1), ("turn_ended", 1), ("failed", 1), ("ended", 0), ("began", 0)])
def test_a_subagent_s_prompt_outlives_its_leader_s_turn(pair: Core, event: str, left: int) -> None:
    ask(pair, "fred", input="ab", beside=True)
    pair.ask("fred", "report", event=event)
    assert len(waiting(pair)) == left
    pair.ask("fred", "report", event="sign", tool="Bash", input="ab")
    assert waiting(pair) == []


def test_no_session_decides_and_an_agent_s_process_does_not_even_with_the_key(pair: Core) -> None:
    assert ACTIONS["permission_decide"].access is Access.OWNER
    assert [n for n, a in ACTIONS.items() if n.startswith("permission") and a.access is not Access.OWNER] == ["permission_ask"]
    ask(pair, "fred")
    (row,) = waiting(pair)
    assert pair.ask("claude", "permission_decide", permission_id=row["id"], decision="allow")["code"] == "unauthorized"
    pair.engine.may_decide = lambda route: route != b"page"
    assert decide(pair, row["id"])["code"] == "not_a_person"
    assert decide(pair, "none-such")["code"] == "not_a_person"  # it learns nothing
    assert (len(waiting(pair)), told(pair)) == (1, [])


def test_the_prompts_that_wait_are_bounded_for_an_agent_and_for_all(core: Core) -> None:
    names = [f"a{n}" for n in range(permissions.LIMIT // permissions.AGENT_LIMIT + 1)]
    core.register(*names)
    for name in names[:-1]:
        for call in range(permissions.AGENT_LIMIT):
            assert ask(core, name, call=f"call-{call:04}") == []
    (full,) = ask(core, names[0], call="one-more-call")
    (all_full,) = ask(core, names[-1])
    assert (full["code"], all_full["code"]) == ("permissions_full", "permissions_full")
    assert "256" in all_full["message"]
    (long,) = ask(core, names[-1], shown="x" * (SHOWN_CHARS + 1))
    assert long["code"] == "bad_request"
    for row in waiting(core):
        assert decide(core, row["id"])["status"] == "ok"
    for call in range(3):
        ask(core, names[-1], call=f"call-{call:04}")
        decide(core, waiting(core)[0]["id"])
    assert len(core.engine.state.permissions) == permissions.LIMIT  # decisions that are remembered


def test_the_owner_s_feed_tells_of_each_change(pair: Core) -> None:
    def changed() -> int:
        """How often the owner was told since it last read."""
        pushes = [late for late in [*pair.late, *pair.keep_house()] if late.get("push") == "changed"]
        pair.late.clear()
        pair.batch({"action": "overview", "session_token": OWNER}, name="page")
        return len(pushes)

    pair.batch({"action": "watch_all", "session_token": OWNER}, name="page")
    while changed():  # what a start has to do
        pass
    ask(pair, "fred")
    assert changed() == 1
    end_connection(pair.engine.state, b"fred")
    assert changed() == 1
    ask(pair, "fred")
    assert changed() == 1
    pair.pass_time(61)
    assert changed() == 1


def test_a_broker_that_starts_again_knows_nothing_of_what_was_asked(pair: Core) -> None:
    ask(pair, "fred")
    (row,) = waiting(pair)
    pair.restart()
    assert waiting(pair) == []
    assert decide(pair, row["id"])["code"] == "permission_over"
    ask(pair, "fred")
    assert waiting(pair)[0]["id"] != row["id"]


@dataclass
class Asked:
    """What a hook that waits must be told: ``decided`` once the owner has decided."""

    who: str
    call: str
    decided: str = ""
    told: str = ""


class Prompts(RuleBasedStateMachine):
    """Hooks ask, the owner decides, hooks and the broker die, time passes: no second decision, no allow without one."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="ipc-")
        self.core = Core(Path(self.folder.name))
        self.core.register("fred", "bob")
        self.asked: dict[int, Asked] = {}
        """By number of the request."""
        self.number = 100
        self.decisions: dict[str, str] = {}
        """By permission id, which are never given twice."""
        self.calls: dict[tuple[str, str], str] = {}
        """What was decided of a call, as long as it is remembered."""

    def teardown(self) -> None:
        if hasattr(self, "core"):
            self.core.store.close()
            self.folder.cleanup()

    def take(self, replies: list[dict[str, Any]]) -> None:
        for reply in replies:
            if "decision" in reply:
                asked = self.asked[reply["id"]]
                assert not asked.told, "told twice"
                asked.told = reply["decision"]
                assert asked.told in ("none", asked.decided or self.calls.get((asked.who, asked.call)))

    @rule(who=st.sampled_from(["fred", "bob"]), call=st.integers(0, 2), wait=st.sampled_from([0, 5, 60]))
    def hook_asks(self, who: str, call: int, wait: int) -> None:
        self.number += 1
        self.asked[self.number] = Asked(who, f"call-{call:04}")
        self.take(ask(self.core, who, call=f"call-{call:04}", wait_s=wait, id=self.number))
        self.late()

    def late(self) -> None:
        late, self.core.late = self.core.late, []
        self.take(late)

    @rule(pick=st.integers(0, 5), decision=st.sampled_from(["allow", "deny"]))
    def owner_decides(self, pick: int, decision: str) -> None:
        rows = waiting(self.core)
        known = [*(row["id"] for row in rows), *self.decisions]
        if not known:
            return
        chosen = known[pick % len(known)]
        entry = self.core.engine.state.permissions.get(chosen)
        if chosen not in self.decisions and entry is not None:
            self.asked[entry.request_id].decided = decision
        reply = decide(self.core, chosen, decision)
        if chosen in self.decisions:
            assert reply["code"] == "permission_over"
        else:
            assert reply["decided"] == decision and entry is not None
            self.decisions[chosen] = decision
            self.calls[entry.session.mailbox.name, entry.call] = decision
        self.late()

    @rule(who=st.sampled_from(["fred", "bob"]))
    def hook_dies(self, who: str) -> None:
        end_connection(self.core.engine.state, who.encode())
        for asked in self.asked.values():
            if asked.who == who and not asked.told:
                asked.told = "dead"

    @rule(seconds=st.sampled_from([1.0, 6.0, 61.0, 700.0]))
    def time_passes(self, seconds: float) -> None:
        self.core.pass_time(seconds)
        self.take(self.core.keep_house())

    @rule(who=st.sampled_from(["fred", "bob"]), event=st.sampled_from(["turn_ended", "tool_began", "sign"]))
    def host_goes_on(self, who: str, event: str) -> None:
        self.core.ask(who, "report", event=event)
        self.late()

    @precondition(lambda self: self.asked)
    @rule()
    def broker_dies(self) -> None:
        self.core.restart()
        self.calls.clear()
        for asked in self.asked.values():
            asked.told = asked.told or "dead"

    @invariant()
    def nobody_is_allowed_by_default(self) -> None:
        for asked in getattr(self, "asked", {}).values():
            if asked.told == "allow":
                assert "allow" in self.decisions.values()
        for row in waiting(self.core) if hasattr(self, "core") else ():
            assert row["id"] not in self.decisions


Prompts.TestCase.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPrompts = Prompts.TestCase
