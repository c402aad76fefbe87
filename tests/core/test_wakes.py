"""When notices are given, by which way, and what follows if they bring nothing. Time is passed in."""

from typing import Any

import pytest

from broker.core.facts import Mark
from broker.core.leases import end_connection
from tests.core.wakeable import LOOK_S, Host
from tests.engine import Core


@pytest.fixture
def host(team: Core) -> Host:
    team.keep_house()
    return Host(team)


def mail_of_system(core: Core, name: str) -> list[str]:
    return [m["message"]["content"] for m in core.check(name) if m["from"] == "system"]


def test_a_burst_is_one_notice_and_names_what_waits(host: Host) -> None:
    host.arm("socket")
    for sender in ("fred", "bob", "fred"):
        host.core.send(sender, "claude")
    assert host.notices() == []
    host.core.pass_time(0.3)
    (push,) = host.pushes()
    assert (push["push"], push["way"], push["unread"], push["interrupt"], push["land"]) == ("wake", "socket", 3, 0, "tool")
    assert (push["from"], push["instance_id"], push["newest"], push["id"]) == (["fred", "bob"], "claude", "3", "of socket")
    assert host.after(0.3) == []


def test_the_best_way_that_is_armed_speaks_whoever_armed_it_first(host: Host) -> None:
    host.arm("monitor")
    host.arm("of-a-new-host")
    host.arm("channel", "socket", by="mcp")
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["socket"]
    assert host.core.engine.state.mailboxes["claude"].waking.called == "socket"


def test_a_notice_without_a_sign_leaves_the_mail_to_the_next_way_and_at_last_tells_the_sender_once(host: Host) -> None:
    host.arm("socket")
    host.arm("monitor")
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["socket"]
    assert host.answer("socket") == "tried"
    (receipt,) = host.core.ask("fred", "receipts", ids=["1"])["receipts"]
    assert receipt["next"] == {"way": "monitor", "in_s": LOOK_S}
    assert receipt["why"] == "pushed by socket 0 s ago, no turn began: monitor is next, in 8 s"
    assert host.after(LOOK_S - 0.1) == []
    assert host.after(0.2) == ["monitor"]
    host.answer("monitor")
    assert host.after(LOOK_S) == []
    assert host.states() == {"socket": "failed", "monitor": "failed"}
    (told,) = mail_of_system(host.core, "fred")
    (receipt,) = host.core.ask("fred", "receipts", ids=["1"])["receipts"]
    assert "next" not in receipt and receipt["why"].endswith("no way is left, and it waits for the next turn")
    assert told.startswith("💤 claude was not woken by your mail") and "socket: no turn began, monitor: no turn began" in told
    host.core.send("fred", "claude")  # the ways are tried again for it, and fred knows
    assert host.after(0.3) == ["socket"]
    assert host.after(LOOK_S) == ["monitor"]
    assert host.after(LOOK_S) == []
    assert mail_of_system(host.core, "fred") == []


SIGNS = {
    "a turn begins": lambda host: host.works(),
    "the mail is taken": lambda host: host.core.check("claude"),
}


@pytest.mark.parametrize("sign", SIGNS)
def test_a_sign_makes_every_way_good_again_and_nothing_more_is_said(host: Host, sign: str) -> None:
    host.arm("socket")
    host.arm("monitor")
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["socket"]
    host.answer("socket")
    assert host.after(LOOK_S) == ["monitor"]
    SIGNS[sign](host)
    assert host.states() == {"socket": "armed", "monitor": "armed"}
    assert host.after(LOOK_S * 3) == []
    assert "next" not in host.core.ask("fred", "receipts", ids=["1"])["receipts"][0]


def test_mail_that_is_taken_to_wake_its_agent_with_it_is_no_sign_and_comes_back_where_the_host_refuses_it(host: Host) -> None:
    host.arm("socket")
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["socket"]
    taken = host.core.ask("claude", "check", wakes=True)["messages"]
    assert host.core.engine.state.mailboxes["claude"].waking.called == "socket"
    host.core.ask("claude", "release", ids=[m["id"] for m in taken])
    assert host.answer("socket", "refused") == "refused"
    assert host.after(LOOK_S) == [], "what came back is not tried over and over"
    (told,) = mail_of_system(host.core, "fred")
    assert "socket: its host refused" in told
    host.works()
    assert host.states() == {"socket": "armed"} and len(host.core.check("claude")) == 1


@pytest.mark.parametrize(("result", "state"), [("failed", "failed"), ("refused", "refused")])
def test_a_way_that_could_not_speak_is_followed_at_once_and_costs_no_wake(host: Host, result: str, state: str) -> None:
    host.arm("socket")
    host.arm("monitor")
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["socket"]
    assert host.answer("socket", result) == state
    assert host.notices() == ["monitor"]
    assert len(host.core.engine.state.mailboxes["claude"].waking.given) == 1
    host.answer("monitor")
    assert host.after(LOOK_S) == []
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["socket" if result == "failed" else "monitor"], "a host that refused is left alone"
    host.works()
    assert host.states() == {"socket": "armed", "monitor": "armed"}


