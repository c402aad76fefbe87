"""``python -m bridges.tcp``: the JSON door, on a TCP port. Usually the supervisor starts it.

What became of the port stands in ``run/tcp.json``: ``{"pid", "host", "port", "error", "tls", "warning"}``. A port
that something else holds is no reason to die: the door says so there and in its log, and takes the port when it is free.
"""

import argparse
import asyncio
import errno
import ipaddress
import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from bridges.tcp.connection import TcpConnection
from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.peer import port_holder
from bridges.tcp.stream import Listener, StreamOwner, bound
from bridges.tcp.tls import TlsListener, context_of
from broker.client.aio import AsyncConnection
from broker.home.data_folder import prepare_home
from broker.home.files import FolderError, write_private
from broker.home.logs import Log, open_log
from broker.home.settings import Settings, SettingsError
from broker.home.watched_files import Ground
from broker.service.supervised import allow_many_files, collect_seldom, die_with_parent, hear_parent_in

_RETRY_BIND_S = 2.0


class NotAllowed(Exception):
    """A binding that would let strangers in."""


def check_binding(settings: Settings) -> None:
    """Only loopback without a shared secret and TLS. Raises NotAllowed."""
    host = settings.host
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if not loopback and not settings.shared_secret:
        raise NotAllowed(f"binding {host} without a shared secret is refused: set IPC_SHARED_SECRET, or IPC_HOST=127.0.0.1")
    if not loopback and not settings.tls_cert:
        raise NotAllowed(
            f"binding {host} without TLS is refused: set IPC_TLS_CERT and IPC_TLS_KEY (README: another machine), "
            "or IPC_HOST=127.0.0.1"
        )


async def bind(
    settings: Settings, upstream: JsonUpstream, log: Log, stopping: asyncio.Event, ground: Ground
) -> Listener | None:
    """The listener; waits while the port is taken. None when told to stop before that."""

    def say(port: int, error: str | None, **more: Any) -> None:
        ground.make(settings.home / "run" / "tcp.json", partial(write_state, settings, port, error, **more), log)

    told = False
    while not stopping.is_set():
        try:
            check_binding(settings)
            context = context_of(settings)
            listener = listen(bound(settings.host, settings.port), lambda: TcpConnection(upstream), context)
        except (OSError, NotAllowed) as e:
            error = str(e)
            if isinstance(e, OSError) and e.errno == errno.EADDRINUSE:
                holder = port_holder(settings.port)
                error = f"port {settings.port} is held by {holder}; stop it or set IPC_PORT (port in config.toml)"
            if not told:
                log.error("tcp_cannot_listen", host=settings.host, port=settings.port, detail=error)
                say(settings.port, error)
                told = True
            try:
                await asyncio.wait_for(stopping.wait(), _RETRY_BIND_S)
            except TimeoutError:
                continue
        else:
            port = listener.sockets[0].getsockname()[1]
            warning = upstream.admission.warning
            say(port, None, tls=context is not None, warning=warning)
            log.info("tcp_listening", host=settings.host, port=port, tls=context is not None)
            if warning:
                log.warning("tcp_users_unknown", detail=warning)
            return listener
    return None


def listen(sockets: list[socket.socket], make_owner: Callable[[], StreamOwner], context: ssl.SSLContext | None) -> Listener:
    return Listener(sockets, make_owner) if context is None else TlsListener(sockets, make_owner, context)


def write_state(settings: Settings, port: int, error: str | None, *, tls: bool = False, warning: str | None = None) -> None:
    state = {"pid": os.getpid(), "host": settings.host, "port": port, "error": error, "tls": tls, "warning": warning}
    write_private(settings.home / "run" / "tcp.json", json.dumps(state))


async def serve(settings: Settings, log: Log, supervised: bool) -> None:
    """Run until SIGTERM, SIGINT or the end of standard input when supervised."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    ground = Ground(settings)
    if supervised:
        hear_parent_in(loop, stopping, partial(ground.tend, log, stopping))
    broker = AsyncConnection(settings, autostart=not supervised, door="tcp", link="zeromq")
    upstream = JsonUpstream(settings, broker, log)
    listener = await bind(settings, upstream, log, stopping, ground)
    collect_seldom()
    await stopping.wait()
    if listener is not None:
        listener.close()
    upstream.admission.drop()
    await upstream.finish()
    await broker.close()
    log.info("tcp_stopped")


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 stopped, 1 can't start."""
    parser = argparse.ArgumentParser(prog="python -m bridges.tcp", description="Run the JSON over TCP door.")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input closes")
    options = parser.parse_args(argv)
    if options.supervised:
        die_with_parent()
    allow_many_files()
    try:
        settings = Settings.load()
        prepare_home(settings)
    except (SettingsError, FolderError) as e:
        print(f"tcp: {e}", file=sys.stderr)
        return 1
    log = open_log("tcp", settings.home / "logs", settings.log_level)
    asyncio.run(serve(settings, log, options.supervised))
    return 0


if __name__ == "__main__":
    sys.exit(main())
