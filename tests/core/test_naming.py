"""What a name is at a time, and how many of them, and of what stands under them, one agent may have."""

from broker.core.standing import Kind
from tests.engine import DAY, Core, kind, small, sweep

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
