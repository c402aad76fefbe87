from typing import Any

import pytest

from broker.protocol.essentials import LANDINGS
from tests.engine import Core, one, small

DUE_S = 900


def texts(core: Core, who: str, **fields: Any) -> list[str]:
    return [m["message"]["content"] for m in core.check(who, **fields)]


def quietly(core: Core, content: str = "thanks", **fields: Any) -> dict[str, Any]:
    return core.send("fred", "claude", content, land="digest", **fields)


# who is given it


@pytest.mark.parametrize("mildest", LANDINGS)
@pytest.mark.parametrize("land", LANDINGS)
@pytest.mark.parametrize("age_s", [0, DUE_S - 1, DUE_S, DUE_S + 60])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_check_gives_what_lands_as_it_asks_or_sooner(
    pair: Core, mildest: str, land: str, age_s: int, restarted: bool
) -> None:
    pair.send("fred", "claude", "x", land=land)
    pair.pass_time(age_s)
    if restarted:
        pair.restart()
    pair.keep_house()
    by_now = "turn" if land == "digest" and age_s >= DUE_S else land
    assert texts(pair, "claude", land=mildest) == (["x"] if LANDINGS.index(by_now) >= LANDINGS.index(mildest) else [])


READERS: dict[str, dict[str, Any]] = {
    "a program's subscription": {"action": "subscribe"},
    "a program's long poll": {"action": "check", "wait_s": 3600},
    "a long poll of a host's tool": {"action": "check", "wait_s": 3600, "land": "turn"},
    "a host's watcher": {"action": "subscribe", "notify": True},
}
TOLD_AT_ONCE = ("a program's subscription", "a program's long poll")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("before", [True, False], ids=["waits before", "comes after"])
def test_a_program_gets_quiet_mail_at_once_and_who_would_wake_a_model_when_it_is_due(
    pair: Core, reader: str, before: bool
) -> None:
    asks = {"as_": "claude", **READERS[reader]}
    for step in ("reader", "mail") if before else ("mail", "reader"):
        if step == "mail":
            quietly(pair)
        else:
            found = pair.batch(dict(asks))
            pair.late += [r for r in found if r.get("messages")]
    if reader in TOLD_AT_ONCE:
        assert [m["message"]["content"] for told in pair.late for m in told.get("messages", ())] == ["thanks"]
        return
    assert pair.late == []
    pair.pass_time(DUE_S - 1)
    assert pair.keep_house() == []
    pair.pass_time(1)
    (told,) = pair.keep_house()
    if reader == "a host's watcher":
        assert {k: told[k] for k in ("push", "unread", "from", "land")} == {
            "push": "new",
            "unread": 1,
            "from": ["fred"],
            "land": "turn",
        }
    else:
        assert [m["message"]["content"] for m in told["messages"]] == ["thanks"]


def test_quiet_mail_comes_with_what_wakes_and_in_its_place(pair: Core) -> None:
    pair.ask("claude", "subscribe", notify=True)
    quietly(pair, "first")
    pair.send("fred", "claude", "second")
    (told,) = pair.late
    assert (told["unread"], told["land"]) == (2, "tool")
    assert texts(pair, "claude", land="turn") == ["second"]
    pair.ask("claude", "release", unseen=True)
    (first, second) = pair.check("claude")
    assert [first["message"]["content"], second["message"]["content"]] == ["first", "second"]
    assert "redelivered" not in first and first["land"] == "digest"


@pytest.mark.parametrize("how", ["lease ended", "released"])
def test_quiet_mail_that_is_back_wakes_nobody(pair: Core, how: str) -> None:
    quietly(pair)
    pair.check("claude")
    pair.ask("claude", "subscribe", notify=True)
    if how == "released":
        pair.ask("claude", "release")
    else:
        pair.pass_time(31)
        pair.batch()
    assert pair.late == []
    assert texts(pair, "claude") == ["thanks"]


def test_quiet_mail_that_is_due_while_somebody_has_it_wakes_once_it_is_back(pair: Core) -> None:
    quietly(pair)
    (message,) = pair.check("claude")
    pair.ask("claude", "touch", ids=[message["id"]], lease_s=3600)
    pair.ask("claude", "subscribe", notify=True)
    pair.pass_time(DUE_S)
    assert pair.keep_house() == []
    pair.ask("claude", "release")
    assert [told["land"] for told in pair.late] == ["turn"]


def test_a_count_and_a_watcher_say_how_much_of_what_waits_is_quiet(pair: Core) -> None:
    quietly(pair)
    quietly(pair)
    pair.send("fred", "claude")
    count = pair.ask("claude", "count")
    assert (count["unread"], count["digest"], count["interrupt"]) == (3, 2, 0)
    assert pair.ask("claude", "subscribe", notify=True)["unread"] == 1


def test_many_messages_that_are_due_are_promoted_in_steps(pair: Core) -> None:
    for number in range(450):
        quietly(pair, str(number))
    pair.pass_time(DUE_S)
    steps = 0
    while pair.engine.state.chore_s <= pair.mono_s:
        pair.keep_house()
        steps += 1
    assert texts(pair, "claude", land="turn", limit=1000) == [str(n) for n in range(450)]
    assert 3 <= steps <= 5


