"""What ends or lies while mail is on its way between two sites: all of it arrives once and in order, or is not believed."""

import base64
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridges.nats import layout
from bridges.nats.envelope import ENTRY, MARK, Identity, packed, sealed
from broker.client.sync import Client
from tests.conftest import wait_for
from tests.nats.site_services import SiteService, running_sites
from tests.nats.sites import SitesWorld, row
from tests.processes import freeze

COUNT = 60


@pytest.fixture(scope="module")
def world() -> Iterator[SitesWorld]:
    with SitesWorld("paris", "rome") as world:
        yield world


@pytest.fixture(scope="module")
def two(world: SitesWorld) -> Iterator[list[SiteService]]:
    with running_sites(world, "paris", "rome", IPC_HEARTBEAT_S="0") as services:
        yield services


def contents(client: Client, count: int) -> list[str]:
    """What a client reads until it has so much."""
    found: list[str] = []

    def more() -> bool:
        mail = client.check(wait=1)
        client.ack(mail)
        found.extend(m.content for m in mail)
        return len(found) >= count

    wait_for(f"{count} messages", more, 60, lambda: f"{len(found)} came: {found[-3:]}")
    assert not client.check()
    return found


def servers_restart(world: SitesWorld, _paris: SiteService, _rome: SiteService) -> None:
    world.servers.kill()
    world.servers.start()


def servers_lose_their_disk(world: SitesWorld, _paris: SiteService, _rome: SiteService) -> None:
    world.servers.kill()
    world.servers.wipe()
    world.servers.start()
    world.servers.wait_ready()
    world.make_streams()


