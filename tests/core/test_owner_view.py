"""What the owner sees of everybody: none of it leases, acknowledges or wakes."""

from typing import Any

import pytest

from broker.protocol.actions import ACTIONS
from broker.protocol.owner_rows import OWNER_ROWS
from broker.protocol.rows import Access
from tests.engine import Core, go_on, own


def row_of(core: Core, name: str) -> dict[str, Any]:
    (row,) = [agent for agent in own(core, "overview")["agents"] if agent["id"] == name]
    return dict(row)


@pytest.mark.parametrize("row", OWNER_ROWS, ids=lambda row: row.name)
def test_only_the_owners_key_opens_it(pair: Core, row: Any) -> None:
    assert row.access is Access.OWNER
    for token in ("", "x", pair.tokens["fred"]):
        assert pair.ask("fred", row.name, session_token=token)["code"] == "unauthorized"


def test_the_agents_are_shown_with_what_waits_for_them(pair: Core) -> None:
    pair.send("fred", "claude")
    pair.pass_time(60)
    pair.send("fred", "claude")
    pair.send("fred", "later")
    pair.check("claude", limit=1)
    claude = row_of(pair, "claude")
    assert (claude["queued"], claude["leased"]) == (2, 1)
    assert claude["oldest"] < own(pair, "overview")["at"]
    pair.store.fold_all()
    pair.send("fred", "claude")
    assert row_of(pair, "claude")["oldest"] == claude["oldest"]
    pair.restart()
    assert row_of(pair, "claude")["oldest"] == claude["oldest"]
    assert row_of(pair, "later")["unclaimed"] is True
    assert "oldest" not in row_of(pair, "fred")
    assert own(pair, "overview")["sent"] == 4


def test_who_waits_for_whom_until_it_is_answered(pair: Core) -> None:
    asked = pair.ask("fred", "ask", to_id="claude", message={"content": "which branch?"}, deadline_s=600)
    (question,) = own(pair, "overview")["questions"]
    assert (question["from"], question["to"], question["state"], question["content"]) == (
        "fred",
        "claude",
        "open",
        "which branch?",
    )
    assert row_of(pair, "fred")["waits_for"] == ["claude"]
    assert row_of(pair, "claude")["waited_by"] == ["fred"]
    pair.pass_time(601)
    assert own(pair, "overview")["questions"][0]["state"] == "stale"
    assert "waits_for" not in row_of(pair, "fred")
    pair.ask("claude", "reply", to_message=asked["number"], message={"content": "main"})
    assert own(pair, "overview")["questions"] == []


def test_a_question_that_was_taken_back_waits_for_nobody(pair: Core) -> None:
    number = pair.ask("fred", "ask", to_id="claude", message={"content": "which?"})["number"]
    assert [q["id"] for q in own(pair, "overview")["questions"]] == [number]
    pair.ask("fred", "withdraw", withdraw_id=number)
    assert own(pair, "overview")["questions"] == []


@pytest.mark.parametrize(
    ("data", "buttons"),
    [
        ({"buttons": ["yes", "not today"]}, ["yes", "not today"]),
        ({"buttons": ["yes", 1, None, " ", "x" * 201, "no"]}, ["yes", "no"]),
        ({"buttons": [str(n) for n in range(9)]}, ["0", "1", "2", "3", "4", "5"]),
        ({"buttons": "yes"}, None),
        ({"buttons": []}, None),
        (["buttons"], None),
        (None, None),
    ],
)
def test_a_question_carries_the_answers_that_its_asker_proposes(pair: Core, data: Any, buttons: list[str] | None) -> None:
    pair.ask("fred", "ask", to_id="claude", message={"content": "deploy?", "data": data})
    assert own(pair, "overview")["questions"][0].get("buttons") == buttons


def test_claims_groups_and_activity_are_shown(pair: Core) -> None:
    pair.ask("fred", "group_create", group="team")
    pair.ask("claude", "group_join", group="team")
    pair.ask("fred", "claim", resource="src/*", note="parser")
    pair.ask("fred", "report", event="tool_began", tool="Bash", call="1")
    found = own(pair, "overview")
    assert found["groups"] == [{"name": "team", "members": ["claude", "fred"]}]
    assert [(c["resource"], c["holder"], c["note"]) for c in found["claims"]] == [("src/*", "fred", "parser")]
    fred = row_of(pair, "fred")
    assert (fred["claims"], fred["activity"]["state"], fred["activity"]["tool"]) == (1, "working", "Bash")


