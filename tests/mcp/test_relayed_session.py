"""What the relay keeps of a session, message by message."""

import json
from typing import Any

import pytest

from bridges.mcp.relay_protocol import LINE_BYTES, NOTE, read_note
from bridges.mcp.relayed_session import Exchange, Lines, id_in


def line(number: Any = None, method: str | None = None, **fields: Any) -> bytes:
    message: dict[str, Any] = {"jsonrpc": "2.0", **fields}
    if number is not None:
        message["id"] = number
    if method is not None:
        message["method"] = method
    return json.dumps(message).encode()


INITIALIZE = line(0, "initialize")
INITIALIZED = line(None, "notifications/initialized")


def shaken_hands() -> Exchange:
    exchange = Exchange()
    assert exchange.from_host(INITIALIZE)
    assert exchange.from_server(line(0, result={}))
    assert exchange.from_host(INITIALIZED)
    return exchange


def test_a_new_process_hears_the_handshake_and_what_was_not_answered_in_order() -> None:
    exchange = shaken_hands()
    calls = [line(n, "tools/call") for n in (1, "1", 2)]
    for call in calls:
        exchange.from_host(call)
    exchange.from_server(line(2, result={}))
    assert exchange.replay() == ([INITIALIZE, INITIALIZED, *calls[:2]], [])


def test_the_second_answer_to_the_handshake_is_swallowed_once() -> None:
    exchange = shaken_hands()
    exchange.replay()
    assert not exchange.from_server(line(0, result={}))
    exchange.from_host(line(1, "ping"))
    assert exchange.from_server(line(1, result={}))


def test_a_handshake_without_answer_is_said_again_and_its_answer_passed_on() -> None:
    exchange = Exchange()
    exchange.from_host(INITIALIZE)
    assert exchange.replay() == ([INITIALIZE], [])
    assert exchange.from_server(line(0, result={}))


def test_a_handshake_that_the_relay_answered_is_said_to_every_process_and_heard_from_none() -> None:
    exchange = Exchange()
    assert exchange.answered_here(INITIALIZE, 0)
    assert not exchange.from_server(line(0, result={}))
    exchange.from_host(INITIALIZED)
    assert exchange.replay() == ([INITIALIZE, INITIALIZED], [])
    assert not exchange.from_server(line(0, result={}))
    assert not exchange.answered_here(line(1, "ping"), 1)


def test_a_request_is_answered_once() -> None:
    exchange = shaken_hands()
    exchange.from_host(line(1, "ping"))
    assert exchange.from_server(line(1, result={}))
    assert not exchange.from_server(line(1, result={}))


def test_a_cancelled_request_is_not_sent_again() -> None:
    exchange = shaken_hands()
    exchange.from_host(line(1, "tools/call"))
    exchange.from_host(line(None, "notifications/cancelled", params={"requestId": 1}))
    assert exchange.replay() == ([INITIALIZE, INITIALIZED], [])


def test_subscriptions_stand_until_they_are_ended() -> None:
    exchange = shaken_hands()
    subscribe = line(1, "resources/subscribe", params={"uri": "ipc://inbox"})
    exchange.from_host(subscribe)
    exchange.from_server(line(1, result={}))
    assert exchange.replay()[0] == [INITIALIZE, INITIALIZED, subscribe]
    assert not exchange.from_server(line(1, result={}))
    exchange.from_host(line(2, "resources/unsubscribe", params={"uri": "ipc://inbox"}))
    exchange.from_server(line(2, result={}))
    assert exchange.replay()[0] == [INITIALIZE, INITIALIZED]


def test_a_request_that_processes_die_of_is_given_up() -> None:
    exchange = Exchange()
    exchange.from_host(line(7, "tools/call"))
    for _ in range(5):
        assert len(exchange.replay()[0]) == 1
    assert exchange.replay() == ([], ["7"])


def test_an_answer_to_a_question_of_an_earlier_process_goes_nowhere() -> None:
    exchange = shaken_hands()
    assert exchange.from_server(line(1, "elicitation/create"))
    assert exchange.from_host(line(1, result={}))
    assert exchange.from_server(line(2, "elicitation/create"))
    exchange.replay()
    assert not exchange.from_host(line(2, result={}))


def test_what_is_no_json_is_the_sdks_to_answer() -> None:
    exchange = Exchange()
    assert exchange.from_host(b"{")
    assert exchange.from_host(b"[1]")
    assert exchange.replay() == ([], [])


def test_lines_are_cut_from_any_pieces() -> None:
    lines = Lines()
    assert lines.feed(b"a") == []
    assert lines.feed(b"b\r\n\n c \nd") == [b"ab", b"c"]
    assert lines.rest() == [b"d"]
    assert lines.rest() == []


def test_a_line_over_the_limit_is_dropped_to_its_end_and_the_next_is_whole() -> None:
    lines = Lines()
    assert lines.feed(b'{"id":5' + b"x" * LINE_BYTES) == []
    assert lines.feed(b"x" * 100) == []
    assert lines.feed(b"tail\nnext\n") == [b"next"]
    assert [head[:7] for head in lines.too_long] == [b'{"id":5']


@pytest.mark.parametrize("number", [b"1e999", b"NaN", b"[[1]]", b"2.5", b"null", b"[" * 900 + b"]" * 900])
def test_a_request_whose_id_is_none_is_passed_on_and_not_answered_here(number: bytes) -> None:
    exchange = Exchange()
    assert exchange.from_host(b'{"jsonrpc":"2.0","method":"ping","id":' + number + b"}")
    assert not exchange.pending


@pytest.mark.parametrize("head", [b'{"id":01', b'{"id":"a\x01"', b'{"id":-'])
def test_an_id_that_can_not_be_read_in_a_long_line_is_none(head: bytes) -> None:
    assert id_in(head) is None


def test_a_note_that_is_nested_too_deep_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="too deep"):
        read_note(NOTE + b"[" * 100_000)
