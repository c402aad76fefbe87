"""Notices of renames."""

from tests.engine import DAY, Core, small, sweep


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
