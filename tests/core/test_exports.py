"""The owner exports mail: all of it, the oldest first, with what became of each copy."""

from typing import Any

import pytest

from tests.engine import DAY, HOUR, Core, own


def texts(core: Core, **fields: Any) -> list[str]:
    """By as many pages as it takes."""
    found: list[str] = []
    after, more = "0", True
    while more:
        page = own(core, "export", **{"after": after, **fields})
        found += [row["message"]["content"] for row in page["messages"]]
        after, more = page.get("next", ""), page["more"]
    return found


def states(core: Core, number: str) -> list[tuple[str | None, str]]:
    (row,) = (r for r in own(core, "export")["messages"] if r["id"] == number)
    return [(one["name"], one["state"]) for one in row["readers"]]


@pytest.fixture
def talk(team: Core) -> Core:
    team.ask("fred", "group_create", group="devs")
    team.ask("bob", "group_join", group="devs")
    team.send("fred", "claude", "one")
    team.pass_time(HOUR)
    team.send("claude", "fred", "two")
    team.send("bob", "claude", "three")
    team.send("fred", "devs", "four")
    team.ask("claude", "check")
    team.ask("claude", "reply", to_message="1", message={"content": "five"})
    return team


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ["one", "two", "three", "four", "five"]),
        ({"limit": 2}, ["one", "two", "three", "four", "five"]),
        ({"name": "claude", "limit": 1}, ["one", "two", "three", "five"]),
        ({"name": "claude", "peer": "fred"}, ["one", "two", "five"]),
        ({"name": "bob"}, ["three", "four"]),
        ({"thread": "5"}, ["one", "five"]),
        ({"group": "devs"}, ["four"]),
        ({"since_s": 1_800_000_000 + 60}, ["two", "three", "four", "five"]),
        ({"group": "nobodys"}, []),
    ],
)
def test_an_export_has_what_was_asked_for_the_oldest_first(talk: Core, fields: dict[str, Any], found: list[str]) -> None:
    assert texts(talk, **fields) == found


def test_a_page_that_finds_nothing_says_where_the_next_goes_on(talk: Core) -> None:
    page = own(talk, "export", group="devs", limit=2)
    assert (page["messages"], page["more"], page["next"], page["last"]) == ([], True, "2", "5")


def test_nothing_is_leased_or_acknowledged(pair: Core) -> None:
    pair.send("fred", "claude", "one")
    assert states(pair, "1") == [("claude", "unread")]
    assert pair.contents("claude") == ["one"]


def test_it_tells_what_became_of_each_copy(team: Core) -> None:
    team.ask("claude", "block", name="bob", mode="mute")
    team.ask("fred", "group_create", group="devs")
    for name in ("claude", "bob"):
        team.ask(name, "group_join", group="devs")
    team.send("fred", "devs", "one")
    (got,) = team.check("claude")
    team.ask("claude", "ack", ids=[got["id"]], evidence="hook")
    team.ask("bob", "release", ids=[team.check("bob")[0]["id"]], refuse=True, why="not mine")
    row = own(team, "export")["messages"][0]
    assert row["readers"] == [
        {"name": "claude", "state": "read", "at": "2027-01-15T08:00:00.000000+00:00", "evidence": "hook"},
        {"name": "bob", "state": "refused", "at": "2027-01-15T08:00:00.000000+00:00", "why": "not mine"},
    ]
    assert states(team, team.send("bob", "claude")["number"]) == [("claude", "unread")]


def test_a_reader_whose_mailbox_is_gone_has_no_name(core: Core) -> None:
    core.env["IPC_READ_TTL"] = str(90 * DAY)
    core.restart()
    core.register("fred", "claude")
    core.send("fred", "claude")
    core.ask("claude", "ack", ids=[m["id"] for m in core.check("claude")])
    core.ask("claude", "unregister")
    del core.engine.state.by_id[core.engine.state.mailboxes.pop("claude").id]
    assert states(core, "1") == [(None, "read")]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"name": "nobody"}, "unknown_name"),
        ({"peer": "fred"}, "bad_request"),
        ({"thread": "99"}, "unknown_message"),
        ({"after": "x"}, "bad_request"),
    ],
)
def test_what_is_not_there_is_refused(pair: Core, fields: dict[str, Any], code: str) -> None:
    assert own(pair, "export", **fields)["code"] == code


def test_it_is_the_owners_alone(pair: Core) -> None:
    assert pair.ask("fred", "export")["code"] == "unauthorized"
