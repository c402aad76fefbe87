"""Requests in flight, without a socket or a clock: every order of replies, losses, timeouts and askers that go."""

import gc
import math
import weakref
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broker.client.pending import FIRST_SILENCE_S, LAST_SILENCE_S, Pending
from broker.protocol import frames
from broker.protocol.errors import IpcError
from tests.examples import examples

Body = dict[str, Any]
MAIL = [{"id": "7"}]


class Wire:
    """A driver over a link that the test is the other end of."""

    def __init__(self, window: int = 0) -> None:
        self.orphans: list[tuple[Body, Body]] = []
        self.strays: list[Body] = []
        self.replies: list[Body] = []
        self.now_s = 100.0
        self.pending = Pending("test", lambda body, reply: self.orphans.append((body, reply)), self.strays.append, window)
        self.pending.opened(0.0)

    def begin(self, action: str = "ping", timeout_s: float = 20.0, **fields: Any) -> int:
        def answered(reply: Body) -> bool:
            self.replies.append(reply)
            return True

        return self.pending.begin({"action": action, **fields}, answered, timeout_s, self.now_s)

    def sent(self) -> list[Body]:
        return [body for frame in self.pending.outgoing(self.now_s) for body in frames.decode(frame)]

    def ids(self) -> list[int]:
        return [body["id"] for body in self.sent()]

    def bring(self, *replies: Body) -> None:
        self.pending.incoming(frames.encode(list(replies)), self.now_s)

    def ok(self, number: int, **more: Any) -> None:
        self.bring({"id": number, "status": "ok", **more})

    def codes(self) -> list[str]:
        return [str(reply.get("code", "ok")) for reply in self.replies]


def test_a_request_that_is_made_again_asks_for_the_rest_of_its_wait() -> None:
    wire = Wire()
    wire.begin("ask", timeout_s=90.0, wait_s=60, message_id="m")
    wire.begin("check", timeout_s=35.0, wait_s=5)
    wire.begin("ping")
    assert [body.get("wait_s") for body in wire.sent()] == [60, 5, None]
    for passed_s, left in ((52.0, [8.0, 0, None]), (55.0, [5.0, 0, None])):  # counted from the first time, not from the last
        wire.pending.opened(100.0 + passed_s)
        assert [body.get("wait_s") for body in wire.sent()] == left


def test_a_new_link_gets_what_has_no_answer_with_the_same_ids_in_order() -> None:
    wire = Wire()
    first, second, third = wire.begin(), wire.begin(), wire.begin()
    assert wire.ids() == [first, second, third]
    wire.ok(second)
    wire.pending.opened(0.0)
    fourth = wire.begin()
    assert wire.ids() == [first, third, fourth]
    assert wire.ids() == []


def test_two_subscriptions_get_their_own_pushes_and_a_new_link_gets_both() -> None:
    wire = Wire()
    pushes: list[tuple[str, Body]] = []
    one, other = wire.begin("subscribe"), wire.begin("subscribe", notify=True)
    wire.pending.on_push[one] = lambda push: pushes.append(("one", push))
    wire.pending.on_push[other] = lambda push: pushes.append(("other", push))
    wire.ids()
    wire.ok(one)
    wire.ok(other)
    wire.bring({"push": "mail", "id": one}, {"push": "new", "id": other}, {"push": "new", "id": 99})
    assert [(who, push["id"]) for who, push in pushes] == [("one", one), ("other", other)]
    assert [push["id"] for push in wire.strays] == [99]
    wire.pending.opened(0.0)
    assert wire.ids() == [one, other]


def test_a_subscription_begun_anew_tells_of_mail_that_came_meanwhile() -> None:
    wire, pushes = Wire(), []
    watch = wire.begin("subscribe", notify=True)
    wire.pending.on_push[watch] = pushes.append
    wire.ids()
    wire.ok(watch, unread=0)
    wire.pending.opened(0.0)
    assert wire.ids() == [watch]
    wire.ok(watch, unread=3)
    assert [(push["push"], push["unread"]) for push in pushes] == [("new", 3)]
    assert len(wire.replies) == 1


@pytest.mark.parametrize("end", ["unsubscribed", "refused", "not listened to"])
def test_a_new_link_does_not_get_a_subscription_that_has_ended(end: str) -> None:
    wire = Wire()
    number = wire.begin("subscribe")
    if end != "not listened to":
        wire.pending.on_push[number] = lambda _push: None
    wire.ids()
    wire.bring({"id": number, "status": "error" if end == "refused" else "ok"})
    if end == "unsubscribed":
        wire.pending.end_pushes(number)
    wire.pending.opened(0.0)
    assert wire.ids() == []


def test_what_is_pushed_after_the_end_of_a_subscription_can_still_be_given_back() -> None:
    wire, late = Wire(), []
    number = wire.begin("subscribe")
    wire.pending.on_push[number] = lambda _push: pytest.fail("it has ended")
    wire.ids()
    wire.ok(number)
    wire.pending.end_pushes(number, late.append)
    wire.bring({"push": "mail", "id": number, "messages": MAIL})
    assert [push["messages"] for push in late] == [MAIL]


