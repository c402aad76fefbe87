"""The port of the JSON door, from its binding to its end.

What became of it stands in ``run/tcp.json``: ``{"pid", "host", "port", "error", "tls", "warning"}``. A port
that something else holds is no reason to die: the door says so there and in its log, and takes the port when it is free.
"""

import errno
import ipaddress
from functools import partial

from bridges.peers import port_holder
from bridges.tcp.connection import TcpConnection
from bridges.tcp.json_requests import JsonUpstream
from bridges.tcp.listener import Listener, bound
from broker.client.aio import AsyncConnection
from broker.home.settings import Settings
from broker.service.door_process import DoorProcess
from broker.service.supervised import collect_seldom


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
            f"binding {host} without TLS is refused: use the door with keys instead (ipc keys, docs/other-machines.md), "
            "or set IPC_TLS_CERT and IPC_TLS_KEY, or IPC_HOST=127.0.0.1"
        )


def cannot_bind(settings: Settings, error: Exception) -> str:
    """Why, for a person."""
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        holder = port_holder(settings.port)
        return f"port {settings.port} is held by {holder}; stop it or set IPC_PORT (port in config.toml)"
    return str(error)


async def bind(door: DoorProcess, upstream: JsonUpstream) -> Listener | None:
    """The listener; waits while the port is taken. None when told to stop before that."""
    settings, log, warning = door.settings, door.log, upstream.admission.warning

    tls = bool(settings.tls_cert or settings.tls_key)

    def attempt() -> Listener:
        check_binding(settings)
        if not tls:
            return Listener(bound(settings.host, settings.port), lambda: TcpConnection(upstream))
        from bridges.tcp.tls import TlsListener, context_of  # with OpenSSL, 2 MB

        context = context_of(settings)
        return TlsListener(bound(settings.host, settings.port), lambda: TcpConnection(upstream), context)

    def say(port: int, error: str | None, *, tls: bool = False, warning: str | None = None) -> None:
        door.say(host=settings.host, port=port, error=error, tls=tls, warning=warning)

    listener = await door.opened(
        attempt, partial(cannot_bind, settings), lambda error: say(settings.port, error), OSError, NotAllowed
    )
    if listener is None:
        return None
    port = listener.sockets[0].getsockname()[1]
    say(port, None, tls=tls, warning=warning)
    log.info("tcp_listening", host=settings.host, port=port, tls=tls)
    if warning:
        log.warning("tcp_users_unknown", detail=warning)
    return listener


async def serve(door: DoorProcess) -> None:
    """Serve the port until told to stop."""
    settings, log = door.settings, door.log
    quick, bulk = (AsyncConnection(settings, autostart=not door.supervised, door="tcp", link="zeromq") for _ in range(2))
    upstream = JsonUpstream(settings, quick, bulk, log)
    listener = await bind(door, upstream)
    collect_seldom()
    await door.stopping.wait()
    if listener is not None:
        listener.close()
    upstream.admission.drop()
    await upstream.finish()
    for lane in (quick, bulk):
        await lane.close()
