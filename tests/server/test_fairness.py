"""Fair turns between connections, and what is refused rather than kept."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule
from hypothesis.strategies import integers, one_of, sampled_from

from broker.core.batch import Frame
from broker.home.data_folder import prepare_home
from broker.home.endpoints import endpoint
from broker.home.logs import Log
from broker.home.paths import wire_socket
from broker.home.settings import Settings
from broker.protocol import frames
from broker.server.fairness import LIMIT, LIMIT_BYTES, SHARE, SLOW_LIMIT, Backlog, ConnectionBudget
from broker.server.loop import Server
from broker.store import open_store
from tests.conftest import Service

LITTLE = SHARE // 4
"""Of all floods in every other turn."""


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
    assert taken(backlog) == {b"quiet": [0], b"flood": list(range(LITTLE))}
    assert taken(backlog) == {b"flood": list(range(LITTLE, LITTLE + SHARE))}
    assert taken(backlog) == {b"flood": list(range(LITTLE + SHARE, LITTLE + 2 * SHARE))}, "the other will ask again soon"
    assert len(taken(backlog, now_s=5.0)[b"flood"]) == 1000 - LITTLE - 2 * SHARE


def test_every_other_turn_takes_little_of_a_flood_while_somebody_asks_little() -> None:
    backlog = Backlog()
    turns = []
    for tick in range(6):
        backlog.add(requests(b"flood", 500), 1)
        backlog.add(requests(b"quiet", 1), 1)
        turns.append({route: len(ids) for route, ids in taken(backlog, tick / 10).items()})
    assert turns == [{b"quiet": 1, b"flood": LITTLE}, {b"quiet": 1, b"flood": SHARE}] * 3


def test_a_burst_counts_as_a_flood_for_a_second_and_is_not_remembered() -> None:
    backlog = Backlog()
    got = []
    for tick in range(14):
        backlog.add(requests(b"burst", 2 * SHARE if tick == 0 else LITTLE + 1), 1)
        backlog.add(requests(b"quiet", 1), 1)
        got.append(len(taken(backlog, tick / 5)[b"burst"]))
    assert got[0] == LITTLE
    assert got[-3:] == [LITTLE + 1] * 3, "it asks no more than others"


def test_what_floods_alone_counts_as_a_flood_beside_those_who_come_then() -> None:
    backlog = Backlog()
    backlog.add(requests(b"first", SHARE + 1), 1)
    assert taken(backlog) == {b"first": list(range(SHARE + 1))}
    for route, count in ((b"first", 1), (b"second", SHARE + 1), (b"quiet", 1)):
        backlog.add(requests(route, count), 1)
    turn = taken(backlog)
    assert turn.pop(b"quiet") == [0]
    assert sum(map(len, turn.values())) == LITTLE, "both floods together"


def test_floods_share_a_bound_where_somebody_asks_little_and_take_turns_in_it() -> None:
    backlog = Backlog()
    floods = [f"flood {n}".encode() for n in range(4)]
    turns = []
    for tick in range(8):
        for route in floods:
            backlog.add(requests(route, 300), 1)
        backlog.add(requests(b"quiet", 1), 1)
        turns.append({route: len(ids) for route, ids in taken(backlog, tick / 100).items()})
    assert [turn.pop(b"quiet") for turn in turns] == [1] * 8
    assert turns == [{route: count} for route, count in zip(floods * 2, [LITTLE, SHARE] * 4, strict=True)]


def test_floods_among_themselves_fill_a_transaction() -> None:
    backlog = Backlog()
    for route in (b"a", b"b", b"c"):
        backlog.add(requests(route, 500), 1)
    assert {route: len(ids) for route, ids in taken(backlog).items()} == {b"a": SHARE, b"b": SHARE, b"c": SHARE}


def test_a_flood_is_not_read_far_ahead_while_somebody_asks_little() -> None:
    backlog = Backlog()
    backlog.add(requests(b"flood", 1000), 1)
    assert not backlog.is_behind(b"flood")
    alone = backlog.read_at_once
    backlog.add(requests(b"quiet", 1), 1)
    taken(backlog)
    assert backlog.is_behind(b"flood")
    assert not backlog.is_behind(b"quiet")
    assert backlog.read_at_once < alone
    taken(backlog, now_s=5.0, limit=10)
    assert not backlog.is_behind(b"flood")
    assert backlog.read_at_once == alone


def test_what_a_turn_did_not_come_to_is_first_in_the_next_and_counts_with_its_bytes() -> None:
    backlog = Backlog()
    backlog.add(requests(b"a", 100), LIMIT_BYTES)
    (frame,) = backlog.take(2048, 0.0)
    backlog.put_back([frame.cut(20)[1].cut(30)[0], frame.cut(50)[1]])
    assert backlog.add(Frame(b"a", [{"id": "behind"}]), LIMIT_BYTES // 10)
    assert not backlog.add(requests(b"a", 1), LIMIT_BYTES // 5)
    assert taken(backlog) == {b"a": [*range(20, 100), "behind"]}
    assert not backlog


def test_a_pace_lets_each_connection_begin_and_ends_its_time_not_the_others() -> None:
    now_s = 0.0
    pace = ConnectionBudget(1.0, lambda: now_s)
    assert pace.enter(b"a")
    assert not pace.over()
    now_s = 1.5
    assert pace.over()
    assert not pace.enter(b"a")
    assert pace.enter(b"b")
    assert not pace.over()


def test_a_frame_that_is_cut_keeps_its_token_and_door() -> None:
    whole = Frame(b"a", [{"session_token": "t", "door": "tcp"}, {"id": 1}, {"session_token": "u"}, {"id": 3}])
    for count in range(1, 4):
        head, rest = whole.cut(count)
        assert [*head.requests(), *rest.requests()] == list(whole.requests())


def test_when_a_turn_is_full_the_next_begins_with_those_left_out() -> None:
    backlog = Backlog()
    for route in (b"a", b"b", b"c"):
        backlog.add(requests(route, 60), 1)
    assert {r: len(ids) for r, ids in taken(backlog, limit=100).items()} == {b"a": 60, b"b": 40}
    assert list(taken(backlog, limit=100)) == [b"c", b"b"]


def test_too_many_requests_or_bytes_of_one_connection_are_not_taken() -> None:
    backlog = Backlog()
    assert backlog.add(requests(b"a", LIMIT), 1)
    assert not backlog.add(requests(b"a", 1), 1)
    assert backlog.add(requests(b"b", 1), LIMIT_BYTES + 1), "one frame, however large, is taken"
    assert not backlog.add(requests(b"b", 1), 1)
    backlog.take(100_000, 0.0)
    backlog.take(100_000, 5.0)
    assert backlog.add(requests(b"a", 1), 1)


class Turns(RuleBasedStateMachine):
    """Connections that ask as they like, and turns that run all or a part of what they take."""

    ROUTES = (b"a", b"b", b"c", b"d", b"e")

    def __init__(self) -> None:
        super().__init__()
        self.backlog = Backlog()
        self.now_s = 0.0
        self.asked = dict.fromkeys(self.ROUTES, 0)
        self.run = dict.fromkeys(self.ROUTES, 0)
        self.flooded_s = dict.fromkeys(self.ROUTES, -10.0)
        """When more than a share of it waited last."""
        self.turns = dict.fromkeys(self.ROUTES, 0)
        """Turns since something of it was run, or nothing waited."""

    @rule(route=sampled_from(ROUTES), count=one_of(integers(1, 5), integers(1, 400)))
    def asks(self, route: bytes, count: int) -> None:
        first = self.asked[route]
        if self.backlog.add(Frame(route, [{"id": first + n} for n in range(count)]), 1):
            self.asked[route] += count
            self._note_floods()

    def _note_floods(self) -> None:
        for route in self.ROUTES:
            if self.asked[route] - self.run[route] > SHARE:
                self.flooded_s[route] = self.now_s

    @rule(seconds=sampled_from([0.0, 0.1, 2.0]), put_back=sampled_from([0, 0, 1, 7]))
    def turn(self, seconds: float, put_back: int) -> None:
        self.now_s += seconds
        self._note_floods()
        waiting = {route for route in self.ROUTES if self.asked[route] > self.run[route]}
        few = {route for route in waiting if self.flooded_s[route] < self.now_s - 1.0}
        many = {route for route in waiting if self.flooded_s[route] == self.now_s}
        frames_ = self.backlog.take(2048, self.now_s)
        counts = dict.fromkeys(self.ROUTES, 0)
        for frame in frames_:
            counts[frame.route] += len(frame.bodies)
        if few:
            assert sum(counts[route] for route in many) <= SHARE, "who asks little waits for no more than that"
        if put_back and frames_:
            *frames_, last = frames_
            head, rest = last.cut(max(0, len(last.bodies) - put_back))
            frames_ += [head] if head.bodies else []
            self.backlog.put_back([rest])
        self._note(frames_, waiting)
        assert put_back or all(self.turns[route] == 0 for route in few), "it is in every transaction"
        assert all(self.turns[route] <= 2 * len(self.ROUTES) for route in waiting), "nobody is left out for long"

    def _note(self, frames_: list[Frame], waiting: set[bytes]) -> None:
        for route in waiting:
            self.turns[route] += 1
        for frame in frames_:
            ids = [body["id"] for body in frame.bodies]
            start = self.run[frame.route]
            assert ids == list(range(start, start + len(ids))), "each connection's order, nothing lost, nothing twice"
            self.run[frame.route] += len(ids)
            self.turns[frame.route] = 0
        for route in self.ROUTES:
            if self.asked[route] == self.run[route]:
                self.turns[route] = 0


Turns.TestCase.settings = settings(deadline=None)
TestTurns = Turns.TestCase


def test_a_flood_without_end_is_answered_whole_and_delays_another_by_a_few_turns(service: Service) -> None:
    token = service.connect("flood").token
    context = zmq.Context()
    flood, quiet = context.socket(zmq.DEALER), context.socket(zmq.DEALER)
    try:
        for s in (flood, quiet):
            s.setsockopt(zmq.LINGER, 0)
            s.setsockopt(zmq.RCVTIMEO, 20_000)
            s.connect(endpoint(service.settings))
        count, each = 60, 256
        for frame in range(count):
            bodies: list[dict[str, Any]] = [{"action": "whoami", "id": frame * each + n} for n in range(each)]
            bodies[0]["session_token"] = token
            flood.send(frames.encode(bodies))
        quiet.send(frames.encode([{"action": "ping", "id": "quiet"}]))
        assert frames.decode(quiet.recv())[0]["id"] == "quiet"
        answers: dict[int, str] = {}
        while len(answers) < count * each:
            for reply in frames.decode(flood.recv()):
                answers[reply["id"]] = reply.get("code", "ok")
    finally:
        flood.close()
        quiet.close()
        context.term()
    assert set(answers.values()) <= {"ok", "overloaded"}
    assert sorted(answers) == list(range(count * each))


@contextlib.contextmanager
def dealers(service: Service, count: int) -> Iterator[list["zmq.Socket[bytes]"]]:
    """Sockets that speak to the broker."""
    context = zmq.Context()
    sockets = [context.socket(zmq.DEALER) for _ in range(count)]
    try:
        for s in sockets:
            s.setsockopt(zmq.LINGER, 0)
            s.setsockopt(zmq.RCVTIMEO, 20_000)
            s.connect(endpoint(service.settings))
        yield sockets
    finally:
        for s in sockets:
            s.close()
        context.term()


def replies(s: "zmq.Socket[bytes]", count: int) -> list[dict[str, Any]]:
    got: list[dict[str, Any]] = []
    while len(got) < count:
        got += frames.decode(s.recv())
    return got


@pytest.mark.deep
def test_reads_of_the_archive_wait_until_whatever_else_is_asked_is_answered(service: Service) -> None:
    """The order of the replies tells it: the last search of a pipeline comes after sends that were asked for behind it."""
    me = service.connect("fred")
    for start in range(0, 4000, 1000):
        me.send_many([("fred", f"word {n} and more words to look through") for n in range(start, start + 1000)])
    with dealers(service, 1) as (s,):
        searches = [{"action": "search", "query": "word", "limit": 200, "id": f"search {n}"} for n in range(40)]
        searches[0]["session_token"] = me.token
        s.send(frames.encode(searches))
        sends = [{"action": "send", "to_id": "fred", "message": {"content": "x"}, "id": n} for n in range(40)]
        sends[0]["session_token"] = me.token
        for body in sends:
            s.send(frames.encode([{**body, "session_token": me.token}]))
        order = [reply["id"] for reply in replies(s, 80)]
    assert [i for i in order if isinstance(i, str)] == [f"search {n}" for n in range(40)]
    assert [i for i in order if isinstance(i, int)] == list(range(40))
    assert order.index(39) < order.index("search 10"), "no send waited for the searches before it"


class Stepped:
    """A server of this process whose turns the test takes, and clients at its Unix socket."""

    def __init__(self, home: Path) -> None:
        settings = Settings.load(env={"IPC_HOME": str(home)})
        prepare_home(settings)
        self.server = Server(settings, open_store(settings), Log("broker", home / "logs", "warning"))
        self.server.open()
        self.path = wire_socket(str(home))

    def connect(self) -> "Speaker":
        return Speaker(self)


class Speaker:
    """One connection; what it waits for is got by turns of the server."""

    def __init__(self, stepped: Stepped) -> None:
        self._server = stepped.server
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(stepped.path)
        self._socket.setblocking(False)
        self._cutter = frames.Cutter()

    def send(self, *bodies: dict[str, Any]) -> None:
        self._socket.sendall(frames.enclose(frames.encode(list(bodies))))

    def came(self) -> list[dict[str, Any]]:
        """What has been answered since."""
        try:
            return [reply for frame in self._cutter.feed(self._socket.recv(1 << 20)) for reply in frames.decode(frame)]
        except BlockingIOError:
            return []

    def ask(self, **body: Any) -> tuple[dict[str, Any], int]:
        """The reply, and the turns that it took."""
        self.send({"id": 0, **body})
        for turns in range(1, 100):
            self._server.step()
            for reply in self.came():
                return reply, turns
        pytest.fail("no reply in 100 turns")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def stepped(home: Path) -> Iterator[Stepped]:
    one = Stepped(home)
    yield one
    one.server.close()


def test_one_search_is_run_in_a_turn_and_others_wait_for_no_more(stepped: Stepped) -> None:
    busy, quiet = stepped.connect(), stepped.connect()
    token = busy.ask(action="register", instance_id="fred")[0]["session_token"]
    quiet.ask(action="ping")
    busy.send(*({"action": "search", "query": "word", "id": n, "session_token": token} for n in range(60)))
    answered = [0]
    for number in range(10):
        reply, turns = quiet.ask(action="ping", id=number)
        assert (reply["id"], turns) == (number, 1)
        answered.append(len(busy.came()))
    assert set(answered[1:]) == {1}, "a search in each turn"
    busy.close()
    quiet.close()


def test_too_many_reads_of_the_archive_are_refused_and_unsound_ones_at_once(service: Service) -> None:
    me = service.connect("fred")
    with dealers(service, 1) as (s,):
        bodies: list[dict[str, Any]] = [{"action": "history", "id": n} for n in range(SLOW_LIMIT + 40)]
        bodies[0]["session_token"] = me.token
        bodies += [{"action": "search", "id": "no query"}, {"action": "history", "id": "stranger", "session_token": "x"}]
        s.send(frames.encode(bodies))
        codes = {reply["id"]: reply.get("code", "ok") for reply in replies(s, len(bodies))}
    assert [codes[n] for n in range(SLOW_LIMIT)] == ["ok"] * SLOW_LIMIT
    refused = [codes[n] for n in range(SLOW_LIMIT, SLOW_LIMIT + 40)].count("overloaded")
    assert refused >= 30, "each turn makes room for one, and they come in few turns"
    assert (codes["no query"], codes["stranger"]) == ("bad_request", "unauthorized")


@pytest.mark.deep
def test_expensive_requests_of_one_connection_share_a_turn_with_few_of_another(stepped: Stepped) -> None:
    """Requests that cost much of a millisecond each: a turn has room for few of them, however many wait."""
    busy, quiet = stepped.connect(), stepped.connect()
    tokens = [busy.ask(action="register", instance_id=f"agent-{n}")[0]["session_token"] for n in range(200)]
    quiet.ask(action="ping")
    busy.send(*({"action": "list", "session_token": tokens[0], "id": n} for n in range(100)))
    counts = []
    while sum(counts) < 100:
        assert quiet.ask(action="ping")[1] == 1
        counts.append(len(busy.came()))
    assert max(counts) < 50, "a hundred of them fit into a share by their count"
    busy.close()
    quiet.close()
