"""Fair turns between connections, and what is refused rather than kept."""

from typing import Any

import zmq

from broker import wire
from broker.backlog import LIMIT, LIMIT_BYTES, SHARE, Backlog
from broker.core.turn import Frame
from broker.runtime import endpoint
from tests.conftest import Service


def requests(route: bytes, count: int) -> Frame:
    return Frame(route, [{"id": n} for n in range(count)])


def taken(backlog: Backlog, now_s: float = 0.0, limit: int = 2048) -> dict[bytes, list[int]]:
    out: dict[bytes, list[int]] = {}
    for one in backlog.take(limit, now_s):
        out.setdefault(one.route, []).extend(body["id"] for body in one.bodies)
    return out


def test_a_connection_alone_fills_a_whole_turn() -> None:
    backlog = Backlog()
    assert backlog.add(requests(b"a", 3000), 1)
    assert taken(backlog) == {b"a": list(range(2048))}
    assert taken(backlog) == {b"a": list(range(2048, 3000))}
    assert not backlog


def test_beside_another_it_gets_a_share_and_keeps_its_order() -> None:
    backlog = Backlog()
    backlog.add(requests(b"flood", 1000), 1)
    backlog.add(requests(b"quiet", 1), 1)
    assert taken(backlog) == {b"flood": list(range(SHARE)), b"quiet": [0]}
    assert taken(backlog) == {b"flood": list(range(SHARE, 2 * SHARE))}, "the other will ask again soon"
    assert len(taken(backlog, now_s=5.0)[b"flood"]) == 1000 - 2 * SHARE


def test_a_frame_that_is_cut_keeps_its_token_and_door() -> None:
    whole = Frame(b"a", [{"session_token": "t", "door": "tcp"}, {"id": 1}, {"session_token": "u"}, {"id": 3}])
    for count in range(1, 4):
        head, rest = whole.cut(count)
        assert [*head.requests(), *rest.requests()] == list(whole.requests())


def test_when_a_turn_is_full_the_next_begins_with_those_left_out() -> None:
    backlog = Backlog()
    for route in (b"a", b"b", b"c"):
        backlog.add(requests(route, 100), 1)
    assert {r: len(ids) for r, ids in taken(backlog, limit=164).items()} == {b"a": 100, b"b": 64}
    assert list(taken(backlog, limit=164)) == [b"c", b"b"]


def test_too_many_requests_or_bytes_of_one_connection_are_not_taken() -> None:
    backlog = Backlog()
    assert backlog.add(requests(b"a", LIMIT), 1)
    assert not backlog.add(requests(b"a", 1), 1)
    assert backlog.add(requests(b"b", 1), LIMIT_BYTES + 1), "one frame, however large, is taken"
    assert not backlog.add(requests(b"b", 1), 1)
    backlog.take(100_000, 0.0)
    assert backlog.add(requests(b"a", 1), 1)


def test_a_flood_without_end_is_answered_whole_and_delays_another_by_a_few_turns(service: Service) -> None:
    token = service.connect("flood").token
    context = zmq.Context()
    flood, quiet = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    try:
        for s in (flood, quiet):
            s.setsockopt(zmq.LINGER, 0)
            s.setsockopt(zmq.RCVTIMEO, 20_000)
            s.connect(endpoint(service.settings))
        frames, each = 60, 256
        for frame in range(frames):
            bodies: list[dict[str, Any]] = [{"action": "whoami", "id": frame * each + n} for n in range(each)]
            bodies[0]["session_token"] = token
            flood.send(wire.encode(bodies))
        quiet.send(wire.encode([{"action": "ping", "id": "quiet"}]))
        assert wire.decode(quiet.recv())[0]["id"] == "quiet"
        answers: dict[int, str] = {}
        while len(answers) < frames * each:
            for reply in wire.decode(flood.recv()):
                answers[reply["id"]] = reply.get("code", "ok")
    finally:
        flood.close()
        quiet.close()
        context.term()
    assert set(answers.values()) <= {"ok", "overloaded"}
    assert sorted(answers) == list(range(frames * each))
