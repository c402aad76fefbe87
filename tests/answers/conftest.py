"""One service with page and listener for all tests here of a worker; their names end in ``tag``."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answers.listening import Listening


@pytest.fixture(scope="session")
def listening_service() -> Iterator[Listening]:
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Listening(home, IPC_WEB="true", IPC_WEB_PORT="0", IPC_MAILBOX_LIMIT="30")
    yield service.start()
    service.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def listening(listening_service: Listening) -> Iterator[Listening]:
    yield listening_service
    listening_service.close_clients()
