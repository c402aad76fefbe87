"""A site that the admin removed stays removed, whatever is written to the servers again."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridges.nats.layout import KEYS, bucket_stream, bucket_subject
from broker.client.sync import Client
from broker.protocol.errors import IpcError
from tests.conftest import wait_for
from tests.nats.site_services import SiteService, running_sites
from tests.nats.sites import SitesWorld

ROME = bucket_subject(KEYS, "rome")
REMOVED = "of a site that was removed"


@pytest.fixture(scope="module")
def world() -> Iterator[SitesWorld]:
    with SitesWorld("paris", "rome") as world:
        yield world


def dropped(service: SiteService, kind: str) -> list[str]:
    """Why the door dropped what it dropped, so far."""
    return [line["reason"] for line in service.log("nats") if line["event"] == f"{kind}_dropped"]


def are_dropped(service: SiteService, count: int) -> bool:
    """Whether so many entries were dropped, all for the removal. Its sender offers them again and again."""
    reasons = dropped(service, "entry")
    return len(reasons) >= count and set(reasons) == {REMOVED}


def is_refused(client: Client) -> bool:
    """Whether nobody can write to rome from here."""
    try:
        client.send("bob@rome", "x")
    except IpcError as e:
        return e.code == "unknown_site"
    return False


def test_an_old_entry_brings_no_removed_site_back_not_even_over_a_restart(world: SitesWorld) -> None:
    async def entry(client: Any) -> bytes:
        return bytes((await client.jetstream().get_last_msg(bucket_stream(KEYS), ROME)).data)

    async def remove(client: Any) -> None:
        await world.put_key(client, "rome", {"site": "rome", "sign": world.key("rome"), "removed": True})

    async def write(client: Any, value: bytes) -> None:
        await client.jetstream().publish(ROME, value)

    with running_sites(world, "paris", "rome") as (paris, rome):
        ann, bob = paris.connect("ann"), rome.connect("bob")
        bob.send("ann@paris", "while it is a site")
        assert [m.content for m in ann.check(wait=20)] == ["while it is a site"]
        ann.ack()
        old = world.as_admin(entry)
        world.as_admin(remove)
        wait_for("its removal", lambda: is_refused(ann), 20, paris.describe)
        world.as_admin(write, old)
        wait_for("the replay", lambda: set(dropped(paris, "key")) == {"replayed"}, 20, paris.describe)

        bob.send("ann@paris", "removed")
        wait_for("its mail", lambda: are_dropped(paris, 1), 40, paris.describe)
        paris.stop()
        before = len(dropped(paris, "entry"))
        paris.start().connected()
        bob.send("ann@paris", "still removed")
        wait_for("its mail", lambda: are_dropped(paris, before + 2), 40, paris.describe)
        ann = paris.connect("ann")
        assert is_refused(ann)
        assert ann.check() == []
