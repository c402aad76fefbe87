"""Two brokers in two homes, over one real nats-server: what agents send arrives, whatever ends meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import wait_for
from tests.nats.site_services import SiteService, running_sites
from tests.nats.sites import SitesWorld


@pytest.fixture(scope="module")
def world() -> Iterator[SitesWorld]:
    with SitesWorld("paris", "rome", "oslo") as world:
        yield world


@pytest.fixture(scope="module")
def two(world: SitesWorld) -> Iterator[list[SiteService]]:
    with running_sites(world, "paris", "rome") as services:
        yield services


def test_mail_an_answer_and_a_large_body_arrive(two: list[SiteService], tag: str) -> None:
    paris, rome = two
    ann, bob = paris.connect(f"ann-{tag}"), rome.connect(f"bob-{tag}")
    large = "é" * 300_000
    ann.send(f"bob-{tag}@rome", "hello")
    ann.send(f"bob-{tag}@rome", large)
    first, second = [*bob.check(wait=20), *bob.check(wait=20)][:2]
    assert (first.sender, first.content) == (f"ann-{tag}@paris", "hello")
    assert second.file is not None and large in Path(second.file["path"]).read_text()
    bob.reply(first, "and good evening")
    answer = ann.check(wait=20)[0]
    assert (answer.sender, answer.content) == (f"bob-{tag}@rome", "and good evening")
    bob.ack()
    ann.ack()
    wait_for("empty outboxes", lambda: not paris.waits() and not rome.waits())


def test_a_site_sees_names_notes_and_claims_of_another_and_when_they_are_gone(two: list[SiteService], tag: str) -> None:
    paris, rome = two
    ann, dora = paris.connect(f"ann-{tag}"), rome.connect(f"dora-{tag}")
    dora.presence("working", note="in a meeting")
    dora.claim(f"/srv/{tag}")

    def seen() -> dict[str, Any] | None:
        rows = ann.request("list", all=True)["instances"]
        return next((row for row in rows if row["id"] == f"dora-{tag}@rome"), None)

    row = wait_for("the note", lambda: (found := seen()) and found.get("note") and found, 40, paris.describe)
    assert (row["site"], row["presence"], row["note"]) == ("rome", "working", "in a meeting")
    dora.unregister()
    wait_for("its end", lambda: seen() is None or seen()["presence"] == "gone", 40, paris.describe)  # type: ignore[index]


def test_a_site_that_is_stopped_counts_as_away_and_mail_for_it_waits(
    world: SitesWorld, two: list[SiteService], tag: str
) -> None:
    paris, _rome = two

    async def add(client: object) -> None:
        await world.put_key(client, "oslo", {"site": "oslo", "sign": world.key("oslo")})

    world.as_admin(add)
    with running_sites(world, "oslo") as (oslo,):
        wait_for("oslo's sign", lambda: "age_s" in paris.sites().get("oslo", {}), 40, paris.describe)
        olaf = oslo.connect(f"olaf-{tag}")
        assert olaf.count()
    wait_for("oslo's end", lambda: paris.sites()["oslo"].get("away"), 40, paris.describe)
    paris.connect(f"ann-{tag}").send(f"olaf-{tag}@oslo", "wait for me")
    row = paris.sites()["oslo"]
    assert row["waiting"] == 1 and row["why"]
