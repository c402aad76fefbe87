"""What a letter holds when it comes from another site, and letters to everyone at one or all."""

from typing import Any

import pytest

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites
from tests.engine import one


def whole(message: dict[str, Any]) -> str:
    if "file" not in message:
        return str(message["message"]["content"])
    with open(message["file"]["path"], encoding="utf-8") as file:
        return file.read().split("---\n", 2)[-1]


@pytest.mark.parametrize("size", [1, 2_000, 120_000, 1_000_000])
def test_a_letter_of_any_size_comes_whole(sites: Sites, size: int) -> None:
    text = "".join(chr(97 + n % 26) for n in range(size))
    sites["paris"].send("ann", "bob@rome", text)
    sites.exchange()
    (letter,) = sites["rome"].check("bob")
    assert text in whole(letter)
    assert ("file" in letter) == (size > 2_000)


@pytest.mark.parametrize("data", [None, 5, "x", [1, {"a": [None, 1.5]}], {"deep": [[[[1]]]]}])
def test_data_comes_as_it_was(sites: Sites, data: Any) -> None:
    sites["paris"].ask("ann", "send", to_id="bob@rome", message={"content": "see data", "data": data})
    sites.exchange()
    assert one(sites["rome"], "bob")["message"].get("data") == data


@pytest.mark.parametrize("land", ["digest", "turn", "tool", "interrupt"])
def test_it_lands_there_as_its_writer_said(sites: Sites, land: str) -> None:
    sites["paris"].send("ann", "bob@rome", land=land)
    sites.exchange()
    assert one(sites["rome"], "bob")["land"] == land


def test_a_letter_from_elsewhere_is_passed_on_with_its_first_writer(sites: Sites) -> None:
    sites["rome"].send("bob", "ann@paris", "the key is under the mat")
    sites.exchange()
    letter = one(sites["paris"], "ann")
    passed = sites["paris"].ask("ann", "forward", forward_id=letter["id"], to_id="carl@berlin", note="as asked")
    assert passed["status"] == "ok"
    sites.exchange()
    got = one(sites["berlin"], "carl")
    assert (got["from"], got["forwarded"]["from"], got["hops"]) == ("ann@paris", "bob@rome", 1)
    assert got["message"]["content"] == "as asked\n\nthe key is under the mat"


def test_one_s_own_letter_is_passed_on_with_one_s_address(sites: Sites) -> None:
    sites["paris"].send("amy", "ann", "the key is under the mat")
    letter = one(sites["paris"], "ann")
    sites["paris"].ask("ann", "forward", forward_id=letter["id"], to_id="bob@rome")
    sites.exchange()
    assert one(sites["rome"], "bob")["forwarded"]["from"] == "amy@paris"


def test_a_person_s_letter_is_one_there_too(sites: Sites) -> None:
    """No budget of wakes holds for it, and it begins the count of who answers whom anew."""
    paris, rome = sites.set("paris", IPC_PAIR_LIMIT="4"), sites.set("rome", IPC_PAIR_LIMIT="4")
    paris.engine.is_person = lambda _route: True
    for _ in range(6):
        assert paris.send("ann", "bob@rome", person=True)["status"] == "ok"
        sites.exchange()
        assert rome.send("bob", "ann@paris")["status"] == "ok"
        sites.exchange()


def test_two_who_answer_each_other_without_end_are_slowed_down_at_both_sites(sites: Sites) -> None:
    cores = [sites.set("paris", IPC_PAIR_LIMIT="4"), sites.set("rome", IPC_PAIR_LIMIT="4")]
    refused = []
    for n in range(12):
        who, to = (("ann", "bob@rome"), ("bob", "ann@paris"))[n % 2]
        answer = cores[n % 2].send(who, to, str(n))
        refused.append(answer.get("code", "ok"))
        sites.exchange()
    assert refused[:5] == ["ok"] * 5 and refused[-1] == "slow_down"
    got = [m["message"]["content"] for m in cores[1].check("bob", limit=50) if m["from"] != "system"]
    assert got == [str(n) for n in range(12) if n % 2 == 0 and refused[n] == "ok"], "what was accepted is delivered"
    cores[0].pass_time(61)
    assert cores[0].send("ann", "bob@rome")["status"] == "ok"