def test_a_person_is_whom_the_owners_key_marks(core: Core) -> None:
    core.register("fred")
    body = {"kind": "process", "key": "page", "pid": 7, "started": "x"}
    mine = core.ask("me", "register", instance_id="me", body=body)["session_token"]
    core.tokens["me"] = mine
    core.processes[7] = True
    assert "person" not in row_of(core, "me")
    assert own(core, "person", by=core.tokens["fred"])["code"] == "bad_request"
    assert own(core, "person", by=mine) == {"id": 0, "status": "ok", "instance_id": "me"}
    assert row_of(core, "me")["person"] is True
    core.ask("fred", "ask", to_id="me", message={"content": "may I?"})
    assert own(core, "overview")["questions"][0]["person"] is True
    core.restart()
    assert row_of(core, "me")["person"] is True


def test_the_person_is_there_as_long_as_a_page_or_terminal_view_runs_whichever_made_the_session(core: Core) -> None:
    from broker.core.leases import begin_connection, end_connection

    core.register("fred")
    body = {"kind": "process", "key": "person", "pid": 7, "started": "x"}
    core.tokens["me"] = core.ask("me", "register", instance_id="me", body=body)["session_token"]
    own(core, "person", by=core.tokens["me"])
    core.ask("fred", "ask", to_id="me", message={"content": "may I?"}, deadline_s=3600)
    core.processes[7] = False  # the terminal view that made the session was left
    go_on(core, 60)
    assert [row["name"] for row in core.ask("fred", "alarms")["alarms"]] == ["me"]
    for life in range(2):
        if life:
            core.restart()
            go_on(core, 1)
        begin_connection(core.engine.state, b"page")
        own(core, "watch_all")
        go_on(core, 60)
        assert core.ask("fred", "alarms")["alarms"] == [], "the page is there"
        assert core.ask("x", "register", instance_id="me")["code"] == "name_held"
    end_connection(core.engine.state, b"page")
    go_on(core, 60)
    assert [row["name"] for row in core.ask("fred", "alarms")["alarms"]] == ["me"]


def test_a_persons_word_ends_a_pair_that_goes_round(core: Core) -> None:
    core.env["IPC_PAIR_LIMIT"] = "2"
    core.restart()
    core.register("fred")
    core.tokens["me"] = core.ask("me", "register", instance_id="me", body={"kind": "process", "key": "page"})["session_token"]

    def exchange(**fields: Any) -> list[str]:
        said = []
        for _ in range(4):
            said.append(core.send("me", "fred", **fields).get("code", "ok"))
            said.append(core.send("fred", "me").get("code", "ok"))
        return said

    assert "slow_down" in exchange(person=True)
    own(core, "person", by=core.tokens["me"])
    core.pass_time(61)
    assert "slow_down" not in exchange(person=True)


def test_the_traffic_is_counted_by_pair_and_hour(pair: Core) -> None:
    pair.register("carl")
    start_s = pair.wall_s
    for _ in range(3):
        pair.send("fred", "claude")
    pair.pass_time(3600)
    pair.send("claude", "fred")
    pair.ask("carl", "broadcast", message={"content": "all"})
    found = own(pair, "traffic", since_s=start_s)
    assert [(p["from"], p["to"], p["count"]) for p in found["pairs"]] == [
        ("fred", "claude", 3),
        ("claude", "fred", 1),
        ("carl", "*", 1),
    ]
    assert found["hours"] == [3, 2] or found["hours"] == [2]
    assert [p["from"] for p in own(pair, "traffic", since_s=pair.wall_s - 60)["pairs"]] == ["claude", "carl"]
    assert own(pair, "traffic", since_s=pair.wall_s + 60)["pairs"] == []


def test_a_feed_tells_once_until_it_is_read(pair: Core) -> None:
    own(pair, "watch_all")
    own(pair, "overview")
    pair.late.clear()
    pair.send("fred", "claude")
    pair.send("fred", "claude")
    assert [body for body in pair.late if body.get("push") == "changed"] == [{"push": "changed", "id": 0}]
    own(pair, "overview")
    pair.late.clear()
    own(pair, "overview")
    own(pair, "letters")
    assert pair.late == []  # to look changes nothing
    pair.send("claude", "fred")
    assert [body["push"] for body in pair.late] == ["changed"]


def test_a_feed_ends_with_its_connection(pair: Core) -> None:
    from broker.core.leases import begin_connection, end_connection

    begin_connection(pair.engine.state, b"page")
    own(pair, "watch_all")
    own(pair, "overview")
    end_connection(pair.engine.state, b"page")
    assert not pair.engine.state.feeds


def test_the_owners_actions_are_unknown_to_agents_doors() -> None:
    from bridges.remote.door import OPEN_ACTIONS as REMOTE
    from bridges.tcp.json_requests import OPEN_ACTIONS as TCP

    owners = {row.name for row in ACTIONS.values() if row.access is Access.OWNER}
    assert owners >= {row.name for row in OWNER_ROWS}
    assert not owners & set(TCP) and not owners & set(REMOTE)
