"""The judge itself: each broken rule is seen, a sound history is not accused."""

import time
from typing import Any

import pytest

from tests.deep.faults.history import EVERYONE, History


def message(key: str, text: str, message_id: str, **fields: Any) -> dict[str, Any]:
    sender = key.split("-")[0]
    return {"id": message_id, "from": sender, "message": {"content": text}, **fields}


@pytest.fixture
def history() -> History:
    return History(["a", "b", "c"])


def rules(history: History) -> list[str]:
    return [p.rule for p in history.problems]


def sent(history: History, to: str = "b", state: str = "ok") -> tuple[str, str]:
    key, text = history.begin("a", to)
    history.end(key, state)
    return key, text


def test_a_sound_history_with_redelivery_has_no_problem(history: History) -> None:
    first, second = sent(history), sent(history)
    history.delivered("b", 1, [message(*first, "1"), message(*second, "2")])
    history.delivered("b", 2, [message(*first, "1", redelivered=True)])
    history.acked("b", ["1", "2"])
    history.finish()
    assert rules(history) == []


def test_an_acknowledged_send_that_never_comes_is_lost(history: History) -> None:
    sent(history)
    sent(history, state="unknown")
    history.finish()
    assert rules(history) == ["lost"]


def test_a_broadcast_that_one_did_not_get_is_lost(history: History) -> None:
    key, text = sent(history, EVERYONE)
    history.delivered("b", 1, [message(key, text, "1")])
    history.finish()
    assert rules(history) == ["lost"]


def test_a_send_stored_twice_is_a_duplicate(history: History) -> None:
    key, text = sent(history)
    history.delivered("b", 1, [message(key, text, "1"), message(key, text, "2", redelivered=True)])
    assert rules(history) == ["duplicate"]


def test_mail_that_comes_back_after_its_acknowledgement_is_seen(history: History) -> None:
    key, text = sent(history)
    history.delivered("b", time.monotonic_ns(), [message(key, text, "1")])
    history.acked("b", ["1"])
    history.delivered("b", time.monotonic_ns(), [message(key, text, "1", redelivered=True)])
    assert rules(history) == ["after_ack"]


def test_the_wrong_order_of_one_pair_is_seen_and_that_of_others_is_none(history: History) -> None:
    first, second = sent(history), sent(history)
    history.delivered("b", 1, [message(*second, "2"), message(*first, "1")])
    assert rules(history) == ["order"]


def test_another_mailbox_another_name_another_text_and_a_refused_send_are_seen(history: History) -> None:
    key, text = sent(history)
    history.delivered("c", 1, [message(key, text, "1")])
    history.delivered("b", 1, [{**message(key, text, "1"), "from": "c"}])
    history.delivered("b", 1, [message(key, text + "!", "1")])
    history.delivered("b", 1, [message(*sent(history, state="refused"), "2")])
    assert rules(history) == ["wrong_box", "forged", "forged", "refused"]
