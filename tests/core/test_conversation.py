"""Replies, questions, threads, forwards, what became of a message."""

import pytest

from tests.engine import Core, one


def reply(core: Core, who: str, to: object, text: str, **fields: object) -> dict[str, object]:
    return core.ask(who, "reply", to_message=to, message={"content": text}, **fields)


def ask(core: Core, who: str, to: str, text: str = "which branch?", **fields: object) -> dict[str, object]:
    return core.ask(who, "ask", to_id=to, message={"content": text}, **fields)


# threads and replies


def test_a_reply_goes_to_the_writer_in_the_thread_of_what_it_answers(pair: Core) -> None:
    pair.send("fred", "claude", "first")
    first = one(pair, "claude")
    assert "thread" not in first
    answer = reply(pair, "claude", first["id"], "second")
    assert (answer["to"], answer["thread"]) == ("fred", first["id"])
    second = one(pair, "fred")
    assert (second["reply_to"], second["thread"]) == (first["id"], first["id"])
    reply(pair, "fred", second["id"], "third")
    assert one(pair, "claude")["thread"] == first["id"]


def test_a_reply_follows_a_renamed_writer(pair: Core) -> None:
    pair.send("fred", "claude")
    first = one(pair, "claude")
    pair.ask("fred", "rename", new_id="freddy")
    assert reply(pair, "claude", first["id"], "hi")["to"] == "freddy"


def test_nobody_replies_to_mail_of_others_or_learns_that_it_exists(pair: Core) -> None:
    pair.register("spy")
    number = pair.send("fred", "claude")["message_id"]
    for action, field in (("reply", "to_message"), ("forward", "forward_id"), ("withdraw", "withdraw_id")):
        body = {field: number, "to_id": "spy", "message": {"content": "x"}}
        error = pair.ask("spy", action, **body)
        missing = pair.ask("spy", action, **{**body, field: "999"})
        assert (error["code"], missing["code"]) == ("unknown_message", "unknown_message")
    assert pair.ask("spy", "receipts", ids=[number])["code"] == "unknown_message"
    assert pair.ask("spy", "history", thread=number)["code"] == "unknown_message"


def test_a_notice_takes_no_answer(pair: Core) -> None:
    pair.ask("fred", "rename", new_id="freddy")
    notice = one(pair, "claude")
    assert reply(pair, "claude", notice["id"], "thanks")["code"] == "not_answerable"


def test_a_retried_reply_is_stored_once(pair: Core) -> None:
    pair.send("fred", "claude")
    first = one(pair, "claude")
    reply(pair, "claude", first["id"], "once", message_id="r1")
    again = reply(pair, "claude", first["id"], "once", message_id="r1")
    assert (again["duplicate"], again["to"], again["thread"]) == (True, "fred", first["id"])
    assert pair.contents("fred") == ["once"]


def test_a_send_may_continue_a_thread_of_which_one_is_part(pair: Core) -> None:
    pair.register("bob")
    root = pair.send("fred", "claude", message_id="mine")
    assert root["message_id"] == "mine"
    sent = pair.send("fred", "bob", "as I told claude", thread="mine")
    assert one(pair, "bob")["thread"] == sent["thread"]
    assert pair.send("bob", "claude", thread="999")["code"] == "unknown_message"


# questions


def test_an_ask_that_waits_gets_the_answer_in_its_own_reply(pair: Core) -> None:
    assert ask(pair, "fred", "claude", wait_s=60) == {}
    question = one(pair, "claude")
    assert question["question"]["waiting"] is True
    assert reply(pair, "claude", question["id"], "main")["answers"] == question["id"]
    (answer,) = pair.late
    assert (answer["state"], answer["messages"][0]["message"]["content"]) == ("answered", "main")
    assert pair.check("fred") == []
    assert pair.ask("fred", "ack", ids=[answer["messages"][0]["id"]])["acked"] == 1


def test_other_mail_does_not_end_an_ask(pair: Core) -> None:
    ask(pair, "fred", "claude", wait_s=60)
    pair.send("claude", "fred", "unrelated")
    assert pair.late == []
    assert pair.contents("fred") == ["unrelated"]


def test_an_answer_that_comes_too_late_for_the_wait_arrives_as_mail(pair: Core) -> None:
    ask(pair, "fred", "claude", wait_s=5)
    pair.pass_time(6)
    pair.batch()
    assert (pair.late[0]["state"], pair.late[0]["messages"]) == ("open", [])
    question = one(pair, "claude")
    assert question["question"]["waiting"] is False
    reply(pair, "claude", question["id"], "late")
    assert pair.contents("fred") == ["late"]


