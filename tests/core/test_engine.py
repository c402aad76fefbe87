"""One request's refusal or fault is not another's."""

from typing import Any

from tests.engine import Core


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
