"""The page's process: its port, its server, its connection to the broker.

It binds 127.0.0.1 and ::1, never anything else. What became of it stands in ``run/web.json``: ``{"pid", "port", "error"}``. A
port that something else holds is tried again each 2 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from bridges.peers import Peers, port_holder
from bridges.tasks import end_tasks
from broker.client.aio import AsyncConnection
from broker.home.files import owner_key
from broker.protocol.errors import SettingsError

if TYPE_CHECKING:
    from broker.home.settings import Settings
    from broker.service.door_process import DoorProcess

MISSING = "the package {name} is missing. Type: pip install 'agent-ipc[web]'"
PACKAGES = ("starlette", "uvicorn", "jinja2", "prometheus_client", "markdown_it", "nh3")
_BLIND = "this system does not tell which user connects to a port, so the page is not served here"
_BACKLOG = 128


def missing_package() -> str:
    """The first package of the extra that is not installed; empty if all are."""
    import importlib
    import importlib.util

    importlib.invalidate_caches()
    return next((name for name in PACKAGES if importlib.util.find_spec(name) is None), "")


def listening(settings: Settings) -> list[socket.socket]:
    """Sockets bound to this machine's loopback addresses, on one port. Raises OSError, SettingsError with words."""
    if name := missing_package():
        raise SettingsError(MISSING.format(name=name))
    peers = Peers()
    peers.close()
    if not peers.knows:
        raise SettingsError(_BLIND)
    first = _bound(socket.AF_INET, "127.0.0.1", settings.web_port)
    found = [first]
    with contextlib.suppress(OSError):  # a machine without IPv6, or another process has the port there
        found.append(_bound(socket.AF_INET6, "::1", first.getsockname()[1]))
    return found


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((host, port))
        one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def _cannot_listen(settings: Settings, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        holder = port_holder(settings.web_port)
        return f"port {settings.web_port} is held by {holder}; stop it or set IPC_WEB_PORT (web_port in config.toml)"
    return str(error)


async def serve(
    process: DoorProcess,
    opened: Callable[[int], None] = lambda _port: None,
    failed: Callable[[str], None] = lambda _error: None,
) -> None:
    """Serve the page until told to stop. ``opened`` gets its port, ``failed`` why it has none yet."""
    settings = process.settings

    def say(port: int, error: str | None) -> None:
        process.say(port=port, error=error)

    def tell(error: str) -> None:
        say(settings.web_port, error)
        failed(error)

    sockets = await process.opened(
        lambda: listening(settings),
        lambda error: _cannot_listen(settings, error),
        tell,
        OSError,
        SettingsError,
    )
    if sockets is None:
        return
    from bridges.web.app import Page
    from bridges.web.http_server import PageServer
    from bridges.web.samples import keep_sampling

    port = sockets[0].getsockname()[1]
    broker = AsyncConnection(settings, autostart=not process.supervised, door="web")
    page = Page(settings, port, broker, owner_key(settings.home), process.log)
    server = PageServer(page.guard, process.stopping, page.feed.close)
    feeding = [asyncio.ensure_future(page.feed.run()), asyncio.ensure_future(keep_sampling(page.samples, page.ask))]
    say(port, None)
    process.log.info("web_listening", port=port)
    opened(port)
    try:
        await server.serve(sockets)
    finally:
        await end_tasks(feeding)
        await broker.close()
