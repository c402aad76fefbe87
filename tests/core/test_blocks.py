"""Blocks and mutes."""

from tests.engine import Core


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
