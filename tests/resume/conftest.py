"""One service that starts closed agents again, for all tests here of a worker. Each test has a name of its own."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.resume.closed_agents import ClosedAgents

NAMES = ("web", "wild", "later", "quiet-one", "slow", "first", "second", "taken", "unread", "ending", "cleared", "faulty")


@pytest.fixture(scope="session")
def agents_service() -> Iterator[ClosedAgents]:
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home)
    names = ", ".join(f'"{name}"' for name in NAMES)
    yield ClosedAgents(service, f'names = [{names}]\nfrom = ["person", "bob"]\nper_day = 4').start()
    service.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def agents(agents_service: ClosedAgents) -> ClosedAgents:
    return agents_service
