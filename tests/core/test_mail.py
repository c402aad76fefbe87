"""Send, broadcast, check, lease, acknowledgement."""

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.core.drafts import summary
from tests.engine import OWNER, Core


@pytest.fixture
def pair(core: Core) -> Core:
    core.register("fred", "claude")
    return core


def test_mail_arrives_in_order_with_sender_time_and_data(pair: Core) -> None:
    pair.ask("fred", "send", to_id="claude", message={"content": "one", "data": {"n": [1, None, "ü"]}})
    pair.send("fred", "claude", "two")
    first, second = pair.check("claude")
    assert (first["from"], first["to"], first["message"]) == (
        "fred",
        "claude",
        {"content": "one", "data": {"n": [1, None, "ü"]}},
    )
    assert first["timestamp"] == "2027-01-15T08:00:00.000000+00:00"
    assert second["message"] == {"content": "two"}
    assert "redelivered" not in first


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


@pytest.mark.deep
def test_waits_that_are_answered_early_leave_nothing_behind_that_waits_for_their_end(pair: Core) -> None:
    pair.batch({"action": "check", "wait_s": 3000, "id": "first"}, name="claude")
    for number in range(3000):
        pair.batch({"action": "check", "wait_s": 3600, "id": f"again {number}", "as_": "fred"})
        pair.send("claude", "fred")
    assert len(pair.engine.state.wait_ends) < 2000
    pair.pass_time(3001)
    pair.batch()
    assert [r["id"] for r in pair.late if r["id"] == "first"] == ["first"], "the one wait that was left has ended"


def test_a_thousand_may_wait_for_one_mailbox_then_the_oldest_wait_is_over(pair: Core) -> None:
    over = pair.batch(*({"action": "check", "wait_s": 3600, "id": f"wait {n}"} for n in range(1003)), name="fred")
    assert [(r["id"], r["messages"]) for r in over] == [("wait 0", []), ("wait 1", []), ("wait 2", [])]
    assert len(pair.engine.state.mailboxes["fred"].waiters) == 1000
    pair.batch(*({"action": "subscribe", "notify": True, "id": f"watch {n}"} for n in range(1000)), name="fred")
    assert pair.ask("fred", "subscribe", notify=True, id="one more")["code"] == "overloaded"


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


def test_a_long_poll_is_answered_by_the_mail_it_waits_for(pair: Core) -> None:
    assert pair.batch({"action": "check", "wait_s": 60, "id": 77}, name="claude") == []
    pair.send("fred", "claude", "now")
    assert [m["message"]["content"] for m in pair.late[0]["messages"]] == ["now"]
    assert pair.late[0]["id"] == 77


def test_a_long_poll_without_mail_ends_with_none(pair: Core) -> None:
    pair.batch({"action": "check", "wait_s": 5, "id": 77}, name="claude")
    pair.pass_time(5.1)
    pair.batch()
    assert pair.late == [{"id": 77, "status": "ok", "messages": [], "more": 0}]


def test_pushes_stop_at_the_window_and_go_on_with_acknowledgements(pair: Core) -> None:
    pair.batch({"action": "subscribe", "window": 2, "id": 9}, name="claude")
    for text in "abc":
        pair.send("fred", "claude", text)
    pushed = [m for p in pair.late if p.get("push") == "mail" for m in p["messages"]]
    assert [m["message"]["content"] for m in pushed] == ["a", "b"]
    pair.ask("claude", "ack", ids=[pushed[0]["id"]])
    assert [m["message"]["content"] for p in pair.late if p.get("push") for m in p["messages"]] == ["a", "b", "c"]


def test_a_repeated_send_is_stored_once_and_answered_alike(pair: Core) -> None:
    first = pair.send("fred", "nova", message_id="m1")
    again = pair.send("fred", "nova", message_id="m1")
    assert again.pop("duplicate") is True
    assert {k: again[k] for k in ("message", "message_id")} == {k: first[k] for k in ("message", "message_id")}
    pair.restart()
    assert pair.send("fred", "nova", message_id="m1")["duplicate"] is True
    pair.register("nova")
    assert len(pair.check("nova")) == 1


def test_repeats_within_one_batch_are_stored_once(pair: Core) -> None:
    body = {"action": "send", "to_id": "claude", "message": {"content": "x"}, "message_id": "m1"}
    other = {**body, "message_id": "m2"}
    replies = pair.batch(dict(body), dict(other), dict(body), name="fred")
    assert [r.get("duplicate") for r in replies] == [None, None, True]
    assert len(pair.check("claude")) == 2


def test_two_senders_may_use_the_same_id(pair: Core) -> None:
    pair.register("bob")
    assert "duplicate" not in pair.send("fred", "claude", message_id="1")
    assert "duplicate" not in pair.send("bob", "claude", message_id="1")


