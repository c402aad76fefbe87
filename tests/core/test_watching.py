"""Long polls and pushes."""

from typing import Any

import pytest

from broker.core.batch import Incoming
from tests.engine import Core


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


def test_unsubscribe_ends_the_wait_of_one_request_of_its_connection(pair: Core) -> None:
    def run(*bodies: dict[str, Any]) -> dict[int, dict[str, Any]]:
        requests = [Incoming(b"fred", body, pair.tokens["fred"], "test") for body in bodies]
        return {o.body["id"]: o.body for o in pair.engine.run(requests, pair.now())[0]}  # type: ignore[union-attr]

    run(*({"id": n, "action": "check", "wait_s": 60} for n in (7, 8)))
    run({"id": 9, "action": "ask", "to_id": "claude", "message": {"content": "?"}, "wait_s": 60})
    told = run(*({"id": 20 + n, "action": "unsubscribe", "subscription": n} for n in (7, 9)))
    assert (told[7]["messages"], told[9]["state"], told[9]["messages"]) == ([], "open", []) and 8 not in told
    pair.batch({"action": "unsubscribe", "subscription": 8}, name="claude")
    assert [w.request_id for w in pair.engine.state.mailboxes["fred"].waiters if w.request_id == 8] == [8]
