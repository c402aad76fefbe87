"""What a name is at a time, and how many of them, and of what stands under them, one agent may have."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.near_names import Nearby, edit_distance
from broker.core.standing import Kind, standing
from broker.core.state import Moment
from broker.home.logs import Log
from broker.protocol.names import RESERVED
from broker.server.upkeep import Sweeper
from tests.engine import OWNER, Core
from tests.examples import examples

HOUR = 3600.0
DAY = 24 * HOUR


@pytest.fixture
def team(core: Core) -> Core:
    core.register("fred", "claude", "bob")
    return core


def small(core: Core, **env: int) -> None:
    """The same data folder with other limits."""
    core.env.update({f"IPC_{name.upper()}": str(value) for name, value in env.items()})
    core.restart()


def kind(core: Core, name: str) -> Kind:
    return standing(core.engine.state, name, core.wall_s).kind


def sweep(core: Core) -> None:
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    sweeper.step(Moment(core.wall_s, core.mono_s))


def taken_by_older_version(core: Core, name: str) -> None:
    """As an earlier version would have let it be registered."""
    core.register("elder")
    core.store._sql.execute("UPDATE mailbox SET name = ? WHERE name = 'elder'", (name,))
    core.restart()


# the one table: each standing against everything that wants a name

WANTS = {
    "register": lambda core, name: core.ask("claude", "register", instance_id=name),
    "rename": lambda core, name: core.ask("claude", "rename", new_id=name),
    "group_create": lambda core, name: core.ask("claude", "group_create", group=name),
    "import": lambda core, name: core.ask(
        None, "import", session_token=OWNER, from_id=name, to_id="bob", message={"content": "x"}, message_id="m", timestamp=1
    ),
    "send": lambda core, name: core.send("claude", name),
}
ANSWERS = {
    Kind.MAILBOX: ("ok", "name_taken", "name_taken", "ok", "ok"),
    Kind.FORWARDED: ("name_forwarding", "name_taken", "name_taken", "ok", "ok"),
    Kind.GROUP: ("name_taken", "name_taken", "name_taken", "name_taken", "ok"),
    Kind.RESERVED: ("name_reserved",) * 5,
    Kind.FREE: ("ok",) * 5,
}
NAMED = {Kind.MAILBOX: "bob", Kind.FORWARDED: "fred", Kind.GROUP: "crew", Kind.RESERVED: "All", Kind.FREE: "nova"}


@pytest.mark.parametrize("of", list(Kind))
@pytest.mark.parametrize("want", list(WANTS))
def test_everything_that_wants_a_name_goes_by_what_it_is(team: Core, of: Kind, want: str) -> None:
    team.ask("fred", "rename", new_id="freddy")
    team.ask("bob", "group_create", group="crew")
    assert kind(team, NAMED[of]) is of
    reply = WANTS[want](team, NAMED[of])
    assert reply.get("code", "ok") == ANSWERS[of][list(WANTS).index(want)], reply


@pytest.mark.parametrize("name", sorted({*RESERVED, *(n.upper() for n in RESERVED), "aLL"}))
def test_what_stands_for_everyone_can_not_be_taken_however_it_is_capitalised(team: Core, name: str) -> None:
    for want in WANTS.values():
        assert want(team, name)["code"] == "name_reserved"


def test_a_name_that_was_registered_before_it_was_reserved_is_read_written_to_and_renamed(core: Core) -> None:
    core.register("bob")
    taken_by_older_version(core, "all")
    assert core.send("bob", "all", "hi")["message"] == "Message sent"
    assert core.send("elder", "all", "note to self")["status"] == "ok"
    assert core.contents("elder") == ["hi", "note to self"]
    core.ask("elder", "block", name="bob")
    assert core.send("bob", "all")["code"] == "blocked"
    assert core.ask("elder", "rename", new_id="anna")["status"] == "ok"
    core.pass_time(3 * HOUR)
    assert kind(core, "all") is Kind.RESERVED


def test_a_full_mailbox_named_like_everyone_refuses_mail_rather_than_lose_it(core: Core) -> None:
    core.register("bob")
    taken_by_older_version(core, "all")
    small(core, mailbox_limit=2)
    assert [core.send("bob", "all").get("code", "ok") for _ in range(3)] == ["ok", "ok", "mailbox_full"]


# a forward whose time is over


def test_under_an_old_name_one_acts_only_while_it_forwards(team: Core) -> None:
    team.ask("fred", "rename", new_id="freddy")
    assert team.send("fred", "bob", from_id="fred")["status"] == "ok"
    team.pass_time(2 * HOUR)
    assert team.send("fred", "bob", from_id="fred")["code"] == "spoofed_sender"
    assert team.ask("fred", "check", instance_id="fred")["code"] == "spoofed_sender"


def test_who_writes_to_an_old_name_after_its_forward_is_told_the_present_one(team: Core) -> None:
    team.ask("fred", "rename", new_id="zoe")
    team.pass_time(2 * HOUR)
    team.ask("fred", "rename", new_id="anna")
    sweep(team)
    team.restart()
    sent = team.send("bob", "fred")
    assert sent["message"] == "Message queued for fred (not yet registered). fred is now called anna"
    assert sent["did_you_mean"] == "anna"
    assert team.send("bob", "zoe")["message"] == "Message forwarded from zoe to anna"
    unknown = team.ask("bob", "history", peer="fred")
    assert unknown["status"] == "ok"  # the mail that waits for the name is the peer's
    assert team.ask("bob", "block", name="nobody-at-all")["code"] == "unknown_name"


def test_a_lapsed_forward_blocks_nobody_and_is_forgotten_once_the_name_is_taken(team: Core) -> None:
    for old, new in (("fred", "f2"), ("claude", "c2"), ("bob", "b2")):
        team.ask(old, "rename", new_id=new)
    team.pass_time(2 * HOUR)
    assert team.ask("fred", "group_create", group="fred")["status"] == "ok"
    assert team.ask("bob", "rename", new_id="claude")["status"] == "ok"
    team.register("dan")
    assert {"fred", "claude"}.isdisjoint(team.engine.state.forwards)
    assert team.send("dan", "fred")["message"].startswith("Posted to")


def test_lapsed_forwards_are_kept_as_long_as_read_mail_and_while_there_are_not_too_many(team: Core) -> None:
    team.ask("fred", "rename", new_id="freddy")
    team.pass_time(2 * HOUR + 1)
    sweep(team)
    assert "fred" in team.engine.state.forwards
    for _ in range(6):
        team.pass_time(6 * DAY)
        for who in ("fred", "claude", "bob"):
            team.ask(who, "whoami")
    sweep(team)
    assert "fred" not in team.engine.state.forwards


# near-misses


def test_a_mistyped_group_or_name_gets_a_did_you_mean(team: Core) -> None:
    team.ask("fred", "group_create", group="builders")
    refused = team.ask("bob", "group_join", group="bulders")
    assert (refused["code"], refused["did_you_mean"]) == ("unknown_group", "builders")
    assert refused["hint"].startswith("Did you mean builders? ")
    assert team.send("bob", "bulders")["did_you_mean"] == "builders"
    assert team.ask("bob", "block", name="cluade")["did_you_mean"] == "claude"
    team.ask("fred", "group_leave", group="builders")
    assert "did_you_mean" not in team.ask("bob", "group_join", group="bulders")


def slow_distance(a: str, b: str) -> int:
    """The textbook's table (optimal string alignment)."""
    d = {(i, j): i + j for i in range(len(a) + 1) for j in range(len(b) + 1) if not i or not j}
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a), len(b)]


