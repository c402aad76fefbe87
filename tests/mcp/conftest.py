"""Agents and hosts that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Service
from tests.mcp.agents import RawHost, opener, project_folder


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def agent(shared: Service, home: Path) -> Callable[..., Any]:
    """``async with agent(f"fred{tag}") as me``: a registered agent, on the worker's service."""
    return opener(shared, home)


@pytest.fixture
def own_agent(service: Service, home: Path) -> Callable[..., Any]:
    """The same on the test's own service."""
    return opener(service, home)


@pytest.fixture
def raw_host(home: Path) -> Iterator[Callable[..., RawHost]]:
    hosts: list[RawHost] = []

    def make(service: Service, project: str = "raw", **env: str) -> RawHost:
        host = RawHost(service, project_folder(home, project), **env)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.process.kill()
        host.process.wait(20)
        for pipe in (host.process.stdin, host.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
