"""Receipts of mail for another site: the step at which it stopped, and why."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.core.two_sites import BORN, Sites
from tests.core.two_sites import sites as sites
from tests.engine import one


def row_of(sites: Sites, number: str, who: str = "ann", site: str = "paris") -> dict[str, Any]:
    (row,) = sites[site].ask(who, "receipts", ids=[number])["receipts"]
    return dict(row)


def path_of(row: dict[str, Any]) -> str:
    return " ".join(step["step"] for step in row["steps"])


def connect(sites: Sites) -> None:
    sites.connect()


def publish(sites: Sites) -> None:
    sites.publish(sites.by_name["paris"])


def come(sites: Sites) -> None:
    publish(sites)
    sites.read(sites.by_name["rome"])


def read(sites: Sites) -> None:
    come(sites)
    one(sites["rome"], "bob")
    sites.exchange()


def answer(sites: Sites) -> None:
    come(sites)
    letter = one(sites["rome"], "bob")
    sites["rome"].ask("bob", "reply", to_message=letter["id"], message={"content": "yes"})
    sites.exchange()


def refuse(sites: Sites) -> None:
    come(sites)
    (letter,) = sites["rome"].check("bob")
    sites["rome"].ask("bob", "release", ids=[letter["id"]], refuse=True, why="not mine")
    sites.exchange()


def take(sites: Sites) -> None:
    site = sites.by_name["paris"]
    site.ask("link_take", lease=site.lease)


WENT: dict[str, tuple[list[Callable[[Sites], object]], str, str, str]] = {
    "nothing, the link is down": ([lambda s: s.connect(connected=False, why="it is off")], "outbox", "queued", "no connection"),
    "nothing yet": ([connect], "outbox", "queued", "on its way"),
    "the door took it": ([connect, take], "outbox", "queued", "on its way"),
    "the servers have it": ([connect, publish], "outbox stored", "queued", "the servers have it, rome has not taken it yet"),
    "it is there": ([connect, come], "outbox stored at_site", "queued", "at rome, not read yet"),
    "it was read": ([connect, read], "outbox stored at_site in_context", "read", "its program acknowledged it"),
    "it was answered": ([connect, answer], "outbox stored at_site in_context answered", "read", ""),
    "it was refused": ([connect, refuse], "outbox stored at_site refused", "gone", "not mine"),
}


@pytest.mark.parametrize("went", WENT)
def test_a_receipt_says_how_far_it_came_and_why_no_further(sites: Sites, went: str) -> None:
    events, path, state, why = WENT[went]
    number = sites["paris"].send("ann", "bob@rome")["number"]
    for event in events:
        event(sites)
    row = row_of(sites, number)
    assert (path_of(row), row["step"], row["state"]) == (path, path.split()[-1], state)
    assert row.get("why", "").startswith(why)


def test_what_shows_that_it_was_read_there_is_told_here(sites: Sites) -> None:
    number = sites["paris"].send("ann", "bob@rome")["number"]
    come(sites)
    (letter,) = sites["rome"].check("bob")
    sites["rome"].ask("bob", "ack", ids=[letter["id"]], evidence="inferred")
    sites.exchange()
    row = row_of(sites, number)
    assert (row["step"], row["inferred"], row["why"]) == ("in_context", True, "nothing shows that it was lost")


def test_what_was_taken_back_or_ended_in_the_outbox_never_left(sites: Sites) -> None:
    number = sites["paris"].send("ann", "bob@rome")["number"]
    sites["paris"].ask("ann", "withdraw", withdraw_id=number)
    assert path_of(row_of(sites, number)) == "outbox withdrawn"
    sites.exchange()
    assert path_of(row_of(sites, number)) == "outbox withdrawn", "also once its number is there"


def test_a_site_that_is_away_is_said_to_be(sites: Sites) -> None:
    paris = sites.by_name["paris"]
    connect(sites)
    paris.ask("link_told", lease=paris.lease, sites={"rome": {"age_s": 7200.0, "away": True}})
    number = sites["paris"].send("ann", "bob@rome")["number"]
    assert row_of(sites, number)["why"] == "rome has given no sign for 2 h"
    publish(sites)
    assert row_of(sites, number)["why"].endswith("rome has not taken it yet: rome has given no sign for 2 h")


def test_a_letter_to_everyone_at_a_site_says_to_how_many_it_went(sites: Sites) -> None:
    number = sites["paris"].send("ann", "*@rome")["number"]
    assert path_of(row_of(sites, number)) == "outbox"
    sites.exchange()
    row = row_of(sites, number)
    assert (row["step"], row["steps"][-1]["spread"], row["state"]) == ("at_site", 2, "delivered")
    assert row["why"] == "given to 2 at rome; who of them has read it is not told"
    assert sites["paris"].engine.state.mailboxes["*@rome"].queued == 0


def test_a_letter_to_everyone_everywhere_has_a_row_for_each_name_here_and_for_each_site(sites: Sites) -> None:
    sites["paris"].send("ann", "bob@rome")
    sites["paris"].send("ann", "carl@berlin")
    number = sites["paris"].send("ann", "*@*")["number"]
    rows = sites["paris"].ask("ann", "receipts", ids=[number])["receipts"]
    assert [(row["to"], row["step"]) for row in rows] == [("amy", "stored"), ("*@berlin", "outbox"), ("*@rome", "outbox")]


def test_an_answer_counts_for_the_reader_that_was_renamed_before_it_wrote(sites: Sites) -> None:
    number = sites["paris"].send("ann", "bob@rome", "which branch?")["number"]
    come(sites)
    letter = one(sites["rome"], "bob")
    sites["rome"].ask("bob", "rename", new_id="rob")
    sites["rome"].ask("bob", "reply", to_message=letter["id"], message={"content": "main"})
    sites.exchange()
    back = one(sites["paris"], "ann")
    assert (back["from"], back["reply_to"], back["thread"]) == ("rob@rome", number, number)
    assert path_of(row_of(sites, number)) == "outbox stored at_site in_context answered"


def test_a_receipt_of_what_is_on_its_way_costs_the_same_however_much_waits(sites: Sites) -> None:
    """What a send answers looks at no row of the outbox but its own."""
    paris = sites["paris"]
    number = paris.send("ann", "bob@rome")["number"]
    counted: list[str] = []
    paris.store._sql.set_trace_callback(counted.append)
    paris.send("ann", "bob@rome")
    row_of(sites, number)
    paris.store._sql.set_trace_callback(None)
    assert not [sql for sql in counted if "count(*)" in sql and "outbox" in sql]


def test_a_stream_that_was_made_anew_takes_a_letter_back_to_the_outbox(sites: Sites) -> None:
    paris = sites.by_name["paris"]
    connect(sites)
    number = paris.core.send("ann", "bob@rome")["number"]
    publish(sites)
    assert row_of(sites, number)["step"] == "stored"
    paris.ask("link_streams", lease=paris.lease, born={"rome": f"{BORN}2"})
    assert row_of(sites, number)["step"] == "outbox"