def test_a_link_lost_during_a_long_poll_costs_nothing_but_the_question_again() -> None:
    wire = Wire()
    check = wire.begin("check", wait_s=60.0, timeout_s=90.0)
    wire.ids()
    wire.now_s += 50
    wire.pending.opened(0.0)
    assert wire.ids() == [check]
    wire.now_s += 39
    assert wire.pending.time_out(wire.now_s) == 0
    wire.ok(check, messages=MAIL)
    assert [reply["messages"] for reply in wire.replies] == [MAIL]
    assert wire.orphans == []


@pytest.mark.parametrize("how", ["timed out", "abandoned", "nobody there"])
def test_mail_of_a_late_check_finds_its_way_back(how: str) -> None:
    wire = Wire()
    number = wire.pending.begin({"action": "check"}, lambda _reply: how != "nobody there", 5.0, wire.now_s)
    wire.ids()
    if how == "abandoned":
        wire.pending.abandon(number)
    elif how == "timed out":
        wire.now_s += 5
        assert wire.pending.time_out(wire.now_s) == 1
    wire.ok(number, messages=MAIL)
    ((request, reply),) = wire.orphans
    assert (request["action"], reply["messages"]) == ("check", MAIL)


@pytest.mark.parametrize(("action", "mail"), [("history", MAIL), ("check", []), ("send", [])])
def test_a_late_reply_without_mail_on_lease_is_dropped(action: str, mail: list[Body]) -> None:
    wire = Wire()
    number = wire.begin(action)
    wire.ids()
    wire.pending.abandon(number)
    wire.ok(number, messages=mail)
    assert (wire.orphans, wire.replies) == ([], [])


def test_a_reply_that_comes_twice_is_taken_once() -> None:
    wire = Wire()
    number = wire.begin("check")
    wire.ids()
    wire.ok(number, messages=MAIL)
    wire.ok(number, messages=MAIL)
    assert (len(wire.replies), wire.orphans) == (1, [])


def test_what_is_abandoned_before_it_was_sent_never_leaves() -> None:
    wire = Wire()
    first, second = wire.begin(), wire.begin()
    wire.pending.abandon(first)
    assert wire.ids() == [second]


def test_requests_time_out_each_at_its_own_second() -> None:
    wire = Wire()
    slow, quick = wire.begin(timeout_s=20.0), wire.begin(timeout_s=2.5)
    wire.ids()
    assert wire.pending.deadline_s() == wire.now_s + 2.5
    wire.now_s += 2.5
    assert wire.pending.time_out(wire.now_s) == 1
    assert [(reply["id"], reply["code"]) for reply in wire.replies] == [(quick, "timeout")]
    assert wire.pending.deadline_s() == 120.0
    wire.ok(slow)
    assert wire.pending.deadline_s() == math.inf


def test_without_a_broker_everyone_who_waits_is_told_once() -> None:
    wire = Wire()
    numbers = [wire.begin(), wire.begin()]
    wire.ids()
    wire.pending.fail(IpcError("unavailable", detail="nothing answers"))
    wire.pending.fail(IpcError("unavailable", detail="nothing answers"))
    assert [(reply["id"], reply["code"]) for reply in wire.replies] == [(number, "unavailable") for number in numbers]
    wire.pending.opened(0.0)
    assert wire.ids() == []


def test_what_no_frame_can_carry_is_refused_and_harms_no_other_request() -> None:
    wire = Wire()
    fine = [wire.begin(), wire.begin(data="x"), wire.begin()]
    odd = [wire.begin(data=2**70), wire.begin(data="\ud800"), wire.begin(data="x" * (frames.FRAME_LIMIT_BYTES + 1))]
    assert wire.ids() == fine
    assert [reply["id"] for reply in wire.replies] == odd
    assert wire.codes() == ["bad_request", "bad_request", "too_large"]


def test_a_frame_that_the_broker_can_not_read_answers_what_was_sent_and_no_more() -> None:
    wire = Wire()
    sent = wire.begin()
    wire.ids()
    unsent = wire.begin()
    wire.bring({"id": None, "status": "error", "code": "bad_request"})
    assert [reply["id"] for reply in wire.replies] == [sent]
    assert wire.ids() == [unsent]


def test_a_window_bounds_what_is_on_the_wire() -> None:
    wire = Wire(window=512)
    for _ in range(1000):
        wire.begin()
    first = wire.ids()
    assert (len(first), wire.ids()) == (512, [])
    for number in first[:255]:
        wire.ok(number)
    assert wire.ids() == []
    wire.ok(first[255])
    assert len(wire.ids()) == 256


