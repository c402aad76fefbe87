"""A broker with a door for other machines, and a machine that has its keys."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.ports import free_port
from tests.remote.machines import Host, Machine


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ipc-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def host(make_service: Callable[..., Service], folder: Path) -> Host:
    host = Host(make_service(IPC_REMOTE=f"tcp://127.0.0.1:{free_port()}").start(), folder)
    host.address()
    return host


@pytest.fixture(scope="session")
def remote_service() -> Iterator[Service]:
    """The worker's service with a door for other machines."""
    home = Path(tempfile.mkdtemp(prefix="ipc-"))
    service = Service(home, IPC_REMOTE=f"tcp://127.0.0.1:{free_port()}").start()
    yield service
    service.stop()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def shared_host(remote_service: Service, folder: Path) -> Iterator[Host]:
    """A host on the worker's service, for tests that neither end nor count what it has; their names end in ``tag``."""
    yield Host(remote_service, folder)
    remote_service.close_clients()


@pytest.fixture
def machine(folder: Path) -> Iterator[Machine]:
    machine = Machine(folder)
    yield machine
    machine.close()
