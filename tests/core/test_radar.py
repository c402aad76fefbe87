"""The stall radar: each rule, who is told, and the end of each alarm, in simulated time."""

from math import inf
from typing import Any

import pytest

from bridges.safe_text import visible
from broker.core.facts import Body
from tests.engine import HOUR, Core, go_on, small


def report(core: Core, who: str, *events: str, **fields: Any) -> None:
    for event in events:
        assert core.ask(who, "report", event=event, **fields)["status"] == "ok"


def open_alarms(core: Core) -> list[tuple[str, str]]:
    return [(row["name"], row["kind"]) for row in core.ask("claude", "alarms")["alarms"]]


def notices(core: Core, who: str) -> list[str]:
    messages = [m for m in core.check(who) if m["from"] == "system"]
    if messages:
        core.ask(who, "ack", ids=[m["id"] for m in messages])
    return [m["message"]["content"] for m in messages]


def embody(core: Core, name: str, *, person: bool = False, pid: int = 7) -> None:
    session = core.engine.state.mailboxes[name].session
    assert session is not None
    session.body = Body("terminal" if person else "session", f"{name}@1", pid, "then", person=person)
    core.store.save_session(session)
    core.store.commit()


def answer_each_other(core: Core, times: int, one: str = "fred", other: str = "bob") -> None:
    """One writes, then they answer each other so many times each."""
    number = core.send(one, other, "how are you?")["number"]
    for who in (other, one) * times:
        number = core.ask(who, "reply", to_message=number, message={"content": "fine, and you?"})["number"]
        go_on(core, 5)


@pytest.mark.parametrize(
    ("events", "kind", "limit_s"),
    [
        (["turn_began"], "silent", 600),
        (["turn_began", "tool_began"], "tool", 1800),
        (["turn_began", "tool_began", "permission"], "permission", 120),
        (["turn_began", "answer"], "answer", 120),
    ],
)
def test_an_agent_that_gives_no_sign_is_found_when_its_time_is_over(
    team: Core, events: list[str], kind: str, limit_s: float
) -> None:
    report(team, "fred", *events, tool="Bash", call="1")
    go_on(team, limit_s - 1)
    assert open_alarms(team) == []
    go_on(team, 2)
    assert open_alarms(team) == [("fred", kind)]
    row = next(r for r in team.ask("bob", "list")["instances"] if r["id"] == "fred")
    assert row["stuck"]["kind"] == kind and "no sign of it" in row["stuck"]["evidence"]
    report(team, "fred", "tool_ended", tool="Bash", call="1")
    go_on(team, 1)
    assert open_alarms(team) == []


@pytest.mark.parametrize(("child_began_after_s", "found"), [(None, True), (-30, True), (5, False)])
def test_a_call_that_was_allowed_and_runs_is_no_question_that_waits(
    team: Core, child_began_after_s: float | None, found: bool
) -> None:
    embody(team, "fred")
    team.engine.is_alive = lambda _pid, _started: True
    report(team, "fred", "turn_began", "tool_began", "permission", tool="Bash", call="1")
    asked_s = team.mono_s
    if child_began_after_s is not None:
        began_s = asked_s + child_began_after_s
        team.engine.youngest_child_s = lambda _pid: team.mono_s - began_s
    go_on(team, 300)
    assert open_alarms(team) == ([("fred", "permission")] if found else [])
    go_on(team, 1800)  # the call is one that runs, with the longer time of those
    assert open_alarms(team) == [("fred", "permission" if found else "tool")]


@pytest.mark.parametrize("name", ["stall_silent", "stall_wait", "stall_tool"])
def test_a_rule_can_be_turned_off(team: Core, name: str) -> None:
    events = {"stall_silent": [], "stall_wait": ["answer"], "stall_tool": ["tool_began"]}[name]
    small(team, **{name: 0})
    report(team, "fred", "turn_began", *events)
    go_on(team, HOUR)
    assert open_alarms(team) == []


def test_the_same_result_five_times_in_a_row_is_a_loop(team: Core) -> None:
    report(team, "fred", "turn_began")
    for number in range(5):
        assert open_alarms(team) == []
        report(team, "fred", "tool_ended", tool="Bash", call=str(number), digest="same")
        go_on(team, 5)
    assert open_alarms(team) == [("fred", "repeats")]
    report(team, "fred", "tool_ended", tool="Bash", call="6", digest="another")
    go_on(team, 1)
    assert open_alarms(team) == []


def test_a_pair_that_only_answers_each_other_is_a_loop(team: Core) -> None:
    answer_each_other(team, 4)
    assert open_alarms(team) == []
    answer_each_other(team, 6)
    found = team.ask("claude", "alarms")["alarms"]
    assert [(a["kind"], {a["name"], a["other"]}) for a in found] == [("loop", {"fred", "bob"})]
    assert {r["id"] for r in team.ask("claude", "list")["instances"] if "stuck" in r} == {"fred", "bob"}
    team.restart()
    go_on(team, 60)
    assert len(open_alarms(team)) == len(found)
    go_on(team, 700)
    assert open_alarms(team) == []


