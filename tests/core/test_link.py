"""The rules of the link, where a carrier or a database is not what it was: each rule by the shortest sequence that needs it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.two_sites import BORN, Site, Sites


@pytest.fixture
def sites(home: Path) -> Iterator[Sites]:
    found = Sites(home, "paris", "rome")
    found["paris"].register("ann")
    found["rome"].register("bob")
    yield found
    found.close()


def write(sites: Sites, *texts: str) -> None:
    for text in texts:
        assert sites["paris"].send("ann", "bob@rome", text)["status"] == "ok"


def texts(sites: Sites) -> list[str]:
    """What bob gets, acknowledged."""
    rome = sites["rome"]
    messages = rome.check("bob", limit=1000)
    rome.ask("bob", "ack", ids=[m["id"] for m in messages])
    return [m["message"]["content"] for m in messages]


def mark(sites: Sites) -> dict[str, Any]:
    """What rome owes paris."""
    rome = sites.by_name["rome"]
    marks: dict[str, dict[str, Any]] = rome.ask("link_open", carrier="look")["marks"]
    rome.open()
    return marks["paris"]


def tell(sites: Sites, **changed: Any) -> list[str]:
    """Give paris a mark of rome; the sites for which it began another epoch."""
    paris = sites.by_name["paris"]
    told = {"cursor": 0, "born": BORN, "held": None, **changed}
    renewed: list[str] = paris.ask("link_marks", lease=paris.lease, marks={"rome": told})["renewed"]
    return renewed


def back_up(site: Site) -> list[bytes]:
    site.core.store.close()
    kept = [(site.core.home / "ipc.db").read_bytes()]
    site.core.open()
    site.open()
    return kept


def set_back(site: Site, kept: list[bytes]) -> None:
    """As where somebody copied the file."""
    site.core.store.close()
    for name in ("ipc.db-wal", "ipc.db-shm"):
        (site.core.home / name).unlink(missing_ok=True)
    (site.core.home / "ipc.db").write_bytes(kept[0])
    site.core.open()
    site.open()


def test_entries_that_overtake_are_held_and_taken_in_order(sites: Sites) -> None:
    write(sites, "1", "2", "3")
    sites.publish(sites.by_name["paris"])
    stream = sites.by_name["rome"].stream
    stream.insert(0, stream.pop())
    sites.exchange()
    assert texts(sites) == ["1", "2", "3"]


def test_an_entry_that_comes_twice_is_taken_once(sites: Sites) -> None:
    write(sites, "1", "2")
    sites.publish(sites.by_name["paris"])
    stream = sites.by_name["rome"].stream
    stream += stream[:]
    sites.exchange()
    assert texts(sites) == ["1", "2"]


def test_what_is_missing_though_the_receiver_has_read_past_it_is_published_again(sites: Sites) -> None:
    write(sites, "1", "2", "3")
    paris, rome = sites.by_name["paris"], sites.by_name["rome"]
    sites.publish(paris)
    lost = rome.stream[1]
    rome.stream[1] = {**rome.stream[0]}
    sites.exchange()
    assert texts(sites) == ["1", "2", "3"]
    again = [entry for entry in rome.stream if entry["uid"] == lost["uid"]]
    assert len(again) == 1


def test_a_stream_that_is_made_anew_gets_what_it_held_again(sites: Sites) -> None:
    write(sites, "1", "2")
    paris, rome = sites.by_name["paris"], sites.by_name["rome"]
    sites.publish(paris)
    rome.stream.clear()
    assert paris.ask("link_streams", lease=paris.lease, born={"rome": "another day"})["again"] == 2
    sites.exchange()
    assert texts(sites) == ["1", "2"]


def test_the_end_of_a_stream_that_is_lost_is_published_again(sites: Sites) -> None:
    write(sites, "1", "2", "3")
    paris, rome = sites.by_name["paris"], sites.by_name["rome"]
    sites.publish(paris)
    del rome.stream[1:]
    assert paris.ask("link_streams", lease=paris.lease, born={"rome": [BORN, 1]})["again"] == 2
    sites.exchange()
    assert texts(sites) == ["1", "2", "3"]


def test_a_sender_that_was_set_back_and_gives_the_same_numbers_again_loses_nothing(sites: Sites) -> None:
    write(sites, "1")
    sites.exchange()
    kept = back_up(sites.by_name["paris"])
    write(sites, "2", "3")
    sites.exchange()
    set_back(sites.by_name["paris"], kept)
    write(sites, "2'", "3'", "4'")
    sites.exchange()
    assert texts(sites) == ["1", "2", "3", "2'", "3'", "4'"]


def test_a_sender_that_was_set_back_while_nobody_read_loses_nothing(sites: Sites) -> None:
    write(sites, "1")
    sites.exchange()
    kept = back_up(sites.by_name["paris"])
    write(sites, "2", "3")
    sites.publish(sites.by_name["paris"])
    set_back(sites.by_name["paris"], kept)
    write(sites, "2'", "3'", "4'", "5'")
    sites.exchange()
    assert texts(sites) == ["1", "2", "3", "2'", "3'", "4'", "5'"]


def test_a_receiver_that_was_set_back_reads_its_stream_again(sites: Sites) -> None:
    write(sites, "1")
    sites.exchange()
    assert texts(sites) == ["1"]
    kept = back_up(sites.by_name["rome"])
    write(sites, "2", "3")
    sites.exchange()
    set_back(sites.by_name["rome"], kept)
    sites.exchange()
    assert texts(sites) == ["2", "3"]


def test_a_receiver_that_was_set_back_goes_on_where_the_stream_has_forgotten_it(sites: Sites) -> None:
    write(sites, "1")
    sites.exchange()
    kept = back_up(sites.by_name["rome"])
    write(sites, "2", "3")
    sites.exchange()
    set_back(sites.by_name["rome"], kept)
    rome = sites.by_name["rome"]
    rome.stream[1:3] = [{**rome.stream[0]}, {**rome.stream[0]}]
    write(sites, "4")
    sites.exchange()
    assert texts(sites) == ["1", "4"]
    write(sites, "5")
    sites.exchange()
    assert texts(sites) == ["5"]


@pytest.mark.parametrize(
    ("changed", "renews"),
    [
        ({}, False),
        ({"uid": "another"}, True),
        ({"high": 1, "uid": "another"}, False),
        ({"high": 3}, True),
        ({"held": 4}, True),
        ({"epoch": "0000"}, False),
        ({"epoch": "0009ffffffff"}, True),
        ({"epoch": "ffffffffffff"}, False),
        ({"epoch": "zzzz"}, False),
    ],
)
def test_a_mark_that_does_not_fit_begins_another_epoch(sites: Sites, changed: dict[str, Any], renews: bool) -> None:
    write(sites, "1", "2")
    sites.exchange()
    own = mark(sites)
    assert own["high"] == 2
    assert (tell(sites, **{**own, **changed}) == ["rome"]) is renews
    write(sites, "3")
    sites.exchange()
    assert texts(sites) == ["1", "2", "3"]


def test_what_a_door_took_and_did_not_speak_of_is_taken_by_the_next_one(sites: Sites) -> None:
    write(sites, "1", "2")
    paris = sites.by_name["paris"]
    assert len(paris.ask("link_take", lease=paris.lease)["rows"]) == 2
    assert paris.ask("link_take", lease=paris.lease)["rows"] == []
    first = paris.lease
    paris.core.restart()
    paris.open()
    assert paris.lease != first
    sites.exchange()
    assert texts(sites) == ["1", "2"]


def test_word_of_rows_of_a_former_epoch_counts_for_nothing(sites: Sites) -> None:
    write(sites, "1")
    paris = sites.by_name["paris"]
    (row,) = paris.ask("link_take", lease=paris.lease)["rows"]
    assert tell(sites, epoch="0009ffffffff", high=0, uid="") == ["rome"]
    told = paris.ask("link_sent", lease=paris.lease, to="rome", epoch=row["epoch"], born=BORN, acked=[[1, 7]])
    assert told["noted"] == 0
    sites.exchange()
    assert texts(sites) == ["1"]


def test_an_entry_that_makes_no_sense_stops_nothing_behind_it(sites: Sites) -> None:
    write(sites, "1")
    sites.publish(sites.by_name["paris"])
    rome = sites.by_name["rome"]
    rome.stream.insert(0, {"from": "paris", "epoch": "x" * 99, "seq": 1, "uid": 5, "body": None})
    sites.exchange()
    assert texts(sites) == ["1"]


def test_a_restored_database_with_missing_rows_is_numbered_anew(sites: Sites) -> None:
    write(sites, "1", "2", "3")
    paris = sites.by_name["paris"]
    paris.core.store._write_now(("DELETE FROM outbox WHERE seq = ?", [(2,)]))
    paris.core.restart()
    paris.open()
    sites.exchange()
    assert texts(sites) == ["1", "3"]


def test_beyond_the_window_nothing_is_published_until_a_mark_comes(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.core.link.WINDOW", 3)
    write(sites, *"12345")
    assert sites.publish(sites.by_name["paris"]) == 3
    sites.exchange()
    assert texts(sites) == [*"12345"]
