"""Groups with members at several sites: the site where a group was made knows who is in it."""

from typing import Any

import pytest

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites
from tests.engine import DAY, HOUR, one


@pytest.fixture
def devs(sites: Sites) -> Sites:
    """A group at rome with Bob and Ben of rome, Ann of paris and Carl of berlin."""
    sites["rome"].ask("bob", "group_create", group="devs")
    sites["rome"].ask("ben", "group_join", group="devs")
    sites["paris"].ask("ann", "group_join", group="devs@rome")
    sites["berlin"].ask("carl", "group_join", group="devs@rome")
    sites.exchange()
    return sites


def members(sites: Sites) -> list[str]:
    (group,) = sites["rome"].ask("bob", "groups")["groups"]
    return sorted(group["members"])


def texts(sites: Sites, *who: str) -> dict[str, list[str]]:
    """What each of ``name@site`` has got and not read before."""
    found = {}
    for address in who:
        name, _, site = address.partition("@")
        letters = sites[site].check(name)
        sites[site].ask(name, "ack", ids=[m["id"] for m in letters])
        found[address] = [m["message"]["content"] for m in letters]
    return found


EVERYONE = ("bob@rome", "ben@rome", "ann@paris", "amy@paris", "carl@berlin")


def test_joining_is_asked_of_the_home_site_whose_list_shows_who_is_in(sites: Sites) -> None:
    sites["rome"].ask("bob", "group_create", group="devs")
    asked = sites["paris"].ask("ann", "group_join", group="devs@rome")
    assert asked["message"] == "Asked rome to let you join devs; you are told if there is no such group"
    sites.exchange()
    assert members(sites) == ["ann@paris", "bob"]
    sites["paris"].ask("ann", "group_leave", group="devs@rome")
    sites.exchange()
    assert members(sites) == ["bob"]
    assert texts(sites, "ann@paris") == {"ann@paris": []}


@pytest.mark.parametrize("writer", EVERYONE)
def test_a_post_of_whomever_goes_to_each_member_once_and_once_to_each_site(devs: Sites, writer: str) -> None:
    name, _, site = writer.partition("@")
    devs["paris"].ask("amy", "group_join", group="devs@rome")
    devs.exchange()
    before = [len(devs.by_name[one].stream) for one in ("paris", "berlin")]
    devs[site].send(name, "devs" if site == "rome" else "devs@rome", "lunch?")
    devs.exchange()
    assert texts(devs, *EVERYONE) == {one: [] if one == writer else ["lunch?"] for one in EVERYONE}
    sent = [
        [e["body"] for e in devs.by_name[one].stream[old:] if e["body"]["k"] == "mail"]
        for one, old in zip(("paris", "berlin"), before, strict=True)
    ]
    assert [len(bodies) for bodies in sent] == [1, 0 if site == "berlin" else 1]


def test_members_elsewhere_see_the_group_and_who_wrote(devs: Sites) -> None:
    devs["berlin"].send("carl", "devs@rome", "lunch?")
    devs["rome"].send("bob", "devs", "at one")
    devs.exchange()
    from_home, passed_on = sorted(devs["paris"].check("ann"), key=lambda m: "forwarded" in m)
    assert (passed_on["from"], passed_on["forwarded"]["from"]) == ("devs@rome", "carl@berlin")
    assert (from_home["from"], from_home["group"]) == ("bob@rome", "devs@rome")


def test_an_answer_goes_to_who_wrote_and_not_to_the_group(devs: Sites) -> None:
    devs["berlin"].send("carl", "devs@rome", "lunch?")
    devs.exchange()
    letter = one(devs["paris"], "ann")
    answer = devs["paris"].ask("ann", "reply", to_message=letter["id"], message={"content": "yes"})
    assert answer["to"] == "carl@berlin"
    devs.exchange()
    assert texts(devs, "carl@berlin", "bob@rome") == {"carl@berlin": ["yes"], "bob@rome": ["lunch?"]}


def test_an_answer_to_one_s_own_site_goes_by_its_broker_alone(devs: Sites) -> None:
    devs["paris"].ask("amy", "group_join", group="devs@rome")
    devs["paris"].send("ann", "devs@rome", "lunch?")
    devs.exchange()
    letter = one(devs["paris"], "amy")
    assert devs["paris"].ask("amy", "reply", to_message=letter["id"], message={"content": "yes"})["to"] == "ann"
    assert texts(devs, "ann@paris") == {"ann@paris": ["yes"]}


def test_a_group_that_is_not_there_is_told_to_who_asked(sites: Sites) -> None:
    sites["paris"].ask("ann", "group_join", group="dves@rome")
    sites.exchange()
    notice = one(sites["paris"], "ann")
    assert notice["from"] == "system"
    assert notice["message"]["content"].startswith("You did not join dves@rome: there is no such group at rome.")


def test_who_is_in_as_many_groups_as_a_site_allows_is_told_so(sites: Sites) -> None:
    sites.set("rome", IPC_GROUP_LIMIT="10")
    for n, name in enumerate(("bob", "ben")):
        sites["rome"].ask(name, "group_create", group=f"g{n}")
        sites["paris"].ask("ann", "group_join", group=f"g{n}@rome")
    sites.exchange()
    assert "as many groups at rome as it allows" in one(sites["paris"], "ann")["message"]["content"]


