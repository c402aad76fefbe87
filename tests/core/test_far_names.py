"""Names that change while mail is between sites: letters and answers reach whoever is meant."""

import pytest

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites
from tests.engine import HOUR, one


def rename(sites: Sites, site: str, old: str, new: str) -> None:
    assert sites[site].ask(old, "rename", new_id=new)["status"] == "ok"
    sites.tokens_follow(site, old, new)


@pytest.mark.parametrize("hours", [0.0, 1.9])
def test_the_old_address_leads_to_the_new_name_for_two_hours(sites: Sites, hours: float) -> None:
    rename(sites, "rome", "bob", "rob")
    sites["rome"].pass_time(hours * HOUR)
    sites["paris"].send("ann", "bob@rome", "hello")
    sites.exchange()
    assert sites["rome"].contents("rob") == ["hello"]


def test_then_mail_for_it_waits_for_whoever_takes_the_name(sites: Sites) -> None:
    rename(sites, "rome", "bob", "rob")
    sites["rome"].pass_time(2.1 * HOUR)
    sites["paris"].send("ann", "bob@rome", "hello")
    sites.exchange()
    assert sites["rome"].contents("rob") == []
    sites["rome"].register("bob")
    assert sites["rome"].contents("bob") == ["hello"]


@pytest.mark.parametrize("hours", [0.0, 3.0])
@pytest.mark.parametrize("taken", [False, True], ids=["the old name is free", "another has the old name"])
def test_an_answer_reaches_who_wrote_whatever_it_is_called_by_then(sites: Sites, hours: float, taken: bool) -> None:
    number = sites["paris"].send("ann", "bob@rome", "which branch?")["number"]
    sites.exchange()
    rename(sites, "paris", "ann", "anna")
    sites["paris"].pass_time(hours * HOUR)
    if taken and hours > 2:
        sites["paris"].register("ann")
    letter = one(sites["rome"], "bob")
    answer = sites["rome"].ask("bob", "reply", to_message=letter["id"], message={"content": "main"})
    assert answer["to"] == "ann@paris"
    sites.exchange()
    back = one(sites["paris"], "anna")
    assert (back["message"]["content"], back["reply_to"], back["to"]) == ("main", number, "anna")
    sites.exchange()
    (row,) = sites["rome"].ask("bob", "receipts", ids=[answer["number"]])["receipts"]
    assert row["step"] == "in_context", "word of it comes back under the name that it was sent to"


def test_who_is_renamed_before_its_mail_leaves_writes_by_its_new_name(sites: Sites) -> None:
    sites["paris"].send("ann", "bob@rome", "hello")
    rename(sites, "paris", "ann", "anna")
    sites.exchange()
    letter = one(sites["rome"], "bob")
    assert letter["from"] == "anna@paris"
    sites["rome"].ask("bob", "reply", to_message=letter["id"], message={"content": "hi"})
    sites.exchange()
    assert sites["paris"].contents("anna") == ["hi"]


def test_a_reader_that_is_renamed_writes_by_its_new_name_and_its_old_mail_is_told_as_read(sites: Sites) -> None:
    number = sites["paris"].send("ann", "bob@rome", "hello")["number"]
    sites.exchange()
    rename(sites, "rome", "bob", "rob")
    letter = one(sites["rome"], "rob")
    sites["rome"].ask("rob", "reply", to_message=letter["id"], message={"content": "it is rob now"})
    sites.exchange()
    (row,) = sites["paris"].ask("ann", "receipts", ids=[number])["receipts"]
    assert [step["step"] for step in row["steps"]] == ["outbox", "stored", "at_site", "in_context", "answered"]
    back = one(sites["paris"], "ann")
    assert (back["from"], back["reply_to"]) == ("rob@rome", number)


def test_a_question_is_answered_though_both_have_other_names_by_then(sites: Sites) -> None:
    paris, rome = sites["paris"], sites["rome"]
    asked = paris.ask("ann", "ask", to_id="bob@rome", message={"content": "go?"}, deadline_s=300)
    sites.exchange()
    rename(sites, "paris", "ann", "anna")
    rename(sites, "rome", "bob", "rob")
    letter = one(rome, "rob")
    rome.ask("rob", "reply", to_message=letter["id"], message={"content": "go"})
    sites.exchange()
    (question,) = paris.ask("anna", "asks")["asks"]
    assert (question["id"], question["state"]) == (asked["number"], "answered")


def test_a_block_holds_for_an_agent_elsewhere_before_it_writes_and_while_it_is_silent(sites: Sites) -> None:
    rome, paris = sites["rome"], sites["paris"]
    assert rome.ask("bob", "block", name="ann@paris")["message"] == "Blocked ann@paris"
    assert rome.ask("bob", "blocks")["blocks"] == [{"name": "ann@paris", "mode": "block"}]
    sites.set("rome", IPC_READ_TTL="3600", IPC_SESSION_TIMEOUT="999999")
    sites.pass_time(5 * HOUR)
    number = paris.send("ann", "bob@rome", "hello")["number"]
    sites.exchange()
    (row,) = paris.ask("ann", "receipts", ids=[number])["receipts"]
    assert (row["step"], row["why"]) == ("refused", "bob takes no mail from you")
    assert rome.ask("bob", "unblock", name="ann@paris")["status"] == "ok"
    paris.send("ann", "bob@rome", "hello again")
    sites.exchange()
    assert rome.contents("bob") == ["hello again"]


def test_a_muted_agent_elsewhere_is_told_nothing(sites: Sites) -> None:
    rome, paris = sites["rome"], sites["paris"]
    rome.ask("bob", "block", name="ann@paris", mode="mute")
    number = paris.send("ann", "bob@rome", "hello")["number"]
    sites.exchange()
    assert rome.contents("bob") == []
    assert [m["message"]["content"] for m in rome.ask("bob", "history")["messages"]] == ["hello"]
    (row,) = paris.ask("ann", "receipts", ids=[number])["receipts"]
    assert (row["step"], row["state"]) == ("at_site", "queued")


@pytest.mark.parametrize(
    ("name", "code"), [("*@paris", "bad_request"), ("ann@x.org", "email_address"), ("ann@par is", "invalid_recipient")]
)
def test_who_can_t_be_blocked(sites: Sites, name: str, code: str) -> None:
    assert sites["rome"].ask("bob", "block", name=name)["code"] == code


def test_mail_that_waited_for_a_name_is_told_as_read_by_whoever_takes_it_over(sites: Sites) -> None:
    number = sites["paris"].send("ann", "dora@rome", "welcome")["number"]
    sites.exchange()
    rename(sites, "rome", "bob", "dora")
    assert one(sites["rome"], "dora")["message"]["content"] == "welcome"
    sites.exchange()
    (row,) = sites["paris"].ask("ann", "receipts", ids=[number])["receipts"]
    assert row["step"] == "in_context"