FAULTS: dict[str, Callable[[SitesWorld, SiteService, SiteService], None]] = {
    "their broker is killed": lambda _world, _paris, rome: rome.kill("broker"),
    "our broker is killed": lambda _world, paris, _rome: paris.kill("broker"),
    "their door is killed": lambda _world, _paris, rome: rome.kill("nats"),
    "our door is killed": lambda _world, paris, _rome: paris.kill("nats"),
    "the server is killed": servers_restart,
    "the server loses its disk": servers_lose_their_disk,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_all_mail_arrives_once_and_in_order_although(fault: str, world: SitesWorld, two: list[SiteService], tag: str) -> None:
    paris, rome = two
    ann, bob = paris.connect(f"ann-{tag}"), rome.connect(f"bob-{tag}")
    for number in range(COUNT):
        ann.send(f"bob-{tag}@rome", str(number))
        if number == COUNT // 2:
            FAULTS[fault](world, paris, rome)
    assert contents(bob, COUNT) == [str(number) for number in range(COUNT)]
    wait_for("an empty outbox", lambda: not paris.waits(), 40, paris.describe)


def test_what_a_deleted_stream_held_is_sent_again(world: SitesWorld, two: list[SiteService], tag: str) -> None:
    paris, rome = two
    ann, bob = paris.connect(f"ann-{tag}"), rome.connect(f"bob-{tag}")
    door = rome.pid("nats")
    freeze(door)
    for number in range(COUNT):
        ann.send(f"bob-{tag}@rome", str(number))
    wait_for("all mail in the stream", lambda: paris.sites()["rome"]["stored"] >= COUNT, 20, paris.describe)

    async def remake(client: Any) -> None:
        await client.jetstream(timeout=10).delete_stream(layout.mail_stream(0))
        await world.add_mail_stream(client)

    world.as_admin(remake)
    os.kill(door, signal.SIGCONT)
    assert contents(bob, COUNT) == [str(number) for number in range(COUNT)]


def test_what_another_forged_is_dropped_counted_and_logged(world: SitesWorld, two: list[SiteService], tag: str) -> None:
    """Whoever runs the servers can write anywhere, and so is the strongest who could try."""
    paris, rome = two
    ann, bob = paris.connect(f"ann-{tag}"), rome.connect(f"bob-{tag}")
    subject, stranger = layout.mail_subject("rome", "paris", 1), Identity(os.urandom(32).hex())
    fake = row("rome", 1, "forged", epoch="f" * 12)
    payload = sealed(world.key("rome"), packed(fake, fake["body"]))
    right = Identity(world.seeds["paris"])
    before = dict(rome.door()["dropped"])
    ann.send(f"bob-{tag}@rome", "first")
    assert contents(bob, 1) == ["first"]

    async def forge(client: Any) -> None:
        js = client.jetstream(timeout=10)

        async def entry(to: str, signature: bytes, what: bytes = payload) -> None:
            await js.publish(to, what, headers={"Ipc-Sig": base64.b64encode(signature).decode()})

        await js.publish(subject, payload)
        await entry(subject, stranger.signature(ENTRY, subject, payload))
        await entry(layout.mail_subject("rome", "oslo", 1), right.signature(ENTRY, subject, payload))
        await entry(subject, right.signature(MARK, subject, payload))
        await entry(subject, right.signature(ENTRY, layout.mail_subject("paris", "paris", 1), payload))
        other = sealed(world.key("paris"), packed(fake, fake["body"]))  # to another site
        await entry(subject, right.signature(ENTRY, subject, other), other)
        await js.publish(layout.mark_subject("paris", "rome"), os.urandom(64) + b'{"epoch": "x"}')

    world.as_admin(forge)
    ann.send(f"bob-{tag}@rome", "second")
    assert contents(bob, 1) == ["second"]
    wait_for("the count", lambda: rome.door()["dropped"].get("entry", 0) - before.get("entry", 0) == 6, 20, rome.describe)
    wait_for("the mark's", lambda: paris.door()["dropped"].get("mark", 0) >= 1, 20, paris.describe)
    reasons = [line["reason"] for line in rome.log("nats") if line["event"] == "entry_dropped"]
    assert {"not signed by its site", "not sealed to this site"} <= set(reasons)
    wait_for("an empty outbox", lambda: not paris.waits(), 20, paris.describe)


def test_the_same_entry_again_is_no_second_letter(world: SitesWorld, two: list[SiteService], tag: str) -> None:
    paris, rome = two
    ann, bob = paris.connect(f"ann-{tag}"), rome.connect(f"bob-{tag}")
    ann.send(f"bob-{tag}@rome", "once")
    assert contents(bob, 1) == ["once"]

    async def again(client: Any) -> None:
        js = client.jetstream(timeout=10)
        info = await js.stream_info(layout.mail_stream(0))
        for seq in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            found = await js.get_msg(layout.mail_stream(0), seq)
            headers = {key: value for key, value in (found.headers or {}).items() if key != "Nats-Msg-Id"}
            await js.publish(found.subject, found.data, headers=headers)

    world.as_admin(again)
    ann.send(f"bob-{tag}@rome", "then")
    assert contents(bob, 1) == ["then"]


def test_no_secret_is_in_a_log_or_a_run_file(world: SitesWorld, two: list[SiteService]) -> None:
    for service in two:
        secrets = (world.users[service.site].seed, world.seeds[service.site])
        for path in [*(service.home / "logs").iterdir(), *(service.home / "run").glob("*.json")]:
            text = path.read_text(errors="replace")
            assert not any(secret in text for secret in secrets), path


def test_a_large_body_that_the_servers_lost_is_sent_again(world: SitesWorld, two: list[SiteService], tag: str) -> None:
    paris, rome = two
    ann, bob = paris.connect(f"ann-{tag}"), rome.connect(f"bob-{tag}")
    ann.send(f"bob-{tag}@rome", "before")
    assert contents(bob, 1) == ["before"]
    wait_for("an empty outbox", lambda: not paris.waits(), 20, paris.describe)
    door = rome.pid("nats")
    freeze(door)
    ann.send(f"bob-{tag}@rome", "large " * 100_000)
    wait_for("the entry in the stream", lambda: paris.sites()["rome"]["stored"] >= 1, 20, paris.describe)

    async def lose(client: Any) -> None:
        await client.jetstream(timeout=10).purge_stream(layout.BODIES_STREAM)

    world.as_admin(lose)
    os.kill(door, signal.SIGCONT)
    (mail,) = wait_for("the mail", lambda: bob.check(wait=1), 60, rome.describe)
    assert mail.file["size_bytes"] == 600_000
    assert any(line["reason"] == "whose body is not there" for line in rome.log("nats") if line["event"] == "entry_dropped")
