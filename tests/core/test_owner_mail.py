"""The owner reads all mail, without a lease, and sends dead letters again."""

from typing import Any

import pytest

from tests.engine import DAY, HOUR, Core, own, sweep


def texts(core: Core, **fields: Any) -> list[str]:
    return [row["message"]["content"] for row in own(core, "letters", **fields)["messages"]]


@pytest.fixture
def talk(core: Core) -> Core:
    core.register("fred", "claude", "carl")
    core.ask("fred", "group_create", group="team")
    core.ask("carl", "group_join", group="team")
    core.send("fred", "claude", "one")
    core.pass_time(HOUR)
    core.send("claude", "fred", "two")
    core.send("carl", "claude", "three apples")
    core.send("fred", "team", "four")
    core.ask("claude", "broadcast", message={"content": "five"})
    return core


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ["five", "four", "three apples", "two", "one"]),
        ({"limit": 2}, ["five", "four"]),
        ({"after": "0"}, ["one", "two", "three apples", "four", "five"]),
        ({"after": "2", "limit": 2}, ["three apples", "four"]),
        ({"before": "3"}, ["two", "one"]),
        ({"name": "claude"}, ["five", "three apples", "two", "one"]),
        ({"name": "claude", "peer": "fred"}, ["two", "one"]),
        ({"name": "carl", "limit": 1}, ["five"]),
        ({"name": "carl", "before": "5"}, ["four", "three apples"]),
        ({"group": "team"}, ["four"]),
        ({"group": "tea"}, []),
        ({"query": "apples"}, ["three apples"]),
        ({"query": "app"}, ["three apples"]),
        ({"query": "apples", "name": "fred"}, []),
        ({"query": "apples", "name": "carl"}, ["three apples"]),
        ({"letter_id": "2"}, ["two"]),
        ({"thread": "2"}, ["two"]),
    ],
)
def test_mail_is_found(talk: Core, fields: dict[str, Any], found: list[str]) -> None:
    assert texts(talk, **fields) == found


def test_mail_is_found_by_time(talk: Core) -> None:
    assert texts(talk, since_s=talk.wall_s - 60) == ["five", "four", "three apples", "two"]
    assert texts(talk, since_s=talk.wall_s + 60) == []


def test_pages_lead_through_all_of_it_both_ways(talk: Core) -> None:
    for direction, first in (("before", {}), ("after", {"after": "0"})):
        found, page = [], own(talk, "letters", limit=2, **first)
        while True:
            found += [row["message"]["content"] for row in page["messages"]]
            if not page["more"]:
                break
            page = own(talk, "letters", limit=2, **{direction: page["next"]})
        assert sorted(found) == sorted(["one", "two", "three apples", "four", "five"])
        assert len(found) == 5


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "nobody"}, "unknown_name"),
        ({"name": "fred", "peer": "nobody"}, "unknown_name"),
        ({"thread": "99"}, "unknown_message"),
        ({"letter_id": "x"}, "unknown_message"),
        ({"before": "x"}, "bad_request"),
        ({"name": "fred", "after": "1"}, "bad_request"),
        ({"query": "  "}, "bad_request"),
    ],
)
def test_what_is_not_there_is_said(talk: Core, fields: dict[str, Any], code: str) -> None:
    assert own(talk, "letters", **fields)["code"] == code


def test_reading_leases_and_acknowledges_nothing(talk: Core) -> None:
    own(talk, "letters", steps=True)
    own(talk, "letters", name="claude")
    messages = talk.check("claude")
    assert [m["message"]["content"] for m in messages] == ["one", "three apples"]
    assert not any(m.get("redelivered") for m in messages)
    steps = own(talk, "letters", letter_id="1", steps=True)["messages"][0]["receipts"]
    assert [(r["to"], r["step"]) for r in steps] == [("claude", "pushed")]
    talk.ask("claude", "ack", ids=["1"])
    (row,) = own(talk, "letters", letter_id="1", steps=True)["messages"]
    assert [(r["to"], r["step"]) for r in row["receipts"]] == [("claude", "in_context")]


