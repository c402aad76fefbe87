"""Send, broadcast, check, lease, acknowledgement."""

import orjson

from tests.engine import Core


def test_acknowledged_mail_never_comes_back(pair: Core) -> None:
    pair.send("fred", "claude")
    ids = [m["id"] for m in pair.check("claude")]
    assert pair.ask("claude", "ack", ids=ids)["acked"] == 1
    assert pair.ask("claude", "ack", ids=ids)["acked"] == 0
    pair.pass_time(60)
    pair.restart()
    assert pair.check("claude") == []


def test_unacknowledged_mail_comes_back_when_its_lease_ends(pair: Core) -> None:
    pair.send("fred", "claude")
    assert len(pair.check("claude")) == 1
    assert pair.check("claude") == []
    pair.pass_time(29.9)
    assert pair.check("claude") == []
    pair.pass_time(0.2)
    assert [m["redelivered"] for m in pair.check("claude")] == [True]


def test_what_is_acknowledged_leaves_nothing_behind_that_waits_for_the_end_of_its_lease(pair: Core) -> None:
    held = pair.send("fred", "claude", "held") and pair.check("claude")
    for _ in range(10):
        pair.batch(*({"action": "send", "to_id": "claude", "message": {"content": "x"}} for _ in range(500)), name="fred")
        pair.ask("claude", "ack", ids=[m["id"] for m in pair.check("claude", limit=500)])
    assert len(pair.engine.state.lease_ends) < 2000
    pair.pass_time(30.1)
    assert [m["id"] for m in pair.check("claude")] == [held[0]["id"]], "the one lease that was left has ended"


def test_a_crash_returns_what_was_out_marked_as_redelivered(pair: Core) -> None:
    pair.send("fred", "claude", "out")
    pair.check("claude")
    pair.send("fred", "claude", "new")
    pair.restart()
    assert [(m["message"]["content"], m.get("redelivered")) for m in pair.check("claude")] == [("out", True), ("new", None)]


def test_mail_can_be_acknowledged_after_its_lease_ended_or_the_broker_restarted(pair: Core) -> None:
    pair.send("fred", "claude")
    ids = [m["id"] for m in pair.check("claude")]
    pair.restart()
    assert pair.ask("claude", "ack", ids=ids)["acked"] == 1
    assert pair.check("claude") == []


def test_released_mail_is_first_in_the_next_check(pair: Core) -> None:
    for text in "abc":
        pair.send("fred", "claude", text)
    a, b = pair.check("claude", limit=2)
    assert pair.ask("claude", "release", ids=[b["id"], a["id"]])["released"] == 2
    assert pair.contents("claude") == ["a", "b", "c"]
    assert pair.ask("claude", "release")["released"] == 3
    assert pair.contents("claude") == ["a", "b", "c"]


def test_mail_that_is_given_back_unseen_comes_again_as_new(pair: Core) -> None:
    for text in ("a", "b"):
        pair.ask("fred", "send", to_id="claude", message={"content": text})
    first, second = pair.ask("claude", "check")["messages"]
    assert pair.ask("claude", "release", ids=[first["id"]], unseen=True)["released"] == 1
    assert pair.ask("claude", "release", ids=[second["id"]])["released"] == 1
    again = pair.ask("claude", "check")["messages"]
    assert [(m["id"], m.get("redelivered", False)) for m in again] == [(first["id"], False), (second["id"], True)]
    assert pair.ask("claude", "release", ids=[second["id"]], unseen=True)["released"] == 1
    assert pair.ask("claude", "check")["messages"][0]["redelivered"] is True, "it was seen before"


def test_max_bytes_counts_a_message_as_it_is_sent(pair: Core) -> None:
    for _ in range(20):
        pair.ask("fred", "send", to_id="claude", message={"content": "\x01" * 10, "data": {"k": [1, "ü"]}})
    messages = pair.ask("claude", "check", max_bytes=1000)["messages"]
    sizes = [len(orjson.dumps(m)) + 1 for m in messages]
    assert 1 < len(messages) < 7
    assert sum(sizes) <= 1000 < sum(sizes) + sizes[0]


def test_mail_released_and_taken_again_in_one_instant_comes_back_once(pair: Core) -> None:
    pair.send("fred", "claude")
    ids = [m["id"] for m in pair.check("claude")]
    pair.ask("claude", "release", ids=[*ids, *ids])
    assert len(pair.check("claude")) == 1
    pair.pass_time(31)
    assert len(pair.check("claude")) == 1


def test_touched_mail_is_held_for_so_long_from_then_on(pair: Core) -> None:
    for text in "abc":
        pair.send("fred", "claude", text)
    a, b, c = (m["id"] for m in pair.check("claude"))
    pair.ask("claude", "release", ids=[c])
    assert pair.ask("claude", "touch", ids=[a, a, c, "999"], lease_s=100)["touched"] == 1
    assert pair.ask("claude", "touch", ids=[b], lease_s=1)["touched"] == 1
    assert pair.ask("fred", "touch", ids=[a])["touched"] == 0
    pair.pass_time(2)
    assert pair.contents("claude") == ["b", "c"]
    pair.pass_time(97)
    assert pair.contents("claude") == ["b", "c"]
    pair.pass_time(2)
    assert pair.contents("claude") == ["a"]


def test_nobody_acknowledges_or_releases_anothers_mail(pair: Core) -> None:
    pair.send("fred", "claude")
    ids = [m["id"] for m in pair.check("claude")]
    assert pair.ask("fred", "ack", ids=ids)["acked"] == 0
    assert pair.ask("fred", "release", ids=ids)["released"] == 0
    pair.pass_time(31)
    assert len(pair.check("claude")) == 1
