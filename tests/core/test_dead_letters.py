"""Mail that ends unread: how it leaves the mailbox, who has it as a dead letter, and how it is sent again or dropped."""

from typing import Any

import pytest

from broker.core.endings import Ending
from tests.core.unread_ends import expire, expire_early, fail_for_good, fail_too_often, never_acknowledge, refuse
from tests.engine import DAY, Core, one, small, sweep


def dead(core: Core, who: str, **fields: Any) -> list[tuple[str, str, str]]:
    """(id, ending, why) of each dead letter on a list."""
    reply = core.ask(who, "dead", **fields)
    assert reply["status"] == "ok", reply
    return [(row["id"], row["ending"], row["why"]) for row in reply["dead"]]


WAYS = [
    (expire, Ending.EXPIRED, "unread for 7 days"),
    (expire_early, Ending.EXPIRED, "unread when the time that its sender gave it was over"),
    (refuse, Ending.REFUSED, "not my job"),
    (fail_for_good, Ending.DEAD, "its handler failed: status 1"),
    (fail_too_often, Ending.DEAD, "its handler failed"),
    (never_acknowledge, Ending.DEAD, "handed out 20 times and never acknowledged"),
]


@pytest.mark.parametrize(("end", "ending", "why"), WAYS, ids=[end.__name__ for end, _, _ in WAYS])
def test_each_way_in_which_mail_ends_makes_it_a_dead_letter_of_both_ends(pair: Core, end: Any, ending: str, why: str) -> None:
    number = end(pair, "claude")
    assert dead(pair, "fred") == dead(pair, "claude") == [(number, ending, why)]
    assert pair.engine.state.mailboxes["claude"].queued == 0
    (row,) = pair.ask("fred", "receipts", ids=[number])["receipts"]
    assert (row["state"], row["step"]) == ("gone", ending)
    assert why in row["why"]
    pair.restart()
    pair.register("fred", "claude")
    assert pair.check("claude") == []
    assert dead(pair, "fred") == [(number, ending, why)]
    pair.pass_time(30 * DAY + 10)
    pair.register("fred", "claude")
    sweep(pair)
    assert dead(pair, "fred") == []
    assert pair.store._sql.execute("SELECT count(*) FROM message WHERE sender_id <> 0").fetchone() == (0,)


def test_what_its_sender_took_back_is_no_dead_letter_and_never_was_its_readers(pair: Core) -> None:
    number = pair.send("fred", "claude")["number"]
    assert pair.ask("fred", "withdraw", withdraw_id=number)["withdrawn"] == 1
    second = pair.send("fred", "claude", supersedes=pair.send("fred", "claude")["number"])["number"]
    assert dead(pair, "fred") == dead(pair, "claude") == []
    assert pair.ask("claude", "reply", to_message=number, message={"content": "?"})["code"] == "unknown_message"
    assert [m["id"] for m in pair.ask("claude", "history")["messages"]] == [second]
    rows = pair.ask("fred", "receipts", ids=[number, str(int(second) - 1)])["receipts"]
    assert [(r["step"], r["why"]) for r in rows] == [
        ("withdrawn", "its sender withdrew it"),
        ("withdrawn", f"superseded by #{second}"),
    ]


def test_a_failed_handler_gives_mail_back_until_the_limit(pair: Core) -> None:
    small(pair, attempt_limit=3)
    pair.register("fred", "claude")
    number = pair.send("fred", "claude")["number"]
    for _ in range(2):
        pair.check("claude")
        assert pair.ask("claude", "release", ids=[number], failed=True) == {"id": 0, "status": "ok", "released": 1}
    pair.restart()  # what was handed out is counted on the disk
    pair.register("fred", "claude")
    assert [m.get("redelivered") for m in pair.check("claude")] == [True]
    assert pair.ask("claude", "release", failed=True, why="x")["ended"] == 1


