"""What a site may sign and send, of any form: nothing of it raises, stops what is behind it, or touches what is not its own."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.two_sites import Sites
from tests.core.two_sites import sites as sites
from tests.engine import one

MAIL: dict[str, Any] = {
    "k": "mail",
    "to": ["bob"],
    "from": "eve",
    "number": 1,
    "content": "hello",
    "data": {"a": [1]},
    "land": "tool",
    "at": 1_800_000_000.0,
    "ttl_s": 60,
    "reply_to": {"site": "rome", "uid": "000000000001-5"},
    "thread": {"site": "paris", "uid": "1-2", "name": "eve"},
    "question": {"deadline_s": 30},
    "forwarded": {"from": "carl@berlin", "id": "7", "at": 1.0},
    "hops": 1,
    "group": "devs",
    "person": True,
}
BODIES: list[dict[str, Any]] = [
    MAIL,
    {"k": "gone"},
    {"k": "read", "uid": "000000000001-5", "to": "eve", "evidence": "hook"},
    {"k": "ended", "uid": "000000000001-5", "to": "eve", "ending": "dead", "why": "x"},
    {"k": "spread", "uid": "000000000001-5", "to": "*", "count": 3},
    {"k": "away", "uid": "000000000001-5", "to": "eve", "nobody": True},
    {"k": "join", "group": "devs", "name": "eve"},
    {"k": "leave", "group": "devs", "name": "eve"},
    {"k": "not_joined", "group": "devs", "name": "bob", "why": "full"},
]
VALUES: list[Any] = [
    *(None, True, 0, -1, 2**63, 2**64 - 1, -(2**63), 1.5, math.nan, math.inf, -math.inf),
    *("", "x", "x" * 300, "x\ny\x00", "ü", "*", "*@*", "system", "bob@berlin", "٣", "-", "0x1-1", "\ud800", b"bytes"),
    *([], [None], ["x"] * 1001, [[]], [{}], [b""], [[[[[]]]]]),
    *({}, {"site": 1}, {"site": "paris"}, {"site": "paris", "uid": []}, {"from": 1}, {"deadline_s": "soon"}, {1: 2}),
]


def wrong_in_one_field() -> list[dict[str, Any]]:
    found = []
    for body in BODIES:
        for field in body:
            found += [{**body, field: value} for value in VALUES]
            found.append({name: value for name, value in body.items() if name != field})
    return found


def is_unharmed(sites: Sites, letters: list[str]) -> None:
    """What follows arrives, in order; nothing was a fault of ours."""
    sites.exchange()
    assert not sites["rome"].engine.state.link.held.get("paris")
    assert sites["paris"].engine.state.link.outbound["rome"].high == sites["paris"].engine.state.link.outbound["rome"].assigned
    got: list[str] = []
    while found := sites["rome"].check("bob", limit=100):
        sites["rome"].ask("bob", "ack", ids=[m["id"] for m in found])
        got += [m["message"]["content"] for m in found if m["message"]["content"] in letters]
    assert got == letters


def test_a_wrong_type_in_any_field_stops_nothing_that_is_behind_it(sites: Sites) -> None:
    sites["rome"].ask("bob", "group_create", group="devs")
    sites["rome"].send("bob", "eve@paris", "number 1")
    bodies = wrong_in_one_field()
    sites.say("paris", "rome", *bodies)
    sites["paris"].send("ann", "bob@rome", "behind it")
    is_unharmed(sites, ["behind it"])
    assert len(bodies) > 800
    assert sites["rome"].engine.state.link.dropped > 300
    for core in (sites["rome"], sites["paris"]):
        assert core.ask("bob" if core is sites["rome"] else "ann", "list", all=True)["status"] == "ok"
        assert core.ask("bob" if core is sites["rome"] else "ann", "history")["status"] == "ok"
    sites["rome"].restart()


PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=90) | st.sampled_from(VALUES)
)
ANY = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3))
FIELDS = sorted({field for body in BODIES for field in body} | {"site", "uid", "name", "deadline_s"})


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    base = draw(st.sampled_from(BODIES))
    return {**base, **draw(st.dictionaries(st.sampled_from(FIELDS), ANY, max_size=4))}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = Sites(tmp_path_factory.mktemp("kept"), "paris", "rome")
    found["paris"].register("ann")
    found["rome"].register("bob")
    found["rome"].ask("bob", "group_create", group="devs")
    yield found
    found.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(some=st.lists(bodies(), min_size=1, max_size=8))
def test_no_body_whatever_raises_or_stops_what_is_behind_it(kept: Sites, some: list[dict[str, Any]]) -> None:
    kept.say("paris", "rome", *some)
    kept["paris"].pass_time(61)
    kept["paris"].send("ann", "bob@rome", "behind it")
    is_unharmed(kept, ["behind it"])


def test_what_was_dropped_had_done_nothing(sites: Sites) -> None:
    """A letter whose last field is wrong leaves no mailbox, no word and no file behind."""
    rome = sites["rome"].engine.state
    before = (set(rome.mailboxes), dict(rome.link.outbound), rome.last_message_id)
    sites.say("paris", "rome", {**MAIL, "to": ["unborn"], "land": "shout"}, {**MAIL, "thread": {"site": 5}})
    sites.exchange()
    assert (set(rome.mailboxes), dict(rome.link.outbound), rome.last_message_id) == before


def test_names_without_end_make_a_bounded_number_of_mailboxes_also_after_a_restart(sites: Sites) -> None:
    sites.set("rome", IPC_UNCLAIMED_LIMIT="200", IPC_NAME_LIMIT="40")
    for _ in range(2):
        plain = {"k": "mail", "content": "x", "at": 1.0, "land": "tool"}
        sites.say("paris", "rome", *({**plain, "from": f"eve{n % 100}", "to": [f"nobody{n}"]} for n in range(300)))
        sites.exchange()
        rome = sites["rome"].engine.state
        assert sum(not m.claimed and not m.site for m in rome.mailboxes.values()) == 20
        assert rome.link.boxes["paris"] <= 41
        sites.set("rome")


def test_the_memory_of_uids_is_what_they_store(sites: Sites) -> None:
    sites.say("paris", "rome", *({"k": "read", "uid": f"{n:012x}-{n}", "to": f"eve{n}"} for n in range(500)))
    sites.exchange()
    rome = sites["rome"].engine.state
    assert (rome.last_message_id, len(rome.mailboxes)) == (0, 2)


def test_a_site_that_takes_nothing_is_owed_a_bounded_number_of_words(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.core.far_word._MOST_WORDS", 10)
    plain = {"k": "mail", "content": "x", "at": 1.0, "land": "tool", "from": "eve"}
    sites.say("paris", "rome", *({**plain, "to": [f"b@d {n}"]} for n in range(30)))
    sites.publish(sites.by_name["paris"])
    sites.read(sites.by_name["rome"])
    assert sites["rome"].engine.state.link.outbound["paris"].assigned == 10
    sites["rome"].send("bob", "ann@paris", "a letter goes all the same")
    sites.exchange()
    assert sites["paris"].contents("ann") == ["a letter goes all the same"]


# what is another's


@pytest.fixture
def letter(sites: Sites) -> str:
    """Bob of rome wrote to Carl of berlin, and to Ben. It is what paris meddles with."""
    number: str = sites["rome"].ask("bob", "ask", to_id="carl@berlin", message={"content": "go?"})["number"]
    sites["rome"].send("bob", "eve@paris", "so that paris has a name here")
    sites.exchange()
    return number


def uid_of(sites: Sites, number: str) -> str:
    return next(str(e["uid"]) for e in sites.by_name["berlin"].stream if e["body"].get("number") == int(number))


@pytest.mark.parametrize("to", ["carl", "eve", "bob", "*"])
@pytest.mark.parametrize("kind", ["read", "ended", "spread", "away"])
def test_a_site_says_nothing_of_mail_that_was_not_for_it(sites: Sites, letter: str, kind: str, to: str) -> None:
    word = {"k": kind, "uid": uid_of(sites, letter), "to": to, "ending": "dead", "why": "because", "count": 1}
    sites.say("paris", "rome", word)
    sites.exchange()
    (row,) = sites["rome"].ask("bob", "receipts", ids=[letter])["receipts"]
    assert row["step"] == "at_site" and "spread" not in row["steps"][-1]
    assert sites["rome"].engine.state.mailboxes["carl@berlin"].queued == 1
    assert [m["from"] for m in sites["rome"].check("bob")] == []


def test_a_site_answers_no_question_that_was_not_for_it(sites: Sites, letter: str) -> None:
    plain = {"k": "mail", "content": "yes", "at": 1.0, "land": "tool", "from": "eve", "to": ["bob"]}
    sites.say("paris", "rome", {**plain, "reply_to": {"site": "rome", "uid": uid_of(sites, letter)}})
    sites.exchange()
    got = one(sites["rome"], "bob")
    assert "reply_to" not in got and "thread" not in got
    assert [q["state"] for q in sites["rome"].ask("bob", "asks")["asks"]] == ["open"]


def test_a_site_writes_and_joins_for_its_own_names_alone(sites: Sites) -> None:
    sites["rome"].ask("bob", "group_create", group="devs")
    plain = {"k": "mail", "content": "x", "at": 1.0, "land": "tool", "to": ["bob"]}
    names = ("carl@berlin", "bob@rome", "system", "System", "webhook-ci", "*@berlin")
    sites.say("paris", "rome", *({**plain, "from": name} for name in names))
    sites.say("paris", "rome", *({"k": "join", "group": "devs", "name": name} for name in names))
    sites.say("paris", "rome", {"k": "leave", "group": "devs", "name": "bob"})
    sites.exchange()
    assert sites["rome"].check("bob") == []
    (group,) = sites["rome"].ask("bob", "groups")["groups"]
    assert [name for name in group["members"] if not name.endswith("@paris")] == ["bob"]


def test_nobody_passes_mail_through_a_site_to_a_third(sites: Sites) -> None:
    plain = {"k": "mail", "content": "x", "at": 1.0, "land": "tool", "from": "eve"}
    sites.say("paris", "rome", {**plain, "to": ["carl@berlin"]}, {**plain, "to": ["*@berlin"]}, {**plain, "to": ["*@*"]})
    sites.exchange()
    assert sites["berlin"].check("carl") == []


def test_the_log_is_told_once_a_batch_of_what_makes_no_sense(sites: Sites) -> None:
    sites.say("paris", "rome", *({"k": "what"} for _ in range(50)))
    sites.exchange()
    assert len([e for e in sites["rome"].events if e.name == "link_entry_refused"]) == 1
    assert sites["rome"].engine.state.link.dropped == 50


def test_a_letter_that_goes_round_among_groups_of_sites_comes_to_an_end(sites: Sites) -> None:
    """Each of three groups has the next one as a member, as a site may say that it joined."""
    for site, name in (("paris", "ann"), ("rome", "bob"), ("berlin", "carl")):
        sites[site].ask(name, "group_create", group="ring")
    for member, home in (("paris", "rome"), ("berlin", "paris"), ("rome", "berlin")):
        sites.say(member, home, {"k": "join", "group": "ring", "name": "ring"})
    sites.exchange()
    sites["rome"].send("bob", "ring", "round")
    sites.exchange()
    assert 0 < len(sites["paris"].check("ann", limit=100)) < 20