SHORT = st.text("abc1", max_size=9)


@examples(200)
@given(SHORT, SHORT)
def test_edits_are_counted_as_in_the_textbook(a: str, b: str) -> None:
    assert edit_distance(a, b) == slow_distance(a, b)


@examples(100)
@given(
    st.sets(st.text(string.ascii_letters + "1-", min_size=1, max_size=9), max_size=20),
    st.text("abcAB1", min_size=1, max_size=9),
)
def test_a_search_finds_what_comparing_with_every_name_would(names: set[str], typed: str) -> None:
    nearby = Nearby()
    for name in names:
        nearby.add(name)

    def off(name: str) -> int | None:
        a, b = typed.lower(), name.lower()
        if a == b:
            return 0
        plain = ["".join(c for c in text if not c.isdigit()) for text in (a, b)]
        if min(len(a), len(b)) < 3 or plain[0] == plain[1]:
            return None
        distance = slow_distance(a, b)
        return distance if distance <= (2 if min(len(a), len(b)) >= 7 else 1) else None

    found = {name: distance for name in names if name != typed and (distance := off(name)) is not None}
    best = [name for name, distance in found.items() if distance == min(found.values())]
    assert nearby.miss(typed) == (best[0] if len(best) == 1 else None)


# shares


def test_one_sender_uses_a_tenth_of_the_unborn_names_and_everyone_can_write_to_a_few(team: Core) -> None:
    small(team, unclaimed_limit=100)
    codes = [team.send("fred", f"unborn{i}").get("code") for i in range(11)]
    assert codes == [None] * 10 + ["too_many_mailboxes"]
    assert team.send("fred", "unborn3")["status"] == "ok"
    team.restart()
    assert team.send("fred", "unborn10")["code"] == "too_many_mailboxes"
    assert team.send("bob", "gemini")["status"] == "ok"
    team.register("unborn0")
    assert team.send("fred", "unborn10")["status"] == "ok"


def test_when_all_unborn_names_are_used_up_each_sender_still_has_ten(team: Core) -> None:
    small(team, unclaimed_limit=12)
    team.engine.state.unborn[999_999] = 12
    assert team.send("claude", "first")["status"] == "ok"
    assert team.send("claude", "second")["code"] == "too_many_mailboxes"


def test_a_key_makes_no_group_and_so_takes_no_name_but_its_own(team: Core) -> None:
    refused = team.ask("fred", "group_create", group="gemini", bound_name="fred")
    assert refused["code"] == "key_bound"
    assert kind(team, "gemini") is Kind.FREE
    team.ask("bob", "group_create", group="crew")
    assert team.ask("fred", "group_join", group="crew", bound_name="fred")["status"] == "ok"