def test_an_id_is_free_again_after_a_day(pair: Core) -> None:
    pair.send("fred", "claude", message_id="m1")
    pair.pass_time(23 * 3600)
    assert pair.send("fred", "claude", message_id="m1")["duplicate"] is True
    pair.pass_time(2 * 3600)
    assert "duplicate" not in pair.send("fred", "claude", message_id="m1")
    assert len(pair.check("claude")) == 2


def test_broadcast_reaches_all_registered_but_the_sender(pair: Core) -> None:
    pair.register("bob")
    pair.send("fred", "unborn")
    reply = pair.ask("fred", "broadcast", message={"content": "hi"}, message_id="b1")
    assert (reply["message"], reply["count"]) == ("Broadcast to 2 instances", 2)
    again = pair.ask("fred", "broadcast", message={"content": "hi"}, message_id="b1")
    assert (again["duplicate"], again["count"]) == (True, 2)
    assert (pair.contents("bob"), pair.contents("claude"), pair.contents("fred")) == (["hi"], ["hi"], [])


def test_mail_for_a_name_nobody_has_waits_and_a_near_miss_is_only_suggested(pair: Core) -> None:
    reply = pair.send("fred", "claud")
    assert (reply["message"], reply["did_you_mean"]) == ("Message queued for claud (not yet registered)", "claude")
    assert pair.check("claude") == []
    pair.register("claud")
    assert len(pair.check("claud")) == 1


@pytest.mark.parametrize("to", ["", "a b", "x" * 33, 5, None, ["claude"]])
def test_a_bad_recipient_is_refused(pair: Core, to: Any) -> None:
    reply = pair.ask("fred", "send", to_id=to, message={"content": "x"})
    assert reply["code"] in ("invalid_recipient", "bad_request")


@pytest.mark.parametrize(
    "message",
    [
        None,
        "text",
        {"content": 5},
        {"content": "x", "data": b"bytes"},
        {"content": "x", "data": {"k": float("nan")}},
        {"content": "x", "data": {1: 2}},
    ],
)
def test_a_message_json_could_not_carry_is_refused(pair: Core, message: Any) -> None:
    assert pair.ask("fred", "send", to_id="claude", message=message)["code"] == "bad_request"
    assert pair.check("claude") == []


def test_a_refused_request_spoils_nothing_else_in_its_batch(pair: Core) -> None:
    good = {"action": "send", "to_id": "claude", "message": {"content": "good"}}
    replies = pair.batch(
        dict(good), {"action": "send", "to_id": "!", "message": {"content": "x"}}, {"action": 5}, dict(good), name="fred"
    )
    assert [r["status"] for r in replies] == ["ok", "error", "error", "ok"]
    assert pair.contents("claude") == ["good", "good"]


def test_an_unexpected_fault_is_a_reference_to_its_sender_only(pair: Core) -> None:
    def fault(*_: Any) -> dict[str, Any]:
        raise RuntimeError("secret detail")

    pair.engine.handlers["list"] = fault
    good = {"action": "send", "to_id": "claude", "message": {"content": "good"}}
    bad, ok = pair.batch({"action": "list"}, good, name="fred")
    assert (bad["code"], ok["status"]) == ("internal", "ok")
    assert "secret" not in str(bad)


def test_a_full_mailbox_refuses_with_the_limit(home: Path) -> None:
    core = Core(home, env={"IPC_MAILBOX_LIMIT": "2"})
    core.register("fred", "claude")
    core.send("fred", "claude")
    core.send("fred", "claude")
    assert core.send("fred", "claude")["message"] == "Message queue full for claude (2 message limit)"
    assert core.ask("fred", "broadcast", message={"content": "x"})["mailbox_full"] == ["claude"]
    core.ask("claude", "ack", ids=[m["id"] for m in core.check("claude")])
    assert core.send("fred", "claude")["status"] == "ok"
    core.store.close()


def test_a_send_repeated_after_the_mailbox_filled_up_is_told_that_it_is_stored(home: Path) -> None:
    core = Core(home, env={"IPC_MAILBOX_LIMIT": "2"})
    core.register("fred", "claude")
    first = core.send("fred", "claude", "one", message_id="m1")
    core.send("fred", "claude", "two")
    assert core.send("fred", "claude", "one", message_id="m1").items() >= {**first, "duplicate": True}.items()
    core.ask("claude", "block", name="fred", mode="block")
    assert core.send("fred", "claude", "one", message_id="m1")["duplicate"]
    assert core.send("fred", "claude", "three", message_id="m3")["code"] == "blocked"
    assert core.contents("claude") == ["one", "two"]
    core.store.close()


