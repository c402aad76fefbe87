"""Stretches of the simulated world of sites, over both carriers, and the judge's own eyes."""

from pathlib import Path
from typing import Any

import pytest

from broker.core.far_in import FarMail
from broker.core.link_state import Inbound, LinkEntry
from broker.store import SqliteStore
from tests.deep.faults import link_faults, link_simulation
from tests.deep.faults.link_world import World
from tests.deep.faults.model import Wrong

STEPS = 6000
LONG = 25_000
"""Steps of each of the long runs: 40 of them make a million."""


@pytest.fixture(scope="module", params=link_simulation.CARRIERS)
def stretch(request: pytest.FixtureRequest) -> dict[str, Any]:
    return link_simulation.run("stretch", STEPS, request.param)


def test_all_mail_between_sites_arrives_once_and_in_order_or_its_sender_hears_that_it_ended(stretch: dict[str, Any]) -> None:
    assert stretch["problem"] is None
    assert stretch["steps"] >= STEPS
    assert stretch["counts"]["arrived"] > 100


def test_a_short_stretch_meets_most_faults(stretch: dict[str, Any]) -> None:
    rows = link_faults.ALWAYS + (link_faults.OF_A_LOG if stretch["carrier"] == "log" else ())
    often = {fault.__name__.replace("_", " ") for fault, weight in rows if weight > 4}
    assert often <= set(stretch["faults"])


def test_the_same_seed_takes_the_same_steps() -> None:
    first, second = (link_simulation.run("same", 1500, "log") for _ in range(2))
    assert first["problem"] is None
    assert (first["faults"], first["counts"]) == (second["faults"], second["counts"])


def _take_at_once(taker: FarMail, entry: LinkEntry) -> None:
    taker.take(entry.site, entry.uid, entry.body)


def _drop_too_much(store: SqliteStore, site: str, upto: int) -> None:
    store._statements.append(("DELETE FROM outbox WHERE site = ? AND seq <= ?", (site, upto + 1)))


def _remember_nothing(_store: SqliteStore, _mailbox_id: int, _client_id: str) -> None:
    return None


def _behind_another(taker: FarMail, source: Inbound, uid: str, _prev: str, body: dict[str, Any]) -> Inbound:
    taker.take(source.site, uid, body)
    return taker._take_former(taker._put(source._replace(high=source.high + 1, uid=uid)))


@pytest.mark.parametrize(
    ("where", "rule", "broken", "carrier"),
    [
        (FarMail, "_hold", _take_at_once, "log"),
        (SqliteStore, "drop_outbox", _drop_too_much, "direct"),
        (SqliteStore, "find_sent", _remember_nothing, "log"),
        (FarMail, "_take_next", _behind_another, "log"),
    ],
    ids=["out of order", "leaves the outbox too early", "stored twice", "behind another life's"],
)
def test_a_link_that_breaks_a_rule_is_found_out(
    home: Path, monkeypatch: pytest.MonkeyPatch, where: type, rule: str, broken: Any, carrier: str
) -> None:
    world = World("w5", carrier, home)
    world.fault_now = link_faults.draw
    try:
        monkeypatch.setattr(where, rule, broken)
        with pytest.raises((Wrong, LookupError)):
            while world.steps < 40_000:
                world.step()
    finally:
        world.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("carrier", link_simulation.CARRIERS)
@pytest.mark.parametrize("seed", range(20))
def test_a_million_steps(seed: int, carrier: str) -> None:
    found = link_simulation.run(f"long-{seed}", LONG, carrier)
    assert found["problem"] is None