def test_mail_that_was_given_back_unseen_does_not_wear_out(pair: Core) -> None:
    small(pair, attempt_limit=2)
    pair.register("fred", "claude")
    number = pair.send("fred", "claude")["number"]
    for _ in range(5):
        assert [m["id"] for m in pair.check("claude")] == [number]
        pair.ask("claude", "release", unseen=True)


def test_worn_out_mail_does_not_hide_what_is_behind_it(pair: Core) -> None:
    small(pair, attempt_limit=1)
    pair.register("fred", "claude")
    for text in ("a", "b"):
        pair.send("fred", "claude", text)
    pair.send("fred", "claude", "now", land="interrupt")
    assert len(pair.check("claude")) == 3
    pair.ask("claude", "release")
    pair.send("fred", "claude", "c")
    assert pair.check("claude", land="interrupt") == []
    assert pair.contents("claude") == ["c"]
    mailbox = pair.engine.state.mailboxes["claude"]
    assert (mailbox.queued, mailbox.available, mailbox.returned, mailbox.urgent) == (1, 0, [], set())
    assert len(dead(pair, "claude")) == 3


def test_only_mail_that_one_was_given_can_be_refused(team: Core) -> None:
    number = team.send("fred", "claude")["number"]
    assert "ended" not in team.ask("claude", "release", ids=[number], refuse=True)
    assert "ended" not in team.ask("bob", "release", ids=[number], refuse=True)
    assert team.contents("claude") == ["hello"]
    assert team.ask("claude", "release", refuse=True)["ended"] == 1  # without ids: all on lease


def test_blocking_a_sender_leaves_the_mail_that_was_accepted(pair: Core) -> None:
    pair.send("fred", "claude")
    pair.ask("claude", "block", name="fred")
    assert pair.contents("claude") == ["hello"]


def test_sent_again_it_is_a_new_message_that_names_the_first_and_is_off_the_list(pair: Core) -> None:
    number = refuse(pair, "claude")
    reply = pair.ask("fred", "dead_send", dead_id=number, message_id="again")
    assert (reply["to"], reply["resends"]) == ("claude", number)
    assert dead(pair, "fred") == []
    assert len(dead(pair, "claude")) == 1
    again = one(pair, "claude")
    assert (again["resends"], again["from"], again["thread"]) == (number, "fred", number)
    repeated = pair.ask("fred", "dead_send", dead_id=number, message_id="again")
    assert (repeated["duplicate"], repeated["number"]) == (True, reply["number"])
    assert pair.ask("fred", "dead_send", dead_id=number)["code"] == "unknown_message"
    assert pair.check("claude") == []


def test_its_reader_can_have_it_again_or_pass_it_on_in_its_writers_name(team: Core) -> None:
    number = fail_for_good(team, "claude")
    assert team.ask("claude", "dead_send", dead_id=number, to_id="bob")["status"] == "ok"
    passed = one(team, "bob")
    assert (passed["from"], passed["forwarded"]["from"], passed["resends"]) == ("claude", "fred", number)
    number = fail_for_good(team, "claude")
    assert team.ask("claude", "dead_send", dead_id=number)["to"] == "claude"
    assert one(team, "claude")["forwarded"]["from"] == "fred"


def test_a_large_dead_letter_is_kept_with_its_file_and_sent_again_whole(pair: Core) -> None:
    text = "word " * 5000
    pair.send("fred", "claude", text, ttl_s=60)
    pair.pass_time(61)
    sweep(pair)
    (row,) = pair.ask("fred", "dead")["dead"]
    (whole,) = pair.ask("fred", "dead", dead_id=row["id"])["dead"]
    assert len(row["content"]) == 200
    assert whole["file"]["size_bytes"] == len(text)
    pair.ask("fred", "dead_send", dead_id=row["id"])
    assert one(pair, "claude")["file"]["size_bytes"] == len(text)


