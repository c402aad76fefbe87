"""Carrying out plain words: the same requests at every door."""

import asyncio
from typing import Any

import pytest

from bridges.plain_words import CONTEXT, Plan, Vocabulary, carry_out, carry_out_async, saying

REPLIES: dict[str, dict[str, Any]] = {
    "whoami": {"instance_id": "fred"},
    "list": {
        "instances": [{"id": "fred"}, {"id": "Wilma"}, {"id": "nessa", "unclaimed": True}, {"id": "bob@rome", "site": "rome"}]
    },
    "groups": {"groups": [{"name": "builders"}]},
    "history": {"messages": [{"direction": "in", "read": True, "from": "Wilma", "id": "7"}]},
}


class Door:
    """Answers requests and remembers them."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        return REPLIES.get(request["action"], {"message": "done"})

    async def ask_async(self, request: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return self.ask(request)

    @property
    def done(self) -> list[dict[str, Any]]:
        return self.asked[len(CONTEXT) :]


def yes(plan: Plan) -> bool:
    return plan.problem is None


@pytest.mark.parametrize(
    ("text", "requests"),
    [
        ("msg wilma: hi", [{"action": "send", "to_id": "Wilma", "message": {"content": "hi"}, "person": True}]),
        ("reply: on it", [{"action": "reply", "to_message": "7", "message": {"content": "on it"}, "person": True}]),
        ("check messages", [{"action": "check"}]),
        ("tell wilma and builders lunch", ["send", "send"]),
        ("msg Bob@Rome hi", [{"action": "send", "to_id": "bob@rome", "message": {"content": "hi"}, "person": True}]),
        (
            "ask bob@rome: why?",
            [{"action": "ask", "to_id": "bob@rome", "message": {"content": "why?"}, "wait_s": 0, "person": True}],
        ),
        ("ask *@rome: who is there?", ["send"]),
        ("tell wilma, bob@rome and *@*: lunch", ["send", "send", "send"]),
        ("forward it to bob@rome", [{"action": "forward", "forward_id": "7", "to_id": "bob@rome"}]),
    ],
)
def test_a_door_that_waits_and_one_that_awaits_make_the_same_requests(text: str, requests: list[Any]) -> None:
    waits, awaits = Door(), Door()
    said = carry_out(saying(text, Vocabulary(), yes, person=True), waits.ask)
    assert said == asyncio.run(carry_out_async(saying(text, Vocabulary(), yes, person=True), awaits.ask_async))
    assert waits.asked == awaits.asked
    assert [r if isinstance(wanted, dict) else r["action"] for r, wanted in zip(waits.done, requests, strict=True)] == requests
    assert said.replies is not None and len(said.replies) == len(requests)


def test_nothing_is_done_before_the_door_agrees_to_the_plan() -> None:
    door = Door()
    said = carry_out(saying("msg nessa welcome", Vocabulary(), lambda plan: plan.question is None), door.ask)
    assert (said.replies, door.done, said.plan.question) == (None, [], "nessa isn't registered. Send anyway?")


@pytest.mark.parametrize("text", ["msg ann@rome: hi", "msg bob@oslo: hi", "msg *@oslo: hi", "forward it to ann@rome"])
def test_an_address_that_nobody_is_known_by_is_asked_back(text: str) -> None:
    door = Door()
    said = carry_out(saying(text, Vocabulary(), lambda plan: plan.question is None), door.ask)
    assert (said.replies, door.done) == (None, [])
    assert str(said.plan.question).endswith("isn't registered. Send anyway?") and len(said.plan.requests) == 1


def test_who_has_no_name_yet_is_asked_for_nothing_before_registering() -> None:
    door = Door()
    carry_out(saying("register as fred", Vocabulary(), yes, registered=False), door.ask)
    assert door.asked == [{"action": "register", "instance_id": "fred"}]


def test_a_script_that_says_something_is_no_person() -> None:
    door = Door()
    carry_out(saying("msg wilma: hi", Vocabulary(), yes), door.ask)
    assert "person" not in door.done[0]
