"""Groups."""

from tests.engine import Core


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