def test_what_ended_at_several_readers_is_sent_again_to_one_at_a_time(team: Core) -> None:
    number = team.ask("fred", "broadcast", message={"content": "x"})["number"]
    for name in ("claude", "bob"):
        team.check(name)
        team.ask(name, "release", refuse=True)
    assert "name one in to_id" in team.ask("fred", "dead_send", dead_id=number)["message"]
    assert team.ask("fred", "dead_send", dead_id=number, to_id="bob")["status"] == "ok"
    assert [r["to"] for r in team.ask("fred", "dead")["dead"]] == ["claude"]
    assert team.contents("bob") == ["x"]


def test_dropped_it_is_off_ones_own_list_alone(pair: Core) -> None:
    number = refuse(pair, "claude")
    assert pair.ask("fred", "dead_drop", ids=[number])["dropped"] == 1
    assert pair.ask("fred", "dead_drop", ids=[number])["dropped"] == 0
    assert dead(pair, "fred") == []
    assert len(dead(pair, "claude")) == 1
    assert pair.ask("fred", "receipts", ids=[number])["receipts"][0]["step"] == Ending.REFUSED


def test_nobody_else_has_it(team: Core) -> None:
    number = refuse(team, "claude")
    assert dead(team, "bob") == []
    for action, fields in (("dead", {"dead_id": number}), ("dead_send", {"dead_id": number}), ("dead_drop", {"ids": [number]})):
        assert team.ask("bob", action, **fields)["code"] == "unknown_message"


def test_mail_for_a_name_that_was_never_born_keeps_that_name(pair: Core) -> None:
    number = expire(pair, "nobody")
    for _ in range(3):  # the mailbox has no mail, and nobody has it
        sweep(pair)
        pair.pass_time(100)
    assert "nobody" not in pair.engine.state.mailboxes
    (row,) = pair.ask("fred", "dead")["dead"]
    assert (row["id"], row["to"]) == (number, "nobody")
    assert pair.ask("fred", "dead_send", dead_id=number)["to"] == "nobody"


def test_dead_letters_go_with_the_mailbox_that_a_rename_takes_over(pair: Core) -> None:
    number = expire_early(pair, "later")
    pair.send("fred", "later", "waits")
    assert pair.ask("claude", "rename", new_id="later")["status"] == "ok"
    assert [r[0] for r in dead(pair, "claude")] == [number]
    assert [r["to"] for r in pair.ask("fred", "dead")["dead"]] == ["later"]


def test_a_message_to_oneself_is_listed_once(pair: Core) -> None:
    pair.send("fred", "fred", ttl_s=60)
    pair.pass_time(61)
    sweep(pair)
    ((number, *_),) = dead(pair, "fred")
    assert pair.ask("fred", "dead_drop", ids=[number])["dropped"] == 1
    assert dead(pair, "fred") == []


def test_a_long_list_comes_in_pages_with_all_readers_of_a_message_on_one(team: Core) -> None:
    numbers = [team.ask("fred", "broadcast", message={"content": "x"})["number"] for _ in range(3)]
    for name in ("claude", "bob"):
        team.check(name)
        team.ask(name, "release", refuse=True)
    page = team.ask("fred", "dead", limit=3)
    assert ([r["id"] for r in page["dead"]], page["more"]) == ([numbers[2]] * 2, True)
    page = team.ask("fred", "dead", limit=3, before=numbers[2])
    assert ([r["id"] for r in page["dead"]], page["more"]) == ([numbers[1]] * 2, True)
    page = team.ask("fred", "dead", before=numbers[1])
    assert ([r["id"] for r in page["dead"]], page["more"]) == ([numbers[0]] * 2, False)


def test_notices_that_nobody_read_are_no_dead_letters(team: Core) -> None:
    team.ask("fred", "rename", new_id="frida")
    team.pass_time(7 * DAY + 1)
    team.register("claude")
    for _ in range(3):
        sweep(team)
    assert dead(team, "claude") == []
    assert team.store._sql.execute("SELECT count(*) FROM message").fetchone() == (0,)