# everyone


def test_a_letter_to_everyone_everywhere_reaches_each_once_and_says_how_many(sites: Sites) -> None:
    sites["paris"].send("ann", "bob@rome", "so that paris knows rome")
    sites["paris"].send("ann", "carl@berlin", "and berlin")
    sites.exchange()
    for _ in range(2):
        sent = sites["paris"].send("ann", "*@*", "lunch?", message_id="lunch")
        assert sent["message"] == "Posted to 1 instance here and everyone at 2 other sites"
        sites.exchange()
    for site, name in (("paris", "amy"), ("rome", "bob"), ("rome", "ben"), ("berlin", "carl")):
        found = [m for m in sites[site].check(name) if m["message"]["content"] == "lunch?"]
        assert [(m["from"], m["group"]) for m in found] == [("ann" if site == "paris" else "ann@paris", "*@*")]
    assert [m for m in sites["paris"].check("ann") if m["from"] != "system"] == []


def test_an_answer_to_a_letter_to_everyone_goes_to_its_writer(sites: Sites) -> None:
    sites["paris"].send("ann", "*@rome", "lunch?")
    sites.exchange()
    letter = one(sites["rome"], "bob")
    assert sites["rome"].ask("bob", "reply", to_message=letter["id"], message={"content": "yes"})["to"] == "ann@paris"
    sites.exchange()
    assert sites["paris"].contents("ann") == ["yes"]
    assert sites["rome"].contents("ben") == ["lunch?"]


@pytest.mark.parametrize("to", ["*@rome", "*@*", "*@paris"])
def test_nobody_asks_everyone(sites: Sites, to: str) -> None:
    asked = sites["paris"].ask("ann", "ask", to_id=to, message={"content": "?"})
    assert (asked["code"], asked["message"]) == ("bad_request", "ask takes one name; write to the group with send")


def test_whose_mailbox_is_full_is_passed_over_and_named(sites: Sites) -> None:
    paris = sites.set("paris", IPC_MAILBOX_LIMIT="2")
    for n in range(2):
        paris.send("ann", "amy", str(n))
        paris.send("ann", "*@rome", str(n))
    paris.send("ann", "carl@berlin", "so that paris knows berlin")
    sent = paris.send("ann", "*@*", "lunch?")
    assert (sent["message"], sent["mailbox_full"]) == (
        "Posted to 0 instances here and everyone at 1 other site",
        ["*@rome", "amy"],
    )
    assert paris.send("ann", "*@rome", "more")["code"] == "mailbox_full"
    sites.exchange()
    assert paris.send("ann", "*@rome", "more")["status"] == "ok", "what was spread there waits here no more"


def test_of_everyone_at_a_site_those_without_room_are_passed_over_there(sites: Sites) -> None:
    rome = sites.set("rome", IPC_MAILBOX_LIMIT="1")
    rome.send("ben", "bob", "full now")
    number = sites["paris"].send("ann", "*@rome", "lunch?")["number"]
    sites.exchange()
    (row,) = sites["paris"].ask("ann", "receipts", ids=[number])["receipts"]
    assert row["steps"][-1]["spread"] == 1
    assert rome.contents("ben") == ["lunch?"]


def test_one_that_is_scheduled_goes_out_at_its_time(sites: Sites) -> None:
    reply = sites["paris"].ask("ann", "schedule", to_id="bob@rome", message={"content": "good morning"}, in_s=60)
    assert reply["schedule"]["to"] == "bob@rome"
    sites.exchange()
    assert sites["rome"].check("bob") == []
    sites.pass_time(61)
    sites.exchange()
    assert one(sites["rome"], "bob")["message"]["content"] == "good morning"
