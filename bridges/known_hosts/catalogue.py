"""Which hosts we know: a folder here each, with ``host.toml``, ``hooks.py`` and ``setup.py``."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from bridges.known_hosts.host_facts import HostFacts

HERE = os.path.dirname(os.path.abspath(__file__))


def names() -> list[str]:
    """The hosts, by the names of their folders."""
    return sorted(entry for entry in os.listdir(HERE) if os.path.exists(os.path.join(HERE, entry, "host.toml")))


def hooks_of(name: str) -> ModuleType:
    """What the host's events are to us, and the forms of the answers. Raises ValueError for a host that we don't know."""
    return _module(name, "hooks")


def setup_of(name: str) -> ModuleType:
    """What is put into the host. Raises ValueError for a host that we don't know."""
    return _module(name, "setup")


def about(name: str) -> HostFacts:
    """The facts of ``host.toml``. Slow: not for hooks."""
    from bridges.known_hosts.host_facts import read

    return read(os.path.join(HERE, name, "host.toml"))


def title(name: str) -> str:
    """The host's own name, such as ``Claude Code``; of a host that we don't know the given one."""
    return about(name).title if name in names() else name


def of_client(client: str) -> str:
    """The host that names itself so as an MCP client; empty if we know none. Quick: it parses no TOML."""
    for name in names():
        with open(os.path.join(HERE, name, "host.toml"), encoding="utf-8") as f:
            begin = next((line.partition('"')[2].partition('"')[0] for line in f if line.startswith("client = ")), "")
        if begin and client.lower().startswith(begin):
            return name
    return ""


def _module(name: str, part: str) -> ModuleType:
    if not name.isidentifier() or name not in names():
        raise ValueError(f"{name} is no host that we know: {', '.join(names())}")
    module = f"bridges.known_hosts.{name}.{part}"
    __import__(module)  # importlib takes 1 ms to import itself
    return sys.modules[module]
