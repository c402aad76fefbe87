"""Mail as it was sent."""

from typing import Any

from tests.engine import OWNER, Core


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