def test_a_question_is_open_then_answered_or_stale_and_asks_lists_it_for_both(pair: Core) -> None:
    first = ask(pair, "fred", "claude", "one?", deadline_s=60)
    second = ask(pair, "fred", "claude", "two?", deadline_s=60)
    assert (first["state"], second["state"]) == ("open", "open")
    questions = pair.check("claude")
    reply(pair, "claude", questions[0]["id"], "1")
    pair.pass_time(61)
    for who in ("fred", "claude"):
        rows = pair.ask(who, "asks")["asks"]
        assert [(r["content"], r["state"]) for r in rows] == [("two?", "stale"), ("one?", "answered")]
    assert [r["content"] for r in pair.ask("fred", "asks", state="stale")["asks"]] == ["two?"]
    reply(pair, "claude", questions[1]["id"], "2")
    assert [r["state"] for r in pair.ask("fred", "asks")["asks"]] == ["answered", "answered"]


def test_an_ask_retried_after_a_crash_asks_once_and_gets_the_answer(pair: Core) -> None:
    ask(pair, "fred", "claude", wait_s=60, message_id="q1")
    pair.restart()
    ask(pair, "fred", "claude", wait_s=60, message_id="q1")
    (question,) = pair.check("claude")
    reply(pair, "claude", question["id"], "main")
    assert pair.late[-1]["messages"][0]["message"]["content"] == "main"
    pair.restart()
    again = ask(pair, "fred", "claude", wait_s=60, message_id="q1")
    assert (again["state"], again["duplicate"], len(again["messages"])) == ("answered", True, 1)


def test_an_ask_answered_out_of_turn_leaves_the_order_of_other_mail_alone(pair: Core) -> None:
    pair.send("claude", "fred", "before")
    ask(pair, "fred", "claude", wait_s=60)
    reply(pair, "claude", one(pair, "claude")["id"], "answer")
    pair.send("claude", "fred", "after")
    assert pair.contents("fred") == ["before", "after"]
    pair.pass_time(31)
    pair.batch()
    assert pair.contents("fred") == ["before", "answer", "after"]


def test_a_message_id_of_a_plain_message_is_no_question(pair: Core) -> None:
    pair.send("fred", "claude", message_id="m")
    assert ask(pair, "fred", "claude", message_id="m")["code"] == "id_conflict"


@pytest.mark.parametrize("how", ["lease ended", "released", "one of two released"])
@pytest.mark.parametrize(("land", "urgent"), [("interrupt", 1), ("tool", 0), ("turn", 0)])
def test_a_watcher_is_told_of_mail_that_is_back(pair: Core, how: str, land: str, urgent: int) -> None:
    pair.send("fred", "claude", "one", land=land)
    pair.send("fred", "claude", "two", land=land)
    pair.ask("claude", "subscribe", notify=True, id="watch")
    held = [m["id"] for m in pair.check("claude")]
    pair.late.clear()
    back = 2
    if how == "lease ended":
        pair.pass_time(31)
        pair.batch()
    elif how == "released":
        pair.ask("claude", "release")
    else:
        pair.ask("claude", "release", ids=held[1:])
        back = 1
    told = {"unread": back, "interrupt": urgent * back, "from": ["fred"], "land": land}
    assert pair.late == [{"push": "new", "id": "watch", **told}]
    pair.late.clear()
    pair.check("claude")
    pair.batch()
    assert pair.late == []


# forward, withdraw, supersede


def test_a_forward_names_the_first_writer_and_counts_hops_up_to_the_limit(pair: Core) -> None:
    pair.register("bob")
    pair.send("fred", "claude", "news")
    hops, at, to = 0, "claude", "bob"
    message = one(pair, at)
    while True:
        answer = pair.ask(at, "forward", forward_id=message["id"], to_id=to, note="fyi")
        if answer["status"] == "error":
            break
        message, hops = one(pair, to), hops + 1
        assert (message["hops"], message["forwarded"]["from"]) == (hops, "fred")
        at, to = to, at
    assert (answer["code"], hops) == ("too_many_hops", 8)
    assert str(message["message"]["content"]).endswith("news")


