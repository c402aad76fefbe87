"""Acts of the person, from a request's fields to the method that takes them."""

from typing import Any

import pytest

from bridges.web.acts import ACTS, arguments, place_back
from broker.protocol.errors import IpcError


@pytest.mark.parametrize(
    ("act", "fields", "taken"),
    [
        ("send", {"to": "fred", "content": " hi ", "back": "/x", "land": ""}, {"to": "fred", "content": " hi "}),
        ("ask", {"to": "fred", "content": "?", "deadline_s": "60"}, {"to": "fred", "content": "?", "deadline_s": 60.0}),
        ("ack", {"ids": "1, 2"}, {"ids": ["1", "2"]}),
        ("ack", {"ids": ["1"]}, {"ids": ["1"]}),
        ("pause", {"name": "fred", "on": "true"}, {"name": "fred", "on": True}),
        ("pause", {"name": "fred", "other": "bob", "on": False}, {"name": "fred", "other": "bob", "on": False}),
    ],
)
def test_fields_become_arguments(act: str, fields: dict[str, Any], taken: dict[str, Any]) -> None:
    assert arguments(act, fields) == taken


@pytest.mark.parametrize(
    ("act", "fields"),
    [
        ("send", {"to": "fred"}),
        ("send", {"to": "fred", "content": "  "}),
        ("send", {"to": "fred", "content": {"x": 1}}),
        ("send", {"to": ["fred"], "content": "x"}),
        ("send", {"to": "fred", "content": "x", "from_id": "bob"}),
        ("send", {"to": "fred", "content": "x", "session_token": "y"}),
        ("ack", {"ids": [1]}),
        ("ack", {"ids": ","}),
        ("pause", {"name": "fred", "on": "perhaps"}),
        ("pause", {"name": "fred", "on": 1}),
        ("ask", {"to": "fred", "content": "x", "deadline_s": "soon"}),
    ],
)
def test_fields_that_are_not_the_acts_are_refused(act: str, fields: dict[str, Any]) -> None:
    with pytest.raises(IpcError) as refused:
        arguments(act, fields)
    assert refused.value.code == "bad_request"


@pytest.mark.parametrize(
    "place", ["//evil.example", "/\\evil.example", "http://evil.example", "evil", "", None, 7, "/\r\nX: y", "/a\\b"], ids=str
)
def test_a_form_leads_back_to_this_page_alone(place: Any) -> None:
    assert place_back(place) == "/"
    assert place_back("/talk/fred?since=1#last") == "/talk/fred?since=1#last"


def test_no_act_takes_a_token_or_a_sender() -> None:
    for _method, needed, taken in ACTS.values():
        assert not {"session_token", "by", "from_id", "person"} & (needed.keys() | taken.keys())
