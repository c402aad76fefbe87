"""Groups, presence, blocks, claims, automatic checks."""

import itertools
import sys
from types import FrameType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.globs import overlap, overlapping
from broker.core.state import Moment
from broker.home.logs import Log
from broker.server.upkeep import Sweeper
from tests.engine import Core
from tests.examples import examples


@pytest.fixture
def team(core: Core) -> Core:
    core.register("fred", "claude", "bob")
    return core


# groups


def test_mail_to_a_group_goes_to_its_members_but_the_sender(team: Core) -> None:
    team.ask("fred", "group_create", group="builders")
    team.ask("claude", "group_join", group="builders")
    assert team.send("fred", "builders", "green")["message"] == "Posted to 1 member of builders"
    (message,) = team.check("claude")
    assert (message["group"], message["to"]) == ("builders", "claude")
    assert (team.check("fred"), team.check("bob")) == ([], [])
    assert team.send("bob", "builders", "hi")["message"] == "Posted to 2 members of builders"


def test_groups_survive_a_restart_and_end_with_their_last_member(team: Core) -> None:
    team.ask("fred", "group_create", group="builders")
    team.ask("bob", "group_join", group="builders")
    team.restart()
    assert team.ask("claude", "groups")["groups"] == [{"name": "builders", "members": ["fred", "bob"], "mine": False}]
    for who in ("fred", "bob"):
        team.ask(who, "group_leave", group="builders")
    assert team.ask("claude", "groups")["groups"] == []
    team.restart()
    assert team.ask("claude", "group_join", group="builders")["code"] == "unknown_group"


def test_a_group_and_an_agent_can_not_have_one_name(team: Core) -> None:
    assert team.ask("fred", "group_create", group="bob")["code"] == "name_taken"
    team.ask("fred", "group_create", group="builders")
    assert team.ask(None, "register", instance_id="builders")["code"] == "name_taken"
    assert team.ask("bob", "rename", new_id="builders")["code"] == "name_taken"
    team.send("fred", "nova", "mail waits for nova")
    assert team.ask("fred", "group_create", group="nova")["code"] == "name_taken"
    assert team.ask("fred", "group_create", group="system")["code"] == "name_reserved"


def test_a_renamed_member_stays_in_its_groups(team: Core) -> None:
    team.ask("bob", "group_create", group="builders")
    team.ask("bob", "rename", new_id="bobby")
    team.send("fred", "builders", "hi")
    assert "hi" in team.contents("bob")


# presence, automatic checks


def test_presence_is_listed_kept_and_gone_after_silence(team: Core) -> None:
    team.ask("fred", "presence", state="working", note="the parser", reach=["hook"])
    row = team.ask("bob", "list")["instances"][2]
    assert (row["id"], row["presence"], row["note"], row["reach"]) == ("fred", "working", "the parser", ["hook"])
    team.restart()
    assert team.ask("bob", "list")["instances"][2]["presence"] == "working"
    team.pass_time(16 * 60)
    assert team.ask("bob", "list")["instances"][2]["presence"] == "gone"
    assert "note" not in team.ask("bob", "list")["instances"][2]


def test_a_note_ends_with_the_state_it_was_said_with(team: Core) -> None:
    team.ask("fred", "presence", state="working", note="the parser")
    assert team.ask("fred", "presence", state="idle")["note"] == ""


def test_automatic_checks_are_kept(team: Core) -> None:
    assert team.ask("fred", "autocheck")["autocheck"] == "off"
    assert team.ask("fred", "autocheck", minutes=3)["minutes"] == 3
    team.restart()
    assert team.ask("fred", "autocheck")["minutes"] == 3
    assert team.ask("fred", "autocheck", minutes=0)["autocheck"] == "off"
    assert team.ask("fred", "autocheck", minutes=61)["code"] == "bad_request"


def test_former_names_of_automatic_checks_still_work(team: Core) -> None:
    assert team.ask("fred", "autocheck_start")["minutes"] == 5
    assert team.ask("fred", "autocheck_start", minutes=3)["minutes"] == 3
    assert team.ask("fred", "autocheck_status", minutes=7)["minutes"] == 3
    assert team.ask("fred", "autocheck_stop", minutes=7)["autocheck"] == "off"
    assert team.ask("fred", "autocheck_start", minutes=61)["code"] == "bad_request"


# blocks


def test_blocked_mail_is_refused_and_muted_mail_filed_unread(team: Core) -> None:
    team.ask("fred", "block", name="bob")
    team.ask("fred", "block", name="claude", mode="mute")
    assert team.send("bob", "fred")["code"] == "blocked"
    sent = team.send("claude", "fred", "quiet")
    team.restart()
    assert (team.check("fred"), team.ask("fred", "count")["unread"]) == ([], 0)
    assert [r["state"] for r in team.ask("claude", "receipts", ids=[sent["message_id"]])["receipts"]] == ["queued"]
    assert [m["message"]["content"] for m in team.ask("fred", "history")["messages"]] == ["quiet"]
    assert team.ask("fred", "blocks")["blocks"] == [{"name": "bob", "mode": "block"}, {"name": "claude", "mode": "mute"}]
    team.ask("fred", "unblock", name="bob")
    assert team.send("bob", "fred")["status"] == "ok"


def test_a_broadcast_passes_over_those_who_block_its_sender(team: Core) -> None:
    team.ask("fred", "block", name="bob")
    assert team.ask("bob", "broadcast", message={"content": "x"})["count"] == 1


# claims


