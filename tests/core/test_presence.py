"""Presence, notes, automatic checks."""

from tests.engine import Core


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
