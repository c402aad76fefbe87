"""The person holds an agent's wakes, or the mail of a pair."""

from typing import Any

import pytest

from tests.engine import Core, own


def held(core: Core) -> list[tuple[Any, Any]]:
    return sorted((row["name"], row.get("other", "")) for row in own(core, "overview")["pauses"])


@pytest.mark.parametrize("how", [("fred", "claude"), ("claude", "fred")])
def test_a_paused_pair_can_not_write_to_each_other(pair: Core, how: tuple[str, str]) -> None:
    pair.register("carl")
    pair.ask("fred", "group_create", group="team")
    pair.ask("claude", "group_join", group="team")
    first = pair.send("claude", "fred")["number"]
    assert pair.send("fred", "claude")["status"] == "ok"
    own(pair, "pause", name=how[0], other=how[1], on=True)
    own(pair, "pause", name=how[1], other=how[0], on=True)
    assert len(own(pair, "overview")["pauses"]) == 1
    message = {"content": "x"}
    for reply in (
        pair.send("fred", "claude"),
        pair.send("claude", "fred"),
        pair.ask("fred", "ask", to_id="claude", message=message),
        pair.ask("fred", "reply", to_message=first, message=message),
        pair.ask("fred", "forward", forward_id=first, to_id="claude"),
    ):
        assert reply["code"] == "paused" and "person" in reply["message"]
    many = [{"as_": "fred", "action": "send", "to_id": "claude", "message": message} for _ in range(3)]
    assert {reply["code"] for reply in pair.batch(*many)} == {"paused"}  # the fast lane, too
    assert pair.send("fred", "carl")["status"] == "ok"
    assert pair.send("fred", "team")["status"] == "ok"
    assert len(pair.check("claude")) == 2  # what was there before is given out
    own(pair, "pause", name=how[1], other=how[0], on=False)
    assert pair.send("fred", "claude")["status"] == "ok"


def test_a_pause_outlives_a_restart_and_a_new_name(pair: Core) -> None:
    own(pair, "pause", name="fred", other="claude", on=True)
    own(pair, "pause", name="fred", on=True)
    pair.restart()
    pair.ask("claude", "rename", new_id="opus")
    assert held(pair) == [("fred", ""), ("fred", "opus")]
    pair.restart()
    assert pair.send("fred", "opus")["code"] == "paused"
    for other in ({}, {"other": "opus"}):
        own(pair, "pause", name="fred", on=False, **other)
    pair.restart()
    assert held(pair) == []


def test_nothing_wakes_a_paused_agent_until_the_person_goes_on(pair: Core) -> None:
    pair.ask("claude", "subscribe", notify=True, ways=["socket"])
    own(pair, "pause", name="claude", on=True)
    sent = pair.send("fred", "claude")
    assert (sent["unreached"], "paused" in sent["reach"]) == (True, True)

    def woken() -> list[Any]:
        pair.pass_time(10)
        return [body for body in pair.keep_house() if body.get("push") == "wake"]

    assert woken() == []
    own(pair, "pause", name="claude", on=False)
    assert len(woken()) == 1


def test_a_person_has_no_pair_and_unknown_names_are_said(pair: Core) -> None:
    assert own(pair, "pause", name="fred", other="fred", on=True)["code"] == "bad_request"
    assert own(pair, "pause", name="nobody", on=True)["code"] == "unknown_name"
    assert own(pair, "pause", name="fred", on=False)["pauses"] == []
