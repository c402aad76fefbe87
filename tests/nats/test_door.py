"""Two brokers in two homes, over one real nats-server: what agents send arrives, whatever ends meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.nats.site_services import SiteService, running_sites
from tests.nats.sites import SitesWorld


@pytest.fixture(scope="module")
def world() -> Iterator[SitesWorld]:
    with SitesWorld("paris", "rome") as world:
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