def test_silence_counts_as_death_the_later_the_more_often_it_was_in_vain() -> None:
    wire = Wire()
    number = wire.begin("check", wait_s=3.0)
    patience = []
    for _ in range(4):
        assert wire.ids() == [number]
        patience.append(wire.pending.silent_s() - wire.now_s - 3.0)
        wire.now_s = wire.pending.silent_s()
        wire.pending.opened(0.0)
    assert patience == [FIRST_SILENCE_S, 2 * FIRST_SILENCE_S, LAST_SILENCE_S, LAST_SILENCE_S]
    wire.ids()
    wire.bring({"push": "new", "id": 0})
    assert wire.pending.silent_s() - wire.now_s - 3.0 == FIRST_SILENCE_S


class Request(Body):
    """A map that can be seen to be forgotten."""

    __slots__ = ("__weakref__",)


class Asked:
    """What the model knows of one request."""

    def __init__(self, due_s: float, *, brings_mail: bool) -> None:
        self.due_s = due_s
        self.brings_mail = brings_mail
        self.outcomes: list[Body] = []
        self.abandoned = False


class EveryOrder(RuleBasedStateMachine):
    """The broker answers in any order, or never; links break; time passes; askers go."""

    @initialize()
    def begin_all(self) -> None:
        self.orphans: list[Body] = []
        self.pending = Pending("test", lambda _body, reply: self.orphans.append(reply))
        self.pending.opened(0.0)
        self.now_s = 0.0
        self.asked: dict[int, Asked] = {}
        self.maps: list[weakref.ref[Request]] = []
        self.wire: list[int] = []
        """At the broker over the present link, and not answered."""
        self.mail = 0
        """Replies with mail that came over a link that was up."""
        self.kept = 0
        """Those of them that an asker took."""

    @rule(timeout_s=st.sampled_from([1.0, 5.0, 20.0]), action=st.sampled_from(["check", "send"]), taken=st.booleans())
    def begin(self, timeout_s: float, action: str, taken: bool) -> None:
        asked = Asked(self.now_s + timeout_s, brings_mail=action == "check")

        def answered(reply: Body) -> bool:
            asked.outcomes.append(reply)
            self.kept += asked.brings_mail and taken and "messages" in reply
            return taken

        body = Request(action=action)
        self.maps.append(weakref.ref(body))
        self.asked[self.pending.begin(body, answered, timeout_s, self.now_s)] = asked

    @rule()
    def send(self) -> None:
        self.wire += [body["id"] for frame in self.pending.outgoing(self.now_s) for body in frames.decode(frame)]

    @precondition(lambda self: self.wire)
    @rule(data=st.data(), twice=st.booleans())
    def reply(self, data: st.DataObject, twice: bool) -> None:
        number = data.draw(st.sampled_from(self.wire))
        self.wire.remove(number)
        self.mail += self.asked[number].brings_mail
        reply = {"id": number, "status": "ok", "messages": [{"id": str(number)}]}
        self.pending.incoming(frames.encode([reply] * (1 + twice)), self.now_s)

    @rule()
    def lose_the_link(self) -> None:
        self.wire.clear()
        self.pending.opened(0.0)

    @rule(passed_s=st.sampled_from([0.5, 3.0, 30.0]))
    def wait(self, passed_s: float) -> None:
        self.now_s += passed_s
        deadline_s = self.pending.deadline_s()
        waiting = [one.due_s for one in self.asked.values() if not one.outcomes and not one.abandoned]
        assert deadline_s <= min(waiting, default=math.inf)
        self.pending.time_out(self.now_s)

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.asked)))
        self.asked[number].abandoned |= not self.asked[number].outcomes
        self.pending.abandon(number)

    @rule()
    def have_no_broker(self) -> None:
        self.wire.clear()
        self.pending.fail(IpcError("unavailable", detail=""))

    @invariant()
    def each_has_one_outcome_at_most_and_one_when_its_time_is_over(self) -> None:
        waiting = 0
        for one in self.asked.values():
            assert len(one.outcomes) <= (0 if one.abandoned else 1)
            waiting += not one.outcomes and not one.abandoned
        assert self.pending.in_flight == waiting

    @invariant()
    def mail_that_came_is_taken_or_given_back(self) -> None:
        assert self.mail == self.kept + len(self.orphans)

    def teardown(self) -> None:
        if not hasattr(self, "asked"):
            return
        self.now_s += 100
        self.pending.time_out(self.now_s)
        assert all(one.abandoned or len(one.outcomes) == 1 for one in self.asked.values())
        self.send()
        for number in list(self.wire):  # the broker answers all, however late
            self.pending.incoming(frames.encode([{"id": number, "status": "ok"}]), self.now_s)
        assert (self.pending.in_flight, self.pending.deadline_s()) == (0, math.inf)
        gc.collect()
        assert [one for one in self.maps if one() is not None] == []


TestEveryOrder = EveryOrder.TestCase
TestEveryOrder.settings = examples(100, stateful_step_count=30, deadline=None)
