"""What is left of a reply that is too long for a one-shot client."""

import json
from typing import Any

import pytest

from bridges.tcp.fitting import fit
from broker.protocol.json_text import to_json

LIMIT = 4000


def rows(count: int, width: int = 10) -> list[dict[str, Any]]:
    return [{"id": f"{n:05}", "text": "ü" * width} for n in range(count)]


def messages(count: int, content: str) -> list[dict[str, Any]]:
    return [{"id": str(n), "from": "fred", "message": {"content": content, "data": {"n": n}}} for n in range(count)]


@pytest.mark.parametrize("name", ["instances", "groups", "claims", "messages", "receipts"])
def test_the_longest_list_keeps_the_rows_that_fit_and_more_counts_the_others(name: str) -> None:
    reply = {"status": "ok", "message": "x", name: rows(700), "id": 7}
    fit(reply, LIMIT)
    assert LIMIT - 100 < len(to_json(reply)) <= LIMIT
    kept = reply[name]
    assert isinstance(kept, list)
    assert kept == rows(700)[: len(kept)]
    assert reply["more"] == 700 - len(kept)
    assert (reply["status"], reply["id"]) == ("ok", 7)


@pytest.mark.parametrize(("before", "after"), [(0, 600), (5, 605), (False, True), (True, True)])
def test_more_adds_to_what_was_left_already_and_stays_a_truth_where_it_is_one(before: int | bool, after: int | bool) -> None:
    reply: dict[str, Any] = {"status": "ok", "messages": rows(650, 12), "more": before}
    fit(reply, LIMIT)
    left = 650 - len(reply["messages"])
    assert reply["more"] == (True if isinstance(before, bool) else before + left)
    assert isinstance(reply["more"], bool) == isinstance(before, bool)
    assert after in (True, reply["more"] - left + 600)


@pytest.mark.parametrize(
    "reply",
    [
        {"status": "ok", "groups": [{"name": "all-of-us", "members": [f"name-{n:05}" for n in range(3000)], "mine": True}]},
        {"status": "ok", "unread": 9, "from": {f"name-{n:05}": n for n in range(3000)}},
        {"status": "ok", "messages": messages(3, "\x01" * 9000)},
        {"status": "ok", "messages": [{"id": "1", "to": [f"n{n}" for n in range(5000)], "snippet": "s" * 3000, "message": {}}]},
        {"status": "ok", "done": True, "understood": {"content": "😀" * 3000}, "results": [{"messages": rows(700), "more": 1}]},
        {"status": "error", "code": "bad_request", "message": '"' * 9000},
        {"status": "ok", "id": ["x" * 100] * 200},
        {"status": "ok", "id": "x" * 20_000},
        {"status": "ok", "id": {"x" * 3000: "y" * 3000}},
    ],
    ids=["members", "senders", "one message", "recipients", "say", "error", "id list", "id text", "id map"],
)
def test_whatever_is_long_fits_and_says_what_is_missing(reply: dict[str, Any]) -> None:
    fit(reply, LIMIT)
    raw = to_json(reply)
    assert len(raw) <= LIMIT
    assert reply["status"] in ("ok", "error")
    assert '"more"' in raw.decode() or '"cut"' in raw.decode()


def test_of_a_text_the_beginning_stays_and_the_rest_is_counted() -> None:
    text = "".join(chr(0x4E00 + n % 5000) for n in range(6000))
    reply: dict[str, Any] = {"status": "ok", "messages": [{"id": "1", "message": {"content": text}}]}
    fit(reply, LIMIT)
    message = reply["messages"][0]["message"]
    assert text.startswith(message["content"])
    assert message["cut"] == len(text) - len(message["content"])
    assert len(message["content"]) > 1000


def test_what_fits_is_left_alone() -> None:
    reply: dict[str, Any] = {"status": "ok", "instances": rows(20), "more": 0}
    before = json.dumps(reply)
    fit(reply, LIMIT)
    assert json.dumps(reply) == before