def test_the_rate_limit_says_when_to_retry_and_can_be_set_by_instance(home: Path) -> None:
    (home / "config.toml").write_text("rate_limit = 10\nrate_burst = 2\n[instances.bulk]\nrate_limit = 0\n")
    core = Core(home)
    core.register("fred", "bulk")
    assert [core.send("fred", "x")["status"] for _ in range(3)] == ["ok", "ok", "error"]
    reply = core.send("fred", "x")
    assert (reply["code"], reply["retryable"], reply["retry_after_s"]) == ("rate_limited", True, 0.1)
    core.pass_time(0.11)
    assert core.send("fred", "x")["status"] == "ok"
    assert all(core.send("bulk", "x")["status"] == "ok" for _ in range(20))
    core.store.close()


def test_a_large_message_becomes_a_markdown_file_with_the_original_untouched(pair: Core) -> None:
    body = "First sentence. Second one! Third.\r\n" + "ü\x00" * 6000
    pair.send("fred", "claude", body)
    mail = pair.check("claude")[0]
    path = Path(mail["file"]["path"])
    assert path.name == "20270115-080000_fred_claude_message.md"
    assert path.read_bytes().split(b"\n---\n\n", 1)[1] == body.encode()
    assert (path.stat().st_mode & 0o777, mail["file"]["size_bytes"]) == (0o600, len(body.encode()))
    assert mail["file"]["sha256"] == hashlib.sha256(body.encode()).hexdigest()
    assert mail["message"]["content"] == f"First sentence. Second one! Full content saved to: {path}"


def test_large_messages_of_several_seconds_in_one_batch_keep_their_own_files(core: Core) -> None:
    rows = [
        {"as_": "owner", "action": "import", "session_token": OWNER, "from_id": "old", "to_id": "new", "message_id": f"m{n}"}
        | {"message": {"content": letter * 20_000}, "timestamp": 1000.0 + second}
        for n, (letter, second) in enumerate((("a", 0.2), ("b", 1.2), ("c", 0.4)))
    ]
    assert {reply["status"] for reply in core.batch(*rows)} == {"ok"}
    core.register("new")
    for mail in core.check("new"):
        text = Path(mail["file"]["path"]).read_bytes().split(b"\n---\n\n", 1)[1]
        assert hashlib.sha256(text).hexdigest() == mail["file"]["sha256"]


def test_a_large_file_is_never_overwritten(pair: Core) -> None:
    for _ in range(3):
        pair.send("fred", "claude", "x" * 20_000)
    names = sorted(p.name for p in (pair.home / "large-messages").iterdir())
    assert names == [f"20270115-080000_fred_claude_message{s}.md" for s in ("-2", "-3", "")]


def test_a_message_over_the_limit_is_refused(home: Path) -> None:
    core = Core(home, env={"IPC_MESSAGE_LIMIT": "20000"})
    core.register("fred")
    assert core.send("fred", "x", "y" * 20_001)["code"] == "too_large"
    assert core.ask("fred", "send", to_id="x", message={"content": "", "data": "y" * 17_000})["code"] == "too_large"
    assert not (home / "large-messages").exists()
    core.store.close()


def test_summaries_are_two_sentences_on_one_line() -> None:
    assert summary("One. Two?\nThree.") == "One. Two?"
    assert summary("x" * 1000) == "x" * 300 + "…"
    assert "\n" not in summary("a\nb\n" * 500)


def test_unread_mail_waits_seven_days_and_no_longer(pair: Core) -> None:
    pair.send("fred", "nova")
    pair.pass_time(6 * 86400)
    pair.send("fred", "nova", "later")
    pair.pass_time(1.5 * 86400)
    pair.register("nova")
    assert pair.contents("nova") == ["later"]


def test_import_is_for_the_owner_only_and_repeatable(pair: Core) -> None:
    row: dict[str, Any] = {
        "from_id": "old",
        "to_id": "claude",
        "message": {"content": "x"},
        "message_id": "legacy-1",
        "timestamp": 1e9,
    }
    assert pair.ask("fred", "import", **row)["code"] == "unauthorized"
    assert pair.ask(None, "import", session_token=OWNER, **row)["status"] == "ok"
    assert pair.ask(None, "import", session_token=OWNER, **row)["duplicate"] is True


def test_ids_and_times_outside_what_can_be_stored_are_refused(pair: Core) -> None:
    for ids in ([2**63], [-1], [True], ["x"], ["9" * 30], [1.5], [None]):
        assert pair.ask("claude", "ack", ids=ids)["code"] == "bad_request"
    row: dict[str, Any] = {"from_id": "old", "to_id": "claude", "message": {"content": "x"}, "message_id": "legacy-1"}
    for when in (-1e300, float("nan"), float("inf"), "now"):
        assert pair.ask(None, "import", session_token=OWNER, timestamp=when, **row)["code"] == "bad_request"
    assert pair.ask(None, "import", session_token=5, timestamp=1, **row)["code"] == "unauthorized"
    assert pair.check("claude") == []
