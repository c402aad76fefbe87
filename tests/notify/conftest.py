"""One receiver, and one service that tells it, for all tests here of a worker; their names end in ``tag``."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.notify.receiving import Receiver, Telling, config


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def telling_service(receiver: Receiver) -> Iterator[Telling]:
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Telling(home, config(receiver.url))
    yield service.start()
    service.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def telling(telling_service: Telling) -> Iterator[Telling]:
    yield telling_service
    telling_service.close_clients()