def test_a_message_that_nobody_has_been_given_can_be_withdrawn(pair: Core) -> None:
    pair.send("fred", "claude", "oops", message_id="m1")
    pair.send("fred", "claude", "stays", message_id="m2")
    assert pair.ask("fred", "withdraw", withdraw_id="m1")["withdrawn"] == 1
    assert pair.contents("claude") == ["stays"]
    assert pair.ask("fred", "withdraw", withdraw_id="m2")["withdrawn"] == 0
    assert pair.send("fred", "claude", "oops", message_id="m1")["duplicate"] is True
    assert pair.engine.state.mailboxes["claude"].queued == 1
    pair.restart()
    assert pair.contents("claude") == ["stays"]


def test_a_message_given_and_released_in_one_batch_can_not_be_withdrawn(pair: Core) -> None:
    pair.send("fred", "claude", "seen", message_id="m1")
    check, _released, withdrawn = pair.batch(
        {"as_": "claude", "action": "check"},
        {"as_": "claude", "action": "release"},
        {"as_": "fred", "action": "withdraw", "withdraw_id": "m1"},
    )
    assert (len(check["messages"]), withdrawn["withdrawn"]) == (1, 0)
    assert pair.contents("claude") == ["seen"]


def test_urgent_mail_that_has_expired_does_not_hide_what_is_behind_it(pair: Core) -> None:
    pair.send("fred", "claude", "old", land="interrupt", ttl_s=1)
    pair.send("fred", "claude", "new", land="interrupt")
    pair.pass_time(2)
    assert [m["message"]["content"] for m in pair.check("claude", land="interrupt", limit=1)] == ["new"]


def test_a_message_supersedes_an_unread_one_and_says_so(pair: Core) -> None:
    old = pair.send("fred", "claude", "meet at 3")
    new = pair.send("fred", "claude", "meet at 4", supersedes=old["message_id"])
    assert new["superseded"] == 1
    (message,) = pair.check("claude")
    assert (message["message"]["content"], message["supersedes"]) == ("meet at 4", old["message_id"])
    later = pair.send("fred", "claude", "meet at 5", supersedes=new["message_id"])
    assert later["superseded"] == 0


# when it lands


def test_mail_lands_when_its_sender_said(pair: Core) -> None:
    for land in ("turn", "tool", "interrupt"):
        pair.send("fred", "claude", land, land=land)

    def contents(land: str) -> list[str]:
        return [m["message"]["content"] for m in pair.check("claude", land=land)]

    assert contents("interrupt") == ["interrupt"]
    assert contents("tool") == ["tool"]
    assert contents("tool") == []
    assert contents("turn") == ["turn"]
    pair.restart()
    assert contents("tool") == ["tool", "interrupt"]
    assert contents("turn") == ["turn"]


def test_mail_passed_over_for_later_keeps_its_order_and_is_no_redelivery(pair: Core) -> None:
    for number in range(5):
        pair.send("fred", "claude", f"later {number}", land="turn")
        pair.send("fred", "claude", f"now {number}")
    assert [m["message"]["content"] for m in pair.check("claude", land="tool")] == [f"now {n}" for n in range(5)]
    rest = pair.check("claude")
    assert [m["message"]["content"] for m in rest] == [f"later {n}" for n in range(5)]
    assert not any("redelivered" in m for m in rest)


def test_a_count_costs_no_delivery(pair: Core) -> None:
    pair.register("bob")
    pair.send("fred", "claude")
    pair.send("fred", "claude")
    pair.send("bob", "claude", land="interrupt")
    count = pair.ask("claude", "count")
    assert (count["unread"], count["interrupt"], count["from"]) == (3, 1, {"fred": 2, "bob": 1})
    assert [r["state"] for r in pair.ask("bob", "receipts", ids=["3"])["receipts"]] == ["queued"]
    pair.check("claude")
    assert pair.ask("claude", "count")["unread"] == 0


def test_a_watcher_is_told_of_mail_and_gets_none(pair: Core) -> None:
    pair.ask("claude", "subscribe", notify=True)
    pair.send("fred", "claude", land="interrupt")
    (told,) = pair.late
    assert {k: told[k] for k in ("push", "unread", "interrupt", "from", "land")} == {
        "push": "new",
        "unread": 1,
        "interrupt": 1,
        "from": ["fred"],
        "land": "interrupt",
    }
    assert len(pair.check("claude")) == 1
    pair.ask("claude", "unsubscribe")
    pair.send("fred", "claude")
    assert len(pair.late) == 1


def test_mail_with_an_expiry_of_its_own_is_not_delivered_after_it(pair: Core) -> None:
    pair.send("fred", "claude", "short", ttl_s=10)
    pair.send("fred", "claude", "long")
    pair.pass_time(11)
    assert pair.contents("claude") == ["long"]
