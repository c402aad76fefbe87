"""What the door says of itself where it can't do its work, and that it goes on by itself once it can."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridges.nats.site_file import site_path
from tests.conftest import wait_for
from tests.nats.site_services import SiteService, running_sites
from tests.nats.sites import SitesWorld

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def world() -> Iterator[SitesWorld]:
    with SitesWorld("paris", "rome") as world:
        yield world


@pytest.fixture
def paris(world: SitesWorld, home: Path) -> Iterator[SiteService]:
    """A site that is not started yet."""
    service = SiteService(world, "paris", home)
    yield service
    service.stop()


def says(service: SiteService, field: str, *words: str) -> None:
    """Waits until the door says all these words."""
    wait_for(f"{words}", lambda: all(w in (service.door().get(field) or "") for w in words), 40, service.describe)


def test_a_missing_package_is_named_and_its_arrival_noticed(paris: SiteService, tmp_path: Path) -> None:
    missing = tmp_path / "nats.py"
    missing.write_text("raise ModuleNotFoundError('No module named nats', name='nats')")
    paris.env["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{ROOT}"
    paris.start()
    says(paris, "error", "pip install 'agent-ipc[nats]'")
    door = paris.pid("nats")
    missing.unlink()
    paris.connected()
    assert paris.pid("nats") == door


def test_missing_and_foreign_keys_are_named_and_the_right_ones_noticed(paris: SiteService, world: SitesWorld) -> None:
    path = site_path(paris.settings)
    path.unlink()
    paris.start()
    says(paris, "error", "ipc nats join FILE")
    world.file("rome").save(path)
    says(paris, "error", "has the keys of site rome")
    world.file("paris").save(path, replace=True)
    paris.connected()


def test_servers_that_are_away_are_why_mail_waits(paris: SiteService, world: SitesWorld) -> None:
    paris.start().connected()
    world.servers.kill()
    try:
        says(paris, "why", "no nats-server answers at nats://127.0.0.1")
        ann = paris.connect("ann")
        ann.send("bob@rome", "later")
        row = wait_for(
            "words", lambda: "no nats-server answers" in str(paris.sites()["rome"].get("why")) and paris.sites()["rome"]
        )
        assert row["waiting"] == 1 and row["since"]
    finally:
        world.servers.start()
        world.servers.wait_ready()
    paris.connected()
    wait_for("the mail in the stream", lambda: paris.sites()["rome"]["stored"] == 1, 20, paris.describe)


def test_of_two_bridges_with_one_key_one_waits_and_goes_on_when_the_other_ends(world: SitesWorld, paris: SiteService) -> None:
    with running_sites(world, "rome", "paris") as (rome, first):
        bob = rome.connect("berta")
        paris.start()
        says(paris, "why", "another bridge runs the link of site paris", "keeps its outbox")
        paris.connect("carl").send("berta@rome", "from the second")
        first.connect("ann").send("berta@rome", "from the first")
        assert [m.content for m in bob.check(wait=20)] == ["from the first"]
        bob.ack()
        assert paris.waits() == 1
        assert any(line["event"] == "lease_held" for line in paris.log("nats"))
        first.stop()
        paris.connected()
        mail = bob.check(wait=20)
        assert [(m.sender, m.content) for m in mail] == [("carl@paris", "from the second")]
        wait_for("an empty outbox", lambda: not paris.waits(), 20, paris.describe)


def test_mail_for_a_removed_site_does_not_hold_up_the_others(world: SitesWorld, paris: SiteService) -> None:
    async def remove(client: object) -> None:
        await world.put_key(client, "oslo", {"site": "oslo", "sign": world.key("rome"), "removed": True})

    async def add(client: object) -> None:
        await world.put_key(client, "oslo", {"site": "oslo", "sign": world.key("rome")})

    world.as_admin(add)
    with running_sites(world, "rome") as (rome,):
        paris.start().connected()
        ann, bob = paris.connect("ann"), rome.connect("dora")
        wait_for("the key of oslo", lambda: "oslo" in paris.sites())
        world.servers.kill()
        for number in range(20):
            ann.send("x@oslo", str(number))
        world.servers.start()
        world.servers.wait_ready()
        world.as_admin(remove)
        paris.connected()
        ann.send("dora@rome", "through")
        assert [m.content for m in bob.check(wait=20)] == ["through"]
