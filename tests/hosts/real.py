"""A machine with the real hosts, and the tests that need them. bench/hosts/machine.py says how to install the hosts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.hosts.machine import Machine, missing


def needs(*programs: str) -> Any:
    """Skip, and say why, where a host or a tool is not installed."""
    absent = missing(*programs)
    return pytest.mark.skipif(bool(absent), reason=f"not installed: {', '.join(absent)} (see bench/hosts/machine.py)")


@pytest.fixture
def machine(home: Path) -> Iterator[Machine]:
    machine = Machine(home)
    yield machine
    machine.ipc("down")