def test_while_a_turn_runs_only_an_interrupt_is_told_and_what_the_turn_left_at_its_end(host: Host) -> None:
    host.arm("socket")
    host.works()
    host.core.send("fred", "claude")
    assert host.after(60) == []
    host.core.send("fred", "claude", land="interrupt")
    assert host.notices() == ["socket"], "at once"
    host.answer("socket")
    assert host.after(30) == [], "nothing proves in a turn that nobody heard it"
    host.core.check("claude", land="interrupt")
    host.core.send("fred", "claude")
    host.core.ask("claude", "release")
    assert host.after(30) == ["socket"], "the interrupt came back"
    host.core.check("claude")
    host.core.send("fred", "claude", land="turn")
    assert host.after(1) == []
    host.rests()
    assert host.after(0.3) == ["socket"]


def test_a_turn_that_was_interrupted_and_says_no_end_counts_as_over_after_two_minutes(host: Host) -> None:
    host.arm("socket")
    host.works()
    host.core.send("fred", "claude")
    assert host.after(119) == []
    assert host.after(1.1) == ["socket"]


def test_mail_that_comes_while_a_notice_is_out_waits_for_what_becomes_of_it(host: Host) -> None:
    host.arm("socket")
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["socket"]
    host.answer("socket")
    host.core.send("bob", "claude", land="interrupt")
    assert host.after(4) == []
    assert host.after(4) == ["socket"], "there is no other way, and the new mail is worth another try"


def test_mail_that_waited_is_told_by_a_way_that_comes_later(host: Host) -> None:
    host.core.send("fred", "claude")
    assert host.after(60) == []
    host.arm("monitor")
    assert host.after(0.3) == ["monitor"]
    host.answer("monitor")
    assert host.after(LOOK_S) == []
    host.arm("socket")
    assert host.after(0.3) == ["socket"]


@pytest.mark.parametrize("answered", [False, True])
def test_a_process_that_ends_disarms_its_way_and_a_notice_it_did_not_give_is_left_to_the_next(
    host: Host, answered: bool
) -> None:
    state = host.core.engine.state
    state.connections[b"rewake"] = {state.mailboxes["claude"].id}
    host.arm("rewake")
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["rewake"]
    host.arm("of-a-new-host")
    if answered:
        host.answer("rewake")
    end_connection(state, b"rewake")
    assert host.states() == {"of-a-new-host": "armed"}
    assert host.notices() == ([] if answered else ["of-a-new-host"])
    assert host.after(LOOK_S) == (["of-a-new-host"] if answered else [])


def test_who_takes_a_way_over_tells_of_the_mail_that_its_holder_before_could_not_tell(host: Host) -> None:
    state = host.core.engine.state
    state.connections[b"old"] = {state.mailboxes["claude"].id}
    host.arm("queue", by="old")
    assert host.arm("queue", by="new") == []
    host.core.send("fred", "claude")
    assert host.after(0.3) == ["queue"]
    assert host.answer("queue", "failed") == "failed"
    assert host.after(LOOK_S) == []
    end_connection(state, b"old")
    assert host.after(0.3) == ["queue"]


def test_a_way_has_one_holder_and_another_once_that_one_is_gone(host: Host) -> None:
    assert host.arm("monitor", by="first") == ["monitor"]
    assert host.arm("monitor", by="second") == []
    assert host.arm("monitor", by="first") == ["monitor"]
    host.core.batch({"action": "unsubscribe", "session_token": host.token}, name="first")
    host.core.send("fred", "claude")
    host.core.pass_time(0.3)
    assert [push["id"] for push in host.pushes()] == ["of second"]


@pytest.mark.parametrize("name", ["", "two words", "line\nbreak", "x" * 33, "\x1b[2J", 5, None])
def test_a_ways_name_is_a_plain_word_since_others_read_it(host: Host, name: object) -> None:
    refused = host.core.ask("claude", "subscribe", notify=True, ways=[name])
    assert refused["code"] == "bad_request" and host.states() == {}


def test_the_ways_of_a_session_that_was_replaced_are_gone(host: Host) -> None:
    host.arm("socket")
    host.core.ask("claude", "register", instance_id="claude")
    assert host.states() == {}


def test_a_notice_is_a_step_of_the_mail_it_told_of(host: Host) -> None:
    host.arm("socket")
    host.core.send("fred", "claude")
    host.after(0.3)
    host.answer("socket")
    host.core.pass_time(1)
    host.pushes()
    (step,) = host.core.store.steps_of(1, host.core.engine.state.mailboxes["claude"].id)
    assert (step.step, step.way) == (Mark.PUSHED, "socket")


def test_a_monitor_of_0_3_is_told_in_its_own_words_when_its_turn_has_come(host: Host) -> None:
    host.arm("socket")
    old = {"action": "subscribe", "session_token": host.token, "notify": True, "door": "hook", "id": 5}
    reply = host.core.engine.run([incoming(b"old", old)], host.core.now())[0][0]
    assert reply.body["unread"] == 0  # type: ignore[union-attr]
    host.core.send("fred", "claude")
    assert [p for p in host.core.late if p.get("push") == "new" and p["id"] == 5] == []
    assert host.after(0.3) == ["socket"]
    host.core.pass_time(LOOK_S)
    (push,) = host.pushes()
    assert (push["push"], push["id"], push["unread"], push["from"]) == ("new", 5, 1, ["fred"])
    assert host.after(LOOK_S) == []


def incoming(route: bytes, body: dict[str, Any]) -> Any:
    from broker.core.batch import Incoming

    return Incoming(route, body, body["session_token"], body["door"])
