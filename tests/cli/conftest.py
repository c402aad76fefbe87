"""Shells with a service of their own, and shells on the worker's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Service
from tests.shell import Shell


@pytest.fixture
def shell(home: Path) -> Iterator[Shell]:
    shell = Shell(home)
    yield shell
    shell.run("down")


@pytest.fixture
def shared_shell(home: Path, shared: Service) -> Shell:
    """A shell without a name of its own."""
    return Shell(home, shared.home)


@pytest.fixture
def pair(shell: Shell) -> Shell:
    """fred's shell, and claude has registered in it."""
    shell.ok("register", "claude")
    shell.ok("register", "fred")
    return shell


@pytest.fixture
def shared_pair(shared_shell: Shell, tag: str) -> Shell:
    shared_shell.ok("register", f"claude{tag}")
    shared_shell.ok("register", f"fred{tag}")
    return shared_shell