def test_an_agent_is_in_a_tenth_of_the_groups_at_most(team: Core) -> None:
    small(team, group_limit=20)
    assert [team.ask("fred", "group_create", group=f"g{i}").get("code") for i in range(3)] == [
        None,
        None,
        "too_many_memberships",
    ]
    assert team.ask("bob", "group_create", group="b0")["status"] == "ok"
    assert team.ask("fred", "group_join", group="b0")["code"] == "too_many_memberships"
    team.ask("fred", "group_leave", group="g0")
    assert team.ask("fred", "group_join", group="b0")["status"] == "ok"


def test_a_group_whose_members_are_all_gone_ends(team: Core) -> None:
    team.ask("bob", "group_create", group="crew")
    for _ in range(3):
        team.pass_time(8 * DAY)
        team.register("fred")
        sweep(team)
    assert team.engine.state.groups == {}
    team.restart()
    assert team.engine.state.groups == {}


def test_of_a_name_registered_over_and_over_sixteen_replaced_sessions_are_kept(team: Core) -> None:
    tokens = [team.tokens["fred"]]
    for _ in range(20):
        team.register("fred")
        tokens.append(team.tokens["fred"])
    for _ in range(2):
        told = [team.ask(None, "whoami", session_token=token).get("code", "ok") for token in tokens]
        assert told == ["unauthorized"] * 4 + ["session_replaced"] * 16 + ["ok"]
        team.restart()


def test_where_all_names_are_taken_the_longest_silent_one_without_mail_is_free_again(team: Core) -> None:
    small(team, name_limit=3)
    assert team.ask(None, "register", instance_id="dan")["code"] == "too_many_names"
    assert team.ask(None, "register", instance_id="bob")["status"] == "ok"
    team.send("fred", "fred", "mine")
    team.pass_time(16 * 60)
    team.ask("bob", "whoami")
    team.register("dan")
    assert [row["id"] for row in team.ask("dan", "list")["instances"]] == ["bob", "dan", "fred"]
    assert team.ask("claude", "whoami")["code"] == "unauthorized"
    team.restart()
    assert (kind(team, "claude"), team.engine.state.registered) == (Kind.FREE, 3)


def test_names_that_were_only_registered_make_room_after_a_minute(team: Core) -> None:
    small(team, name_limit=4)
    for who in ("fred", "claude", "bob"):
        team.pass_time(1)
        team.ask(who, "whoami")
    team.register("flood")
    team.pass_time(59)
    assert team.ask(None, "register", instance_id="dan")["code"] == "too_many_names"
    team.pass_time(2)
    team.register("dan")
    assert [row["id"] for row in team.ask("dan", "list")["instances"]] == ["bob", "claude", "dan", "fred"]


def test_empty_mailboxes_of_names_that_nobody_has_are_bounded(core: Core) -> None:
    small(core, name_limit=2, unclaimed_limit=3)
    for n in range(8):
        core.register(f"n{n}")
        core.pass_time(16 * 60)
    sweep(core)
    assert len(core.engine.state.mailboxes) == 5


# notices


def test_renames_that_nobody_has_read_share_one_notice(team: Core) -> None:
    for n, who in enumerate(("fred", "claude")):
        team.ask(who, "rename", new_id=f"new{n}")
    assert team.ask("bob", "search", query="renamed")["messages"][0]["message"]["content"].count("renamed") == 2
    [notice] = team.check("bob")
    assert (notice["from"], notice["message"]["content"]) == ("system", "📝 fred renamed to new0\n📝 claude renamed to new1")
    team.register("dan")
    team.ask("dan", "rename", new_id="danny")
    assert team.contents("bob") == ["📝 dan renamed to danny"]


def test_the_archive_finds_a_notice_that_grew_by_its_new_text_and_survives_its_sweep(team: Core) -> None:
    team.ask("fred", "rename", new_id="zoe")
    assert len(team.ask("bob", "search", query="zoe")["messages"]) == 1  # indexed
    team.ask("claude", "rename", new_id="anna")
    assert len(team.ask("bob", "search", query="anna")["messages"]) == 1
    team.pass_time(8 * DAY)
    sweep(team)
    team.store._sql.execute("INSERT INTO message_text(message_text, rank) VALUES ('integrity-check', 1)")


def test_any_number_of_renames_is_one_message_of_bounded_length(team: Core) -> None:
    for n in range(50):
        team.register(f"r{n}")
        assert team.ask(f"r{n}", "rename", new_id=f"q{n}")["status"] == "ok"
    assert team.ask("bob", "count")["unread"] == 1
    [text] = team.contents("bob")
    assert text.split("\n")[0] == "📝 30 earlier renames"
    assert (text.count("\n"), text.endswith("r49 renamed to q49")) == (20, True)


def test_a_notice_respects_the_mailbox_limit(team: Core) -> None:
    small(team, mailbox_limit=2)
    team.send("fred", "bob")
    team.send("fred", "bob")
    team.ask("claude", "rename", new_id="anna")
    assert team.ask("bob", "count")["unread"] == 2
