"""Which of the door's two lanes a client's requests take, in which order, and how many at once."""

from typing import Any

from hypothesis import given
from hypothesis.strategies import data, integers, lists, sampled_from

from bridges.tcp.pace import PIPELINE, SHARE, Slot, Window

SEND: dict[str, Any] = {"action": "send"}
CHECK: dict[str, Any] = {"action": "check"}
WAIT: dict[str, Any] = {"action": "check", "wait_s": 60}
ASK: dict[str, Any] = {"action": "ask", "wait_s": 60}
LIST: dict[str, Any] = {"action": "list"}


class Client:
    """A client's window, and the broker's part of it: two queues, and what waits for mail aside."""

    def __init__(self) -> None:
        self.window = Window()
        self.begun: list[int] = []
        """Numbers of requests in the order in which they were asked."""
        self.lanes: dict[bool, list[Slot]] = {False: [], True: []}
        self.waiting: list[Slot] = []
        self._count = 0

    def say(self, *requests: dict[str, Any]) -> None:
        """What came in one read."""
        self.window.came = len(requests)
        for request in requests:
            slot = Slot(1, 0)
            slot.request = {**request, "number": self._count}
            self._count += 1
            if self.window.holds:
                self.window.hold(slot, b"", slot.request)
            else:
                self._start(slot)
        self.window.came = 0

    def _start(self, slot: Slot) -> None:
        if self.window.begins(slot, b"", self.here):
            self.begun.append(slot.request["number"])
            (self.waiting if slot.request.get("wait_s") else self.lanes[self.window.bulk]).append(slot)
            if slot.request["action"] == "list":
                self.window.long.append(slot)

    def answer(self, bulk: bool, count: int = 1) -> None:
        for slot in [self.lanes[bulk].pop(0) for _ in range(min(count, len(self.lanes[bulk])))]:
            self._answered(slot)
        self.go_on()

    def _answered(self, slot: Slot) -> None:
        self.window.answered(slot)
        if slot in self.window.long:
            self.window.long.remove(slot)

    def go_on(self) -> None:
        for slot, _raw, _request in self.window.next():
            self._start(slot)

    def end_wait(self) -> None:
        if self.waiting:
            self._answered(self.waiting.pop(0))
        self.go_on()

    @property
    def here(self) -> int:
        return self._count - len(self.begun) + sum(map(len, self.lanes.values())) + len(self.waiting)

    @property
    def under_way(self) -> tuple[int, int]:
        return len(self.lanes[False]), len(self.lanes[True])


def test_a_client_that_asks_little_takes_the_quick_lane() -> None:
    client = Client()
    client.say(*[SEND] * SHARE)
    assert client.under_way == (SHARE, 0)


def test_one_that_sends_much_together_takes_the_bulk_lane_without_a_bound() -> None:
    client = Client()
    client.say(*[SEND] * PIPELINE)
    assert client.under_way == (0, PIPELINE)
    client.answer(bulk=True, count=PIPELINE)
    client.say(SEND)
    assert client.under_way == (1, 0), "and comes back when all is answered"


def test_one_whose_requests_come_one_by_one_changes_lanes_when_none_is_under_way() -> None:
    client = Client()
    for _ in range(3 * SHARE):
        client.say(SEND)
    assert client.under_way == (SHARE, 0)
    client.answer(bulk=False, count=SHARE - 1)
    assert client.under_way == (1, 0), "those that wait would overtake it"
    client.answer(bulk=False)
    assert client.under_way == (0, 2 * SHARE)


def test_what_is_for_its_client_alone_waits_until_the_bulk_lane_is_empty_and_takes_the_quick_one() -> None:
    for request in (CHECK, WAIT, ASK, LIST):
        client = Client()
        client.say(*[SEND] * 2 * SHARE, request, SEND)
        client.answer(bulk=True, count=2 * SHARE - 1)
        assert client.begun == list(range(2 * SHARE))
        client.answer(bulk=True)
        assert client.begun == list(range(2 * SHARE + 2))
        assert client.under_way[1] == 0


def test_a_question_that_waits_for_its_answer_is_not_overtaken() -> None:
    client = Client()
    client.say(ASK)
    client.say(*[SEND] * 3 * SHARE)
    assert client.under_way == (SHARE, 0)
    client.answer(bulk=False, count=SHARE)
    assert client.under_way == (SHARE, 0)
    client.answer(bulk=False, count=SHARE)
    client.end_wait()
    assert client.begun == list(range(3 * SHARE + 1))


@given(data())
def test_requests_begin_in_their_order_are_in_one_lane_at_a_time_and_all_are_asked(draw: Any) -> None:
    client = Client()
    groups = draw.draw(lists(lists(sampled_from([SEND, SEND, SEND, CHECK, WAIT, ASK, LIST]), max_size=40), max_size=8))
    for group in groups:
        client.say(*group)
        for _ in range(draw.draw(integers(0, 3))):
            client.answer(bulk=draw.draw(sampled_from([False, True])), count=draw.draw(integers(1, 60)))
            if draw.draw(integers(0, 5)) == 0:
                client.end_wait()
            quick, bulk = client.under_way
            asks = any(slot.request["action"] == "ask" for slot in client.waiting)
            assert not (bulk and (quick or asks)), "what is in one lane can't be overtaken by the other"
            assert sum(slot.request["action"] == "send" for slot in client.lanes[False]) <= SHARE
            assert all(slot.request["action"] == "send" for slot in client.lanes[True])
            assert client.begun == list(range(len(client.begun)))
    while any(client.under_way) or client.waiting:
        client.answer(bulk=bool(client.under_way[1]), count=100)
        client.end_wait()
    assert client.begun == list(range(sum(map(len, groups))))
