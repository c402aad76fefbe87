"""Forwards, and when they are over."""

from tests.engine import DAY, HOUR, Core, sweep


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
