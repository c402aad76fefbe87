"""One service with the listener for a module's tests; their names end in ``tag``."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.answers.listening import Listening


@pytest.fixture(scope="module")
def listening_service() -> Iterator[Listening]:
    service = Listening(Path(tempfile.mkdtemp(prefix="ipc-")))
    yield service.start()
    service.stop()
    shutil.rmtree(service.home, ignore_errors=True)


@pytest.fixture
def listening(listening_service: Listening) -> Iterator[Listening]:
    yield listening_service
    listening_service.close_clients()