def test_what_was_read_withdrawn_or_taken_over_is_promoted_nowhere_else(pair: Core) -> None:
    quietly(pair, "read")
    one(pair, "claude")
    assert pair.ask("fred", "withdraw", withdraw_id=quietly(pair, "oops")["message_id"])["withdrawn"] == 1
    pair.send("fred", "newname", "moves", land="digest")
    pair.ask("claude", "rename", new_id="newname")
    pair.ask("claude", "subscribe", notify=True)
    assert pair.keep_house() == []
    pair.pass_time(DUE_S)
    (told,) = pair.keep_house()
    assert told["unread"] == 1
    assert texts(pair, "claude", land="turn") == ["moves"]
    assert pair.engine.state.mailboxes["newname"].quiet == {}


def test_the_time_is_a_setting(pair: Core) -> None:
    small(pair, digest=60)
    pair.ask("claude", "subscribe", notify=True)
    quietly(pair)
    pair.pass_time(60)
    assert [told["land"] for told in pair.keep_house()] == ["turn"]


# thanks and news


def test_thanks_for_thanks_wake_nobody_ever_and_come_with_the_next_turn(pair: Core) -> None:
    thanks = pair.ask("fred", "reply", to_message=conversation(pair), message={"content": "thanks"})
    one(pair, "claude")
    assert pair.ask("claude", "reply", to_message=thanks["number"], message={"content": "any time"})["land"] == "digest"
    pair.restart()
    pair.ask("fred", "subscribe", notify=True)
    pair.pass_time(10 * DUE_S)
    assert pair.keep_house() == []
    assert texts(pair, "fred", land="turn") == []
    assert texts(pair, "fred") == ["any time"]


@pytest.mark.parametrize(
    ("content", "fields", "land"),
    [
        ("main is green", {}, "digest"),
        ("main is green " * 20, {}, "tool"),
        ("who has the lock?", {}, "tool"),
        ("main is green", {"land": "tool"}, "tool"),
    ],
)
def test_short_news_to_all_that_ask_nothing_land_quietly(team: Core, content: str, fields: Any, land: str) -> None:
    reply = team.ask("fred", "broadcast", message={"content": content}, **fields)
    assert reply.get("land") == (land if land == "digest" else None)
    assert [one(team, name)["land"] for name in ("claude", "bob")] == [land, land]


def conversation(core: Core, *, question: str = "done") -> str:
    """fred wrote, claude replied; the id of the reply."""
    core.send("fred", "claude", "please do it")
    core.ask("claude", "reply", to_message=one(core, "claude")["id"], message={"content": question})
    return str(one(core, "fred")["id"])


@pytest.mark.parametrize(
    ("message", "fields", "land"),
    [
        ({"content": "thanks, great work"}, {}, "digest"),
        ({"content": "x" * 199}, {}, "digest"),
        ({"content": "x" * 200}, {}, "tool"),
        ({"content": "thanks. And the tests?"}, {}, "tool"),
        ({"content": "\u8c22\u8c22\uff0c\u8fd8\u6709\u5417\uff1f"}, {}, "tool"),
        ({"content": "\u0634\u0643\u0631\u0627\u060c \u0645\u062a\u0649\u061f"}, {}, "tool"),
        ({"content": "thanks", "data": {"ok": True}}, {}, "tool"),
        ({"content": "thanks"}, {"land": "tool"}, "tool"),
        ({"content": "thanks"}, {"land": "interrupt"}, "interrupt"),
        ({"content": "thanks"}, {"land": None}, "digest"),
        ({"content": "thanks"}, {"auto": True}, "digest"),
        ({"content": "thanks"}, {"person": True}, "tool"),
    ],
)
def test_a_short_reply_to_a_reply_lands_quietly_unless_it_asks_or_says_otherwise(
    pair: Core, message: dict[str, Any], fields: dict[str, Any], land: str
) -> None:
    pair.engine.is_person = lambda _route: True
    reply = pair.ask("fred", "reply", to_message=conversation(pair), message=message, **fields)
    assert reply.get("land") == (land if land == "digest" else None)
    assert one(pair, "claude")["land"] == land


def test_a_first_reply_and_a_reply_to_one_that_asks_land_as_usual(pair: Core) -> None:
    pair.send("fred", "claude", "please do it")
    pair.ask("claude", "reply", to_message=one(pair, "claude")["id"], message={"content": "done"})
    assert one(pair, "fred")["land"] == "tool"
    pair.ask("fred", "reply", to_message=conversation(pair, question="shall I push?"), message={"content": "yes"})
    assert one(pair, "claude")["land"] == "tool"


def test_more_of_what_one_wrote_oneself_is_no_thanks(pair: Core) -> None:
    pair.send("fred", "claude", "please do it")
    first = pair.ask("claude", "reply", to_message=one(pair, "claude")["id"], message={"content": "done"})
    pair.ask("claude", "reply", to_message=first["message_id"], message={"content": "and pushed"})
    assert [m["land"] for m in pair.check("fred")] == ["tool", "tool"]


def test_the_answer_to_a_question_is_never_taken_for_thanks(pair: Core) -> None:
    pair.ask("fred", "ask", to_id="claude", message={"content": "which one"})
    pair.ask("claude", "reply", to_message=one(pair, "claude")["id"], message={"content": "the first"})
    assert one(pair, "fred")["land"] == "tool"
