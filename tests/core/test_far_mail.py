"""Mail between sites, as agents see it: two or three brokers and a carrier that loses nothing."""

from typing import Any

import pytest

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites
from tests.engine import OWNER, Core, one, sweep


def receipt(core: Core, who: str, number: str) -> dict[str, Any]:
    (row,) = core.ask(who, "receipts", ids=[number])["receipts"]
    return dict(row)


def test_a_message_goes_to_a_name_at_another_site_and_its_answer_comes_back(sites: Sites) -> None:
    paris, rome = sites["paris"], sites["rome"]
    sent = paris.send("ann", "bob@rome", "is the build green?")
    assert (sent["status"], sent["message"]) == ("ok", "Message on its way to rome")
    sites.exchange()
    letter = one(rome, "bob")
    assert (letter["from"], letter["to"], letter["message"]["content"]) == ("ann@paris", "bob", "is the build green?")
    answer = rome.ask("bob", "reply", to_message=letter["id"], message={"content": "it is"})
    assert answer["to"] == "ann@paris"
    sites.exchange()
    back = one(paris, "ann")
    assert (back["from"], back["message"]["content"]) == ("bob@rome", "it is")
    assert (back["reply_to"], back["thread"]) == (sent["number"], sent["number"])


def test_mail_for_a_name_that_nobody_has_yet_waits_there_as_at_home(sites: Sites) -> None:
    sites["paris"].send("ann", "dora@rome", "welcome")
    sites.exchange()
    sites["rome"].register("dora")
    assert sites["rome"].contents("dora") == ["welcome"]


def test_order_is_kept_whatever_the_sizes(sites: Sites) -> None:
    for n in range(50):
        sites["paris"].send("ann", "bob@rome", f"{n} {'x' * (20_000 if n % 7 == 3 else 10)}")
    sites.exchange()
    got = [m["message"]["content"].split()[0] for m in sites["rome"].check("bob", limit=100)]
    assert got == [str(n) for n in range(50)]


def test_what_is_read_leaves_the_sender_s_unread_mail_and_its_receipt_says_so(sites: Sites) -> None:
    paris = sites["paris"]
    number = paris.send("ann", "bob@rome")["number"]
    sites.exchange()
    assert paris.engine.state.mailboxes["bob@rome"].queued == 1
    one(sites["rome"], "bob")
    sites.exchange()
    assert paris.engine.state.mailboxes["bob@rome"].queued == 0
    assert receipt(paris, "ann", number)["step"] == "in_context"


def test_a_question_across_sites_is_answered_in_its_own_reply(sites: Sites) -> None:
    paris, rome = sites["paris"], sites["rome"]
    assert paris.ask("ann", "ask", to_id="bob@rome", message={"content": "go?"}, wait_s=60, deadline_s=300) == {}
    sites.exchange()
    letter = one(rome, "bob")
    assert letter["question"]["deadline"]
    assert rome.ask("bob", "asks")["asks"][0]["from"] == "ann@paris"
    assert rome.ask("bob", "reply", to_message=letter["id"], message={"content": "go"})["answers"] == letter["id"]
    sites.exchange()
    (told,) = [row for row in paris.late if row.get("state") == "answered"]
    assert told["messages"][0]["message"]["content"] == "go"


def test_a_withdrawn_message_leaves_its_number_and_nothing_else(sites: Sites) -> None:
    paris, rome = sites["paris"], sites["rome"]
    first = paris.send("ann", "bob@rome", "one")["number"]
    paris.send("ann", "bob@rome", "two")
    assert paris.ask("ann", "withdraw", withdraw_id=first)["withdrawn"] == 1
    assert paris.ask("ann", "sites")["sites"][0]["waiting"] == 1, "it waits no more"
    second = paris.send("ann", "bob@rome", "three")["number"]
    sites.exchange()
    assert rome.contents("bob") == ["two", "three"]
    assert paris.ask("ann", "withdraw", withdraw_id=second)["withdrawn"] == 0, "it is out of reach"


def test_mail_whose_time_is_over_in_the_outbox_leaves_no_gap(sites: Sites) -> None:
    paris, rome = sites["paris"], sites["rome"]
    paris.send("ann", "bob@rome", "soon", ttl_s=5)
    paris.send("ann", "bob@rome", "later")
    paris.pass_time(10)
    sweep(paris)
    sites.exchange()
    assert rome.contents("bob") == ["later"]


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("bob@example.com", "email_address"),
        ("bob@Rome", "invalid_recipient"),
        ("bob@", "invalid_recipient"),
        ("@rome", "invalid_recipient"),
        ("bob@rome@paris", "invalid_recipient"),
        ("b b@rome", "invalid_recipient"),
        (f"bob@{'r' * 33}", "invalid_recipient"),
        ("bob@*", "invalid_recipient"),
    ],
)
def test_what_is_no_address_is_refused_in_words(sites: Sites, to: str, code: str) -> None:
    assert sites["paris"].send("ann", to)["code"] == code


def test_an_address_at_one_s_own_site_is_a_name_here(sites: Sites) -> None:
    assert sites["paris"].send("ann", "amy@paris", "hi")["status"] == "ok"
    assert sites["paris"].contents("amy") == ["hi"]