def test_mail_of_the_service_itself_has_receipts_too(core: Core) -> None:
    core.register("fred", "claude")
    core.ask("claude", "rename", new_id="opus")
    (row,) = own(core, "letters", steps=True)["messages"]
    assert (row["from"], [(r["to"], r["step"]) for r in row["receipts"]]) == ("system", [("fred", "stored")])


def test_a_short_list_cuts_texts_and_recipients(core: Core) -> None:
    names = [f"agent{i:02}" for i in range(30)]
    core.register("fred", *names)
    core.ask("fred", "broadcast", message={"content": "x" * 2000, "data": {"n": 1}})
    (short,) = own(core, "letters", short=True)["messages"]
    assert (len(short["message"]["content"]), short["cut"], len(short["to"]), short["to_count"]) == (500, True, 20, 30)
    (whole,) = own(core, "letters")["messages"]
    assert (len(whole["message"]["content"]), whole["to"], whole["message"]["data"]) == (2000, names, {"n": 1})
    assert "cut" not in whole and "to_count" not in whole


def refused(core: Core) -> str:
    number = core.send("fred", "claude", "not wanted")["number"]
    core.check("claude")
    core.ask("claude", "release", ids=[number], refuse=True, why="busy")
    return str(number)


def test_dead_letters_are_listed_sent_again_and_forgotten(pair: Core) -> None:
    first, second = refused(pair), refused(pair)
    assert own(pair, "overview")["dead"] == 2
    page = own(pair, "dead_letters", limit=1)
    assert [(d["id"], d["from"], d["to"], d["ending"], d["why"]) for d in page["dead"]] == [
        (second, "fred", "claude", "refused", "busy")
    ]
    assert [d["id"] for d in own(pair, "dead_letters", before=page["next"])["dead"]] == [first]
    pair.tokens["me"] = pair.ask("me", "register", instance_id="me", body={"kind": "process", "key": "page"})["session_token"]
    pair.register("carl")
    for _ in range(2):
        sent = own(pair, "dead_forward", by=pair.tokens["me"], dead_id=first, to_id="carl", message_id="again")
        assert (sent["to"], sent["resends"]) == ("carl", first)
    (message,) = pair.check("carl")
    assert (message["from"], message["forwarded"]["from"], message["message"]["content"]) == ("me", "fred", "not wanted")
    assert own(pair, "overview")["dead"] == 1
    assert own(pair, "dead_forget", ids=[second])["dropped"] == 1
    assert own(pair, "dead_letters")["dead"] == []
    assert own(pair, "dead_letters", dead_id=second)["dead"][0]["content"] == "not wanted"
    assert len(pair.ask("fred", "dead")["dead"]) == 2  # each end keeps its own list


def test_a_dead_letter_is_sent_in_nobodys_name_but_the_persons(pair: Core) -> None:
    dead = refused(pair)
    assert own(pair, "dead_forward", by="x", dead_id=dead)["code"] == "unauthorized"
    assert own(pair, "dead_forward", by=pair.tokens["fred"], dead_id="99")["code"] == "unknown_message"
    sent = own(pair, "dead_forward", by=pair.tokens["fred"], dead_id=dead)
    assert sent["to"] == "claude"


def test_expired_mail_is_a_dead_letter_of_the_owner_too(pair: Core) -> None:
    pair.send("fred", "claude", ttl_s=60)
    pair.pass_time(DAY)
    sweep(pair)
    assert [d["ending"] for d in own(pair, "dead_letters")["dead"]] == ["expired"]


def test_large_mail_shows_its_file(pair: Core) -> None:
    pair.send("fred", "claude", "word " * 10_000)
    (row,) = own(pair, "letters")["messages"]
    assert row["file"]["size_bytes"] == 50_000