def test_a_claim_refuses_what_overlaps_it_and_says_whose_it_is(team: Core) -> None:
    team.ask("fred", "claim", resource="/r/src/api/**", note="new routes")
    error = team.ask("bob", "claim", resource="/r/src/api/users.py")
    assert (error["code"], "fred has claimed /r/src/api/**" in error["message"]) == ("claim_conflict", True)
    assert error["retry_after_s"] > 0
    assert team.ask("bob", "claim", resource="/r/src/web/**")["status"] == "ok"
    rows = team.ask("bob", "claims", resource="/r/src/api/x.py")["claims"]
    assert [(r["holder"], r["note"], r["mine"]) for r in rows] == [("fred", "new routes", False)]


def test_a_claim_is_renewed_by_its_holder_and_lapses_in_time(team: Core) -> None:
    first = team.ask("fred", "claim", resource="db", ttl_s=60)["claimed"]
    team.pass_time(30)
    again = team.ask("fred", "claim", resource="db", ttl_s=60)["claimed"]
    assert (again["since"], again["until"] > first["until"]) == (first["since"], True)
    team.restart()
    team.pass_time(50)
    assert team.ask("bob", "claim", resource="db")["code"] == "claim_conflict"
    team.pass_time(11)
    assert team.ask("bob", "claim", resource="db")["status"] == "ok"


def test_claims_end_with_the_session_of_their_holder(team: Core) -> None:
    team.ask("fred", "claim", resource="db")
    team.register("fred")
    assert team.ask("bob", "claims")["claims"] == []
    team.ask("fred", "claim", resource="db")
    assert team.ask("fred", "claim_release")["released"] == 1
    assert team.ask("bob", "claim", resource="db")["status"] == "ok"


PATTERNS = st.text(alphabet="ab/*?", min_size=1, max_size=5)
NAMES = ["".join(n) for size in range(1, 7) for n in itertools.product("ab/", repeat=size)]


def matches(name: str, pattern: str) -> bool:
    """The meaning of a pattern, said once more and slowly."""
    if pattern.endswith("/**") and matches(name, pattern[:-3]):
        return True

    def at(i: int, j: int) -> bool:
        if j == len(pattern):
            return i == len(name)
        if pattern.startswith("**", j):
            return any(at(k, j + 2) for k in range(i, len(name) + 1))
        if pattern[j] == "*":
            return any("/" not in name[i:k] and at(k, j + 1) for k in range(i, len(name) + 1))
        return i < len(name) and (name[i] != "/" if pattern[j] == "?" else name[i] == pattern[j]) and at(i + 1, j + 1)

    return at(0, 0)


@examples(150)
@given(PATTERNS, PATTERNS)
def test_patterns_overlap_when_some_name_matches_both(one: str, other: str) -> None:
    shared = any(matches(n, one) and matches(n, other) for n in NAMES)
    if shared:
        assert overlap(one, other) and overlap(other, one)
    elif len(one) + len(other) <= 6:  # then a common name would be among those tried
        assert not overlap(one, other), (one, other)


def test_what_only_begins_like_a_folder_is_not_in_it() -> None:
    assert not overlap("src/**", "srcfoo")
    assert overlap("src/**", "src") and overlap("src/**", "src/a/b") and overlap("?/**", "a")


@examples(150)
@given(PATTERNS, st.lists(PATTERNS, max_size=9))
def test_many_patterns_are_met_as_each_one_alone(one: str, others: list[str]) -> None:
    assert overlapping(one, others) == [i for i, other in enumerate(others) if overlap(one, other)]


def test_the_work_for_hostile_patterns_grows_with_their_length_and_not_with_its_square() -> None:
    """Counted in lines that run, since time depends on the machine."""

    def lines(wild: int) -> int:
        others = [f"{'**a' * wild}z{i}" for i in range(50)]
        pattern = "**" + "a**" * wild + "y"
        overlapping(pattern, others)  # compiled once for each claim
        count = 0

        def note(_frame: FrameType, event: str, _of: object) -> object:
            nonlocal count
            count += event == "line"
            return note

        before = sys.gettrace()
        sys.settrace(note)
        try:
            assert overlapping(pattern, others) == []
        finally:
            sys.settrace(before)
        return count

    assert lines(160) < 4 * lines(80)
    assert lines(160) < 8000


def test_all_agents_together_hold_ten_times_the_claims_of_one(core: Core) -> None:
    core.env["IPC_CLAIM_LIMIT"] = "1"
    core.restart()
    names = [f"a{i}" for i in range(11)]
    core.register(*names)
    codes = [core.ask(name, "claim", resource=name).get("code") for name in names]
    assert codes == [None] * 10 + ["claims_full"]
    assert core.ask("a0", "claim", resource="x")["code"] == "too_many_claims"
    core.ask("a3", "claim_release")
    assert core.ask("a10", "claim", resource="a10")["status"] == "ok"


def test_a_new_agent_inherits_nothing_of_one_that_is_gone(core: Core) -> None:
    core.register("fred", "gone")
    core.ask("gone", "group_create", group="team")
    core.ask("fred", "group_join", group="team")
    core.ask("fred", "block", name="gone", mode="block")
    core.send("fred", "gone", "for gone alone")
    [message] = core.check("gone")
    core.ask("gone", "ack", ids=[message["id"]])
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    for _ in range(2):  # its name is free after a week, its mailbox ends a week later
        core.pass_time(8 * 86_400)
        core.ask("fred", "register", instance_id="fred")
        sweeper._next_s = None
        sweeper.step(Moment(core.wall_s, core.mono_s))
    assert "gone" not in core.engine.state.mailboxes
    core.restart()
    core.register("fred", "new")
    assert core.send("new", "fred", "hello")["status"] == "ok"
    assert core.ask("new", "history")["messages"][1:] == []
    assert core.ask("fred", "groups")["groups"][0]["members"] == ["fred"]
    assert core.ask("fred", "blocks")["blocks"] == []