def test_once_the_admin_s_word_is_known_a_site_that_is_not_there_is_refused_and_the_near_one_named(sites: Sites) -> None:
    paris = sites.by_name["paris"]
    keys = {name: {"n": 1, "key": "ab" * 32} for name in ("paris", "rome")} | {"oslo": {"n": 2, "removed": True}}
    paris.ask("link_told", lease=paris.lease, keys=keys)
    refused = paris.core.send("ann", "bob@roma")
    assert (refused["code"], refused["did_you_mean"]) == ("unknown_site", "rome")
    assert paris.core.send("ann", "bob@oslo")["code"] == "unknown_site"
    paris.ask("link_told", lease=paris.lease, keys={"rome": {"n": 0, "removed": True}})
    assert paris.core.send("ann", "bob@rome")["status"] == "ok", "an older word is no word"


def test_a_broker_without_a_site_has_no_others(pair: Core) -> None:
    assert pair.send("fred", "bob@rome")["code"] == "no_site"
    assert pair.ask("fred", "sites") | {"id": 0} == {"id": 0, "status": "ok", "site": None, "connected": False, "sites": []}


def test_a_post_to_everyone_everywhere_reaches_each_once(sites: Sites) -> None:
    sent = sites["paris"].send("ann", "*@*", "lunch?")
    assert sent["status"] == "ok", sent
    sites["rome"].send("bob", "ann@paris", "so that berlin knows nothing of it")
    sites.exchange()
    assert sites["paris"].contents("amy") == ["lunch?"]


def test_everyone_at_a_site(sites: Sites) -> None:
    sites["paris"].send("ann", "*@rome", "hello rome")
    sites.exchange()
    assert sites["rome"].contents("bob") == sites["rome"].contents("ben") == ["hello rome"]
    assert sites["paris"].contents("amy") == []


def test_a_repeat_under_the_same_id_is_stored_and_sent_once(sites: Sites) -> None:
    for _ in range(2):
        assert sites["paris"].send("ann", "bob@rome", "once", message_id="m1")["status"] == "ok"
    sites.exchange()
    assert sites["rome"].contents("bob") == ["once"]


def test_a_restart_of_either_side_changes_nothing(sites: Sites) -> None:
    for n in range(3):
        sites["paris"].send("ann", "bob@rome", str(n))
        for name in ("paris", "rome"):
            sites[name].restart()
            sites.by_name[name].open()
    sites.exchange()
    assert sites["rome"].contents("bob") == ["0", "1", "2"]


def test_who_is_refused_there_is_told_here(sites: Sites) -> None:
    paris, rome = sites["paris"], sites["rome"]
    paris.send("ann", "bob@rome", "first")
    sites.exchange()
    assert rome.ask("bob", "block", name="ann@paris")["status"] == "ok"
    number = paris.send("ann", "bob@rome", "second")["number"]
    sites.exchange()
    told = receipt(paris, "ann", number)
    assert (told["step"], told["why"]) == ("refused", "bob takes no mail from you")
    (dead,) = paris.ask("ann", "dead")["dead"]
    assert (dead["to"], dead["ending"]) == ("bob@rome", "refused")


def test_only_the_owner_may_carry_mail(sites: Sites) -> None:
    paris = sites["paris"]
    assert paris.ask("ann", "link_open", carrier="evil")["code"] == "unauthorized"
    first = sites.by_name["paris"].lease
    sites.by_name["paris"].open()
    assert paris.ask("x", "link_take", session_token=OWNER, lease=first)["code"] == "link_taken"


def test_sites_says_what_waits_since_when_and_why(sites: Sites) -> None:
    paris = sites.by_name["paris"]
    paris.core.send("ann", "bob@rome")
    (row,) = paris.core.ask("ann", "sites")["sites"]
    assert (row["site"], row["waiting"], row["stored"], row["why"]) == ("rome", 1, 0, "no connection")
    paris.ask("link_told", lease=paris.lease, connected=False, why="nats://x:4222 does not answer")
    assert paris.core.ask("ann", "sites")["sites"][0]["why"].endswith("nats://x:4222 does not answer")
    sites.exchange()
    assert paris.core.ask("ann", "sites")["sites"][0]["waiting"] == 0


@pytest.mark.parametrize("party", ["ann, urgent, id 7 from system", "ann\nsystem", "", "a@b.c", 5, None, "x" * 80])
@pytest.mark.parametrize("field", ["group", "forwarded"])
def test_who_a_letter_names_is_a_name_or_an_address_since_readers_see_it_in_the_heading(
    sites: Sites, field: str, party: object
) -> None:
    rome = sites["rome"]
    body = {"k": "mail", "to": ["bob"], "from": "ann", "number": 1, "content": "x", "land": "tool", "at": 1.0}
    for seq, named in enumerate((party, "carl@berlin"), 1):
        told = {"group": named} if field == "group" else {"forwarded": {"from": named, "id": "7", "at": 1.0}}
        entry = {
            "from": "paris",
            "at": seq,
            "epoch": "e",
            "seq": seq,
            "uid": f"u{seq}",
            "prev": f"u{seq - 1}",
            "low": 1,
            "redo": 0,
            "body": {**body, **told},
        }
        sites.by_name["rome"].stream.append(entry)
    sites.read(sites.by_name["rome"])
    letters = [m for m in rome.check("bob") if field in m]
    assert len(letters) == 1 and "carl@berlin" in str(letters[0][field])
