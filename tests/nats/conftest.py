"""Servers for the tests of the door between sites. All that stands in this folder has the marker ``nats``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nats.servers import NatsServers

HERE = Path(__file__).parent
TIMEOUT_S = 120
"""A cluster on a loaded machine elects its leaders within a minute."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("nats")
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="module")
def shared_server() -> Iterator[NatsServers]:
    """One server without permissions, for a module's tests that do not end it."""
    with NatsServers() as servers:
        yield servers


@pytest.fixture
def server() -> Iterator[NatsServers]:
    """One server of the test's own."""
    with NatsServers() as servers:
        yield servers


@pytest.fixture
def cluster() -> Iterator[NatsServers]:
    """Three servers that are one cluster."""
    with NatsServers(nodes=3) as servers:
        yield servers
