"""A client's own message id: a repeat is stored once and says so, another message under the same id is refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine import Core

LARGE = "A long report. " + "0123456789" * 3000


@pytest.fixture
def team(home: Path) -> Iterator[Core]:
    core = Core(home)
    for name in ("fred", "claude", "bob"):
        core.register(name)
    core.ask("fred", "group_create", group="crew")
    core.ask("claude", "group_join", group="crew")
    core.ask("fred", "group_create", group="others")
    core.ask("bob", "send", to_id="fred", message={"content": "asked"})
    yield core
    core.store.close()


def send(to: str, content: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"action": "send", "to_id": to, "message": {"content": content}, **fields}


def everyone(content: str) -> dict[str, Any]:
    return {"action": "broadcast", "message": {"content": content}}


def answer(content: str, to: str = "1") -> dict[str, Any]:
    return {"action": "reply", "to_message": to, "message": {"content": content}}


def question(to: str, content: str) -> dict[str, Any]:
    return {"action": "ask", "to_id": to, "message": {"content": content}}


def passed_on(to: str, note: str = "look") -> dict[str, Any]:
    return {"action": "forward", "forward_id": "1", "to_id": to, "note": note}


def with_data(data: Any) -> dict[str, Any]:
    return {"action": "send", "to_id": "claude", "message": {"content": "hi", "data": data}}


REPEATS = [
    (send("claude"), send("claude")),
    (send("claude", LARGE), send("claude", LARGE)),
    (send("nova"), send("nova")),
    (send("crew"), send("crew")),
    (with_data({"a": 1, "b": 2}), with_data({"b": 2, "a": 1})),
    (everyone("hi"), everyone("hi")),
    (answer("yes"), answer("yes")),
    (question("claude", "which?"), question("claude", "which?")),
    (passed_on("claude"), passed_on("claude")),
]
CONFLICTS = [
    (send("claude"), send("claude", "other")),
    (send("claude"), send("bob")),
    (send("claude"), send("nova")),
    (send("claude"), send("crew")),
    (send("claude", LARGE), send("claude", LARGE + "!")),
    (send("claude", LARGE), send("claude", LARGE[:100])),
    (send("nova"), send("claude")),
    (send("crew"), send("others")),
    (send("crew"), send("claude")),
    (send("claude"), with_data({"a": 1})),
    (with_data({"a": 1}), send("claude")),
    (with_data({"a": 1}), with_data({"a": 2})),
    (everyone("hi"), everyone("ho")),
    (everyone("hi"), send("claude", "hi")),
    (send("claude", "hi"), everyone("hi")),
    (answer("yes"), answer("no")),
    (answer("yes"), send("bob", "yes")),
    (send("bob", "yes"), answer("yes")),
    (question("claude", "which?"), question("bob", "which?")),
    (send("claude", "which?"), question("claude", "which?")),
    (passed_on("claude"), passed_on("bob")),
    (passed_on("claude"), passed_on("claude", "hm")),
]


@pytest.mark.parametrize(("first", "again"), REPEATS, ids=str)
def test_a_repeat_is_stored_once_and_says_so(team: Core, first: dict[str, Any], again: dict[str, Any]) -> None:
    stored = team.ask("fred", **first, message_id="m1")
    assert stored["status"] == "ok" and "duplicate" not in stored
    before = team.engine.state.last_message_id
    repeated = team.ask("fred", **again, message_id="m1")
    assert (repeated["status"], repeated["duplicate"]) == ("ok", True)
    assert repeated["message"] == stored["message"] and repeated["message_id"] == "m1"
    assert repeated["note"] == "It was sent before under this message_id and is stored once"
    assert team.engine.state.last_message_id == before


@pytest.mark.parametrize(("first", "other"), CONFLICTS, ids=str)
def test_another_message_under_the_same_id_is_refused(team: Core, first: dict[str, Any], other: dict[str, Any]) -> None:
    assert team.ask("fred", **first, message_id="m1")["status"] == "ok"
    refused = team.ask("fred", **other, message_id="m1")
    assert (refused["status"], refused["code"]) == ("error", "id_conflict"), refused
    assert team.ask("fred", **first, message_id="m1")["duplicate"] is True
    assert team.ask("fred", **other, message_id="m2")["status"] == "ok"


def test_the_second_of_one_batch_is_refused_too(team: Core) -> None:
    one, other = team.batch(
        {**send("claude"), "message_id": "m1"}, {**send("claude", "other"), "message_id": "m1"}, name="fred"
    )
    assert (one["status"], other["code"]) == ("ok", "id_conflict")
    assert [m["message"]["content"] for m in team.ask("claude", "check")["messages"]] == ["hi"]


def test_a_repeat_is_one_whatever_became_of_the_recipients_name(team: Core) -> None:
    assert team.ask("fred", **send("claude"), message_id="m1")["status"] == "ok"
    assert team.ask("fred", **send("nova"), message_id="m2")["status"] == "ok"
    team.ask("claude", "rename", new_id="jarvis")
    team.ask("bob", "rename", new_id="nova")  # who takes over what waited for that name
    for to, message_id in (("claude", "m1"), ("jarvis", "m1"), ("nova", "m2")):
        assert team.ask("fred", **send(to), message_id=message_id)["duplicate"] is True


def test_a_message_that_was_forwarded_is_known_by_the_name_it_was_sent_to(team: Core) -> None:
    team.ask("claude", "rename", new_id="jarvis")
    team.pass_time(1)
    assert team.ask("fred", **send("claude"), message_id="m1")["message"] == "Message forwarded from claude to jarvis"
    for to in ("claude", "jarvis"):
        assert team.ask("fred", **send(to), message_id="m1")["duplicate"] is True
    assert team.ask("fred", **send("bob"), message_id="m1")["code"] == "id_conflict"


def test_a_broadcast_that_one_got_is_no_message_to_that_one(home: Path) -> None:
    core = Core(home)
    core.register("fred", "claude")
    assert core.ask("fred", **everyone("hi"), message_id="m1")["count"] == 1
    assert core.ask("fred", **everyone("hi"), message_id="m1")["duplicate"] is True
    assert core.ask("fred", **send("claude", "hi"), message_id="m1")["code"] == "id_conflict"
    core.store.close()


def test_an_id_of_a_message_that_everybody_has_read_still_tells_a_repeat_from_another(team: Core) -> None:
    assert team.ask("fred", **send("claude"), message_id="m1")["status"] == "ok"
    (mail,) = team.ask("claude", "check")["messages"]
    team.ask("claude", "ack", ids=[mail["id"]])
    assert team.ask("fred", **send("claude"), message_id="m1")["duplicate"] is True
    assert team.ask("fred", **send("claude", "other"), message_id="m1")["code"] == "id_conflict"


def test_a_repeated_send_is_stored_once_and_answered_alike(pair: Core) -> None:
    first = pair.send("fred", "nova", message_id="m1")
    again = pair.send("fred", "nova", message_id="m1")
    assert again.pop("duplicate") is True
    assert {k: again[k] for k in ("message", "message_id")} == {k: first[k] for k in ("message", "message_id")}
    pair.restart()
    assert pair.send("fred", "nova", message_id="m1")["duplicate"] is True
    pair.register("nova")
    assert len(pair.check("nova")) == 1


def test_repeats_within_one_batch_are_stored_once(pair: Core) -> None:
    body = {"action": "send", "to_id": "claude", "message": {"content": "x"}, "message_id": "m1"}
    other = {**body, "message_id": "m2"}
    replies = pair.batch(dict(body), dict(other), dict(body), name="fred")
    assert [r.get("duplicate") for r in replies] == [None, None, True]
    assert len(pair.check("claude")) == 2


def test_two_senders_may_use_the_same_id(pair: Core) -> None:
    pair.register("bob")
    assert "duplicate" not in pair.send("fred", "claude", message_id="1")
    assert "duplicate" not in pair.send("bob", "claude", message_id="1")


def test_an_id_is_free_again_after_a_day(pair: Core) -> None:
    pair.send("fred", "claude", message_id="m1")
    pair.pass_time(23 * 3600)
    assert pair.send("fred", "claude", message_id="m1")["duplicate"] is True
    pair.pass_time(2 * 3600)
    assert "duplicate" not in pair.send("fred", "claude", message_id="m1")
    assert len(pair.check("claude")) == 2


def test_a_send_repeated_after_the_mailbox_filled_up_is_told_that_it_is_stored(home: Path) -> None:
    core = Core(home, env={"IPC_MAILBOX_LIMIT": "2"})
    core.register("fred", "claude")
    first = core.send("fred", "claude", "one", message_id="m1")
    core.send("fred", "claude", "two")
    del first["reach"]
    assert core.send("fred", "claude", "one", message_id="m1").items() >= {**first, "duplicate": True}.items()
    core.ask("claude", "block", name="fred", mode="block")
    assert core.send("fred", "claude", "one", message_id="m1")["duplicate"]
    assert core.send("fred", "claude", "three", message_id="m3")["code"] == "blocked"
    assert core.contents("claude") == ["one", "two"]
    core.store.close()
