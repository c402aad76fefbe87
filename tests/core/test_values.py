"""What a message and its ids may hold."""

from typing import Any

import pytest

from tests.engine import OWNER, Core


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


def test_ids_and_times_outside_what_can_be_stored_are_refused(pair: Core) -> None:
    for ids in ([2**63], [-1], [True], ["x"], ["9" * 30], [1.5], [None]):
        assert pair.ask("claude", "ack", ids=ids)["code"] == "bad_request"
    row: dict[str, Any] = {"from_id": "old", "to_id": "claude", "message": {"content": "x"}, "message_id": "legacy-1"}
    for when in (-1e300, float("nan"), float("inf"), "now"):
        assert pair.ask(None, "import", session_token=OWNER, timestamp=when, **row)["code"] == "bad_request"
    assert pair.ask(None, "import", session_token=5, timestamp=1, **row)["code"] == "unauthorized"
    assert pair.check("claude") == []
