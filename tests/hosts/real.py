"""A machine with the real hosts, and the tests that need them. bench/hosts/machine.py says how to install the hosts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.hosts.machine import Machine, missing
from bench.hosts.seen import FEATURES
from bridges.known_hosts.catalogue import about, names
from broker.home.settings import Settings
from tests.prompts import Owner


def needs(*programs: str) -> Any:
    """Skip, and say why, where a host or a tool is not installed."""
    absent = missing(*programs)
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)} (see bench/hosts/machine.py)")


def shows(host: str, *features: str) -> Any:
    """What a host is seen to do if the test passes, in the words of bench/hosts/seen.py."""
    assert host in names() and about(host).evidence == "run" and FEATURES.keys() >= set(features), (host, features)
    return pytest.mark.shows(host, *features)


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    machine = Machine(home)
    yield machine
    machine.ipc("down")


@pytest.fixture
def owner(machine: Machine) -> Iterator[Owner]:
    """The owner of the machine's mail, while the service runs."""
    machine.ipc("up")
    with Owner(Settings.load(env={"IPC_HOME": str(machine.data), "IPC_PORT": "0"})) as owner:
        yield owner