def test_the_last_one_out_ends_a_group_wherever_it_is(sites: Sites) -> None:
    sites["rome"].ask("bob", "group_create", group="devs")
    sites["paris"].ask("ann", "group_join", group="devs@rome")
    sites.exchange()
    sites["rome"].ask("bob", "group_leave", group="devs")
    assert "devs" in sites["rome"].engine.state.groups
    sites["paris"].ask("ann", "group_leave", group="devs@rome")
    sites.exchange()
    assert sites["rome"].ask("bob", "groups")["groups"] == []


def test_a_member_that_is_renamed_stays_one_by_the_next_post(devs: Sites) -> None:
    devs["paris"].ask("ann", "rename", new_id="anna")
    devs.tokens_follow("paris", "ann", "anna")
    devs["rome"].send("bob", "devs", "lunch?")
    devs.exchange()
    assert texts(devs, "anna@paris")["anna@paris"] == ["lunch?"]
    assert members(devs) == ["anna@paris", "ben", "bob", "carl@berlin"]


def test_a_far_member_that_reads_stays_in_and_one_that_is_silent_too_long_leaves(devs: Sites) -> None:
    for site in ("paris", "rome", "berlin"):
        devs.set(site, IPC_SESSION_TIMEOUT=str(10 * DAY), IPC_READ_TTL=str(DAY))
    for _ in range(12):
        devs["rome"].send("bob", "devs", "stand-up")
        devs["rome"].check("ben")
        devs.exchange()
        for site, name in (("paris", "ann"), ("berlin", "carl"), ("rome", "ben"), ("rome", "bob")):
            found = devs[site].check(name)
            if name != "carl":
                devs[site].ask(name, "ack", ids=[m["id"] for m in found])
        devs.exchange()
        devs.pass_time(DAY)
    assert "ann@paris" in members(devs)


def test_a_swept_mailbox_is_in_no_group(sites: Sites) -> None:
    sites.set("rome", IPC_SESSION_TIMEOUT=str(10 * DAY), IPC_READ_TTL=str(DAY))
    sites["rome"].ask("bob", "group_create", group="devs")
    sites["paris"].ask("ann", "group_join", group="devs@rome")
    sites.exchange()
    for _ in range(11):
        sites["rome"].check("bob")
        sites.pass_time(DAY)
    assert members(sites) == ["bob"]
    assert "ann@paris" not in sites["rome"].engine.state.mailboxes


def test_a_group_is_made_at_its_home_alone(sites: Sites) -> None:
    refused = sites["paris"].ask("ann", "group_create", group="devs@rome")
    assert (refused["code"], "have somebody at rome make devs" in str(refused)) == ("bad_request", True)
    assert sites["paris"].ask("ann", "group_create", group="devs@paris")["message"] == "Created group devs"
    assert sites["paris"].ask("amy", "group_join", group="devs@paris")["message"] == "Joined devs"


@pytest.mark.parametrize(
    ("group", "code"), [("*@rome", "bad_request"), ("devs@x.org", "email_address"), ("d d@rome", "invalid_recipient")]
)
def test_what_is_no_group_of_a_site_is_refused(sites: Sites, group: str, code: str) -> None:
    assert sites["paris"].ask("ann", "group_join", group=group)["code"] == code


def test_a_question_to_a_group_elsewhere_is_refused_there_in_words(devs: Sites) -> None:
    asked: dict[str, Any] = devs["paris"].ask("ann", "ask", to_id="devs@rome", message={"content": "lunch?"})
    devs.exchange()
    (row,) = devs["paris"].ask("ann", "receipts", ids=[asked["number"]])["receipts"]
    assert (row["step"], "ask takes one name, and devs are several" in row["why"]) == ("refused", True)
    assert texts(devs, "bob@rome") == {"bob@rome": []}


def test_a_post_says_to_how_many_it_went_there(devs: Sites) -> None:
    number = devs["paris"].send("ann", "devs@rome", "lunch?")["number"]
    devs.exchange()
    (row,) = devs["paris"].ask("ann", "receipts", ids=[number])["receipts"]
    assert (row["step"], row["steps"][-1]["spread"]) == ("at_site", 3)
    post = devs["rome"].send("bob", "devs", "at one")["number"]
    devs.exchange()
    one(devs["paris"], "ann")
    devs.exchange()
    rows = devs["rome"].ask("bob", "receipts", ids=[post])["receipts"]
    assert {row["to"]: row["step"] for row in rows} == {"ben": "stored", "ann@paris": "in_context", "carl@berlin": "at_site"}


def test_what_a_far_writer_s_post_became_at_each_far_member_is_known_at_its_home(devs: Sites) -> None:
    devs["berlin"].send("carl", "devs@rome", "lunch?")
    devs.exchange()
    assert devs["rome"].engine.state.mailboxes["ann@paris"].queued == 1
    one(devs["paris"], "ann")
    devs.exchange()
    assert devs["rome"].engine.state.mailboxes["ann@paris"].queued == 0


def test_a_thread_of_several_sites_stays_one(devs: Sites) -> None:
    first = devs["paris"].send("ann", "devs@rome", "which branch?")["number"]
    devs.exchange()
    letter = one(devs["rome"], "bob")
    devs["rome"].ask("bob", "reply", to_message=letter["id"], message={"content": "main"})
    devs["rome"].send("bob", "carl@berlin", "you too", thread=letter["id"])
    devs.exchange()
    assert one(devs["paris"], "ann")["thread"] == first
    shown = devs["berlin"].check("carl")
    assert shown[1]["thread"] == shown[0]["id"], "what the group's home passed on began it here"
    devs.pass_time(HOUR)
