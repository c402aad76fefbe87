"""What nats-servers say of themselves before anybody logs in: version and name at their port, syncing at their monitor."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

PORT, MONITOR_PORT = 4222, 8222
_ANSWER_S = 3.0
_MOST_NODES = 64
_UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, HTTPException)
"""What a monitor that is away, or no nats-server, raises."""


@dataclass(frozen=True, slots=True)
class Node:
    """One nats-server, by what it tells everybody."""

    url: str
    id: str
    name: str
    version: str
    open: bool
    """True if it lets in whoever comes."""
    jetstream: bool
    others: tuple[str, ...]
    """Addresses of its cluster, HOST:PORT."""


async def probe(servers: tuple[str, ...]) -> tuple[list[Node], dict[str, str]]:
    """(the nodes that answer: those of ``servers`` and of their cluster; of ``servers`` that do not: why not)."""
    nodes: dict[str, Node] = {}
    silent: dict[str, str] = {}
    asked: set[str] = set()
    waiting = list(dict.fromkeys(servers))
    while waiting:
        asked.update(waiting)
        answers = await asyncio.gather(*map(_ask, waiting))
        silent.update({url: why for url, why in zip(waiting, answers, strict=True) if isinstance(why, str) and url in servers})
        found = [node for node in answers if isinstance(node, Node)]
        for node in found:
            nodes.setdefault(node.id, node)
        waiting = list({f"nats://{one}" for node in found for one in node.others} - asked)[: _MOST_NODES - len(asked)]
    return sorted(nodes.values(), key=lambda node: node.name), silent


async def _ask(url: str) -> Node | str:
    """The node at an address, or why there is none."""
    host, port = address_of(url)
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _ANSWER_S)
    except TimeoutError:
        return "does not answer"
    except OSError as e:
        return os.strerror(e.errno) if e.errno and e.errno > 0 else e.strerror or str(e)
    try:
        line = await asyncio.wait_for(reader.readline(), _ANSWER_S)
    except TimeoutError:
        return "does not say what it is (a server that starts with TLS can't be looked at; let it offer TLS after its INFO)"
    except (OSError, ValueError) as e:
        return str(e)
    finally:
        writer.close()
    return _node(url, line)


def _node(url: str, line: bytes) -> Node | str:
    try:
        if not line.startswith(b"INFO "):
            raise ValueError("another protocol")
        told = json.loads(line[5:])
        return Node(
            url=url,
            id=str(told["server_id"]),
            name=str(told["server_name"]),
            version=str(told["version"]),
            open=not told.get("auth_required"),
            jetstream=bool(told.get("jetstream")),
            others=tuple(map(str, told.get("connect_urls") or ())),
        )
    except _UNREADABLE:
        return "is no nats-server"


def address_of(url: str) -> tuple[str, int]:
    found = urlsplit(url)
    return found.hostname or "", found.port or PORT


def is_here(url: str) -> bool:
    """True for an address that no other machine can reach."""
    host = address_of(url)[0]
    return host in ("localhost", "::1") or host.startswith("127.")


def guessed_monitors(servers: tuple[str, ...]) -> list[str]:
    """Where the monitors of servers are, if they are at their usual port; also on this machine, since most listen there alone.

    A monitor says which server it is of.
    """
    hosts = dict.fromkeys([*(address_of(url)[0] for url in servers), "127.0.0.1"])
    return [f"http://{f'[{host}]' if ':' in host else host}:{MONITOR_PORT}" for host in hosts]


def is_monitor(url: str) -> bool:
    found = urlsplit(url)
    return found.scheme in ("http", "https") and bool(found.hostname)


async def syncing(monitors: list[str]) -> dict[str, bool]:
    """By server id: True if it syncs each message to the disk. Those whose monitor does not answer are left out."""
    found = await asyncio.gather(*(asyncio.to_thread(_varz, url) for url in monitors))
    return dict(row for row in found if row is not None)


def _varz(monitor: str) -> tuple[str, bool] | None:
    try:
        with urllib.request.urlopen(f"{monitor.rstrip('/')}/varz", timeout=_ANSWER_S) as answer:  # noqa: S310 (is_monitor)
            told: dict[str, Any] = json.load(answer)
        return str(told["server_id"]), told["jetstream"]["config"].get("sync_always") is True
    except _UNREADABLE:
        return None
