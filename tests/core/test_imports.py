"""Mail of an export comes in: whole, with its past, and wakes nobody."""

from typing import Any

import pytest

from tests.engine import DAY, OWNER, Core, sweep

AT = 1_700_000_000.25


def restore(core: Core, content: str = "hello", **fields: Any) -> dict[str, Any]:
    body = {"from_id": "fred", "readers": [{"name": "claude", "state": "read", "at": AT + 60}], "message_id": "o-1"}
    body |= {"message": {"content": content}, "timestamp": AT, "session_token": OWNER, **fields}
    return core.ask(None, "import", **body)


def history(core: Core, who: str, **fields: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = core.ask(who, "history", **fields)["messages"]
    return messages


def last_step(core: Core, number: str) -> dict[str, Any]:
    (row,) = core.ask("fred", "receipts", ids=[number])["receipts"]
    return {"step": row["step"], **row["steps"][-1]}


def test_what_was_read_is_history_with_its_times_and_its_old_id(pair: Core) -> None:
    reply = restore(pair, "héllo\r\n\0 end", was="41", land="interrupt")
    (got,) = history(pair, "claude")
    assert (got["message"]["content"], got["was"], got["read"], got["land"]) == ("héllo\r\n\0 end", "41", True, "interrupt")
    assert got["timestamp"] == "2023-11-14T22:13:20.250000+00:00"
    assert last_step(pair, reply["number"])["at"] == "2023-11-14T22:14:20.250000+00:00"
    assert pair.ask("claude", "count")["unread"] == 0
    pair.restart()
    assert history(pair, "claude") == [got] and pair.check("claude") == []


def test_imported_mail_is_kept_from_its_import_on(pair: Core) -> None:
    number = int(restore(pair)["number"])
    pair.pass_time(29 * DAY)
    sweep(pair)
    assert pair.store.find_letter(number) is not None
    pair.pass_time(2 * DAY)
    sweep(pair)
    assert pair.store.find_letter(number) is None


def test_one_message_stays_one_with_several_readers(core: Core) -> None:
    core.register("fred", "claude", "bob")
    readers = [{"name": "claude", "state": "read"}, {"name": "bob", "state": "expired", "why": "too late", "at": AT + 5}]
    reply = restore(core, readers=readers, group="devs")
    (sent,) = history(core, "fred")
    assert (sent["to"], sent["group"]) == (["claude", "bob"], "devs")
    rows = {row["to"]: row for row in core.ask("fred", "receipts", ids=[reply["number"]])["receipts"]}
    assert (rows["claude"]["step"], rows["bob"]["step"], rows["bob"]["why"]) == ("in_context", "expired", "too late")
    assert core.ask("fred", "dead")["dead"] == core.ask("bob", "dead")["dead"] == []


@pytest.mark.parametrize("unread", [False, True])
def test_what_was_unread_waits_only_if_that_is_asked_for_and_wakes_nobody(pair: Core, unread: bool) -> None:
    pair.ask("claude", "subscribe", notify=True, ways=["channel"])
    restore(pair, readers=[{"name": "claude", "state": "unread"}], land="interrupt", unread=unread)
    pair.pass_time(DAY)
    assert pair.keep_house() == pair.late == []
    assert [m["read"] for m in history(pair, "claude")] == [False]
    assert pair.contents("claude") == (["hello"] if unread else [])
    assert pair.contents("fred") == []  # nobody tells him that it waits


def test_threads_and_replies_keep_their_shape(pair: Core) -> None:
    pair.send("fred", "claude", "not of it")
    first = restore(pair, "question?")["number"]
    back = [{"name": "fred", "state": "read"}]
    second = restore(pair, "yes", from_id="claude", readers=back, message_id="o-2", reply_to=first, thread=first)["number"]
    third = restore(pair, "fine", message_id="o-3", thread=first, supersedes=first)["number"]
    found = history(pair, "fred", thread=first)
    assert [(m["id"], m.get("reply_to"), m["thread"]) for m in found] == [
        (third, None, first),
        (second, first, first),
        (first, None, first),
    ]
    assert last_step(pair, first)["step"] == "answered"
    assert found[0]["supersedes"] == first


def test_a_second_import_changes_nothing_and_another_text_is_refused(pair: Core) -> None:
    first = restore(pair, "x" * 20_000)
    again = restore(pair, "x" * 20_000)
    assert (again["duplicate"], again["number"]) == (True, first["number"])
    assert restore(pair, "y")["code"] == "id_conflict"
    assert len(history(pair, "claude")) == 1


def test_a_large_body_gets_its_file(pair: Core) -> None:
    restore(pair, "ü" * 100_000)
    (got,) = history(pair, "claude")
    with open(got["file"]["path"], encoding="utf-8") as f:
        assert f.read().endswith("ü" * 100_000)


def test_names_that_nobody_has_are_made_and_those_that_nobody_can_have_are_kept_as_words(core: Core) -> None:
    restore(core, from_id="system", readers=[{"name": "nova", "state": "read"}])
    restore(core, from_id="ada@rome", readers=[{"name": "nova", "state": "read"}], message_id="o-2")
    core.register("nova")
    assert [m["from"] for m in history(core, "nova")] == ["ada@rome", "system"]


def test_mail_between_sites_never_waits_again(core: Core) -> None:
    core.register("fred")
    reply = restore(core, readers=[{"name": "ada@rome", "state": "unread"}], unread=True)
    assert reply["status"] == "ok"
    assert core.engine.state.mailboxes["ada@rome"].queued == 0


def test_what_it_says_of_its_past_is_kept(pair: Core) -> None:
    first = {"from": "bob", "id": "7", "at": AT - 5}
    restore(pair, past={"forwarded": first, "question": {"deadline": AT + 600}, "hops": 2, "resends": "3"})
    (got,) = history(pair, "claude")
    assert got["forwarded"] == {"from": "bob", "id": "7", "timestamp": "2023-11-14T22:13:15.250000+00:00"}
    assert (got["question"]["waiting"], got["hops"], got["resends"]) == (False, 2, "3")
    assert pair.ask("claude", "reply", to_message=got["id"], message={"content": "late"})["status"] == "ok"


@pytest.mark.parametrize(
    "fields",
    [
        {"readers": [{"name": "claude", "state": "eaten"}]},
        {"readers": ["claude"]},
        {"readers": [{"name": "claude", "state": "read", "at": -1}]},
        {"readers": [{"name": "claude", "state": "read", "why": 3}]},
        {"readers": [{"name": "no name", "state": "read"}]},
        {"readers": [{"name": "claude", "state": "read"}] * 2},
        {"from_id": "a b"},
        {"group": "a b"},
        {"thread": "x"},
        {"past": {"forwarded": 3}},
        {"past": {"question": {"deadline": "soon"}}},
        {"past": {"hops": -1}},
        {"past": {"resends": ["1"]}},
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(pair: Core, fields: dict[str, Any]) -> None:
    assert restore(pair, **fields)["code"] in ("bad_request", "invalid_name")
    assert history(pair, "claude") == []


def test_waiting_mail_needs_room(core: Core) -> None:
    core.env["IPC_MAILBOX_LIMIT"] = "1"
    core.restart()
    core.register("fred", "claude")
    core.send("fred", "claude")
    assert restore(core, readers=[{"name": "claude", "state": "unread"}], unread=True)["code"] == "mailbox_full"
    assert restore(core, readers=[{"name": "claude", "state": "unread"}])["status"] == "ok"