def test_a_pair_that_works_in_between_is_none(team: Core) -> None:
    number = team.send("fred", "bob", "see a.py")["number"]
    for n, who in enumerate(("bob", "fred") * 8):
        report(team, who, "turn_began", "tool_ended", tool="Edit", digest=str(n))
        number = team.ask(who, "reply", to_message=number, message={"content": "done, see it"})["number"]
        report(team, who, "turn_ended")
        go_on(team, 20)
    assert open_alarms(team) == []


@pytest.mark.parametrize("debt", ["question", "claim", "urgent"])
@pytest.mark.parametrize("end", ["killed", "ended", "gone"])
def test_an_agent_that_ends_with_debts_is_found(team: Core, debt: str, end: str) -> None:
    embody(team, "fred")
    alive = True
    team.engine.is_alive = lambda pid, _started: alive if pid == 7 else None
    report(team, "fred", "turn_began", "turn_ended")
    if debt == "question":
        team.ask("bob", "ask", to_id="fred", message={"content": "which branch?"})
    elif debt == "claim":
        team.ask("fred", "claim", resource="db")
    else:
        team.send("bob", "fred", "stop", land="interrupt")
    go_on(team, 100)
    assert open_alarms(team) == []
    if end == "killed":
        alive = False
    elif end == "ended":
        report(team, "fred", "ended")
    else:
        team.ask("fred", "presence", state="gone")
    go_on(team, 60)
    assert open_alarms(team) == [("fred", "dead")]
    assert [n.startswith("⚠ You wait for fred: it has ended") for n in notices(team, "bob")] == [True] * (debt == "question")
    alive = True
    team.tokens.pop("fred")
    team.ask("fred", "register", instance_id="fred")
    if end != "killed":
        go_on(team, 1)
        assert open_alarms(team) == []


def test_an_agent_that_ends_without_debts_is_left_in_peace(team: Core) -> None:
    report(team, "fred", "turn_began", "ended")
    go_on(team, HOUR)
    assert open_alarms(team) == []


def test_who_waits_is_told_at_once_then_the_person_and_nobody_twice(team: Core) -> None:
    team.register("anna")
    embody(team, "anna", person=True)
    team.engine.is_alive = lambda _pid, _started: True
    team.ask("bob", "ask", to_id="fred", message={"content": "which branch?"}, deadline_s=HOUR)
    team.ask("claude", "watch_agent", name="fred", events=["stuck"])
    report(team, "fred", "turn_began")
    go_on(team, 601)
    said = "it works, and no sign of it for 10 min: it hangs, or was broken off"
    told = f"⚠ You wait for fred: {said}."
    assert notices(team, "bob") == [visible(told)] == [told], "no hidden character, which readers would see as an escape"
    assert notices(team, "claude") == [f"fred is stuck: {said}"]
    assert notices(team, "anna") == []
    team.restart()
    go_on(team, 70)
    assert notices(team, "anna") == [f"⚠ fred is stuck: {said}."]
    team.restart()
    go_on(team, HOUR)
    assert [notices(team, who) for who in ("anna", "bob", "claude")] == [[], [], []]
    assert team.ask("bob", "ask", to_id="fred", message={"content": "hm?"})["status"] == "ok"


def test_a_machine_that_sleeps_raises_no_alarm(team: Core) -> None:
    report(team, "fred", "turn_began", "tool_began", tool="Bash", call="1")
    report(team, "bob", "turn_began")
    go_on(team, 300)
    team.wall_s += 8 * HOUR  # the terms' clock counts the sleep, the monotonic one does not
    go_on(team, 500)
    assert open_alarms(team) == []
    go_on(team, 700)
    assert open_alarms(team) == [("bob", "silent")]


def test_what_was_stopped_for_long_counts_anew(team: Core) -> None:
    report(team, "fred", "turn_began")
    team.store.save_stop(team.now().term_s)
    team.pass_time(HOUR)
    team.restart()
    go_on(team, 300)
    assert open_alarms(team) == []
    go_on(team, 400)
    assert open_alarms(team) == [("fred", "silent")]


def test_an_end_that_nobody_told_is_told_to_who_watches_for_it(team: Core) -> None:
    embody(team, "fred")
    alive = True
    team.engine.is_alive = lambda _pid, _started: alive
    report(team, "fred", "turn_began")
    team.ask("claude", "watch_agent", name="fred", events=["ended"])
    go_on(team, 30)
    alive = False
    go_on(team, 30)
    assert notices(team, "claude") == ["fred has ended"]
    assert next(r["presence"] for r in team.ask("bob", "list")["instances"] if r["id"] == "fred") == "gone"


def test_agents_that_rest_leave_nothing_due(team: Core) -> None:
    report(team, "fred", "began", "turn_began", "tool_began", "tool_ended", "turn_ended")
    go_on(team, 2000)
    assert (team.engine.state.looks, team.engine.state.chores["radar"]) == ({}, inf)
