"""The process of the second listener: its address, its server, its connection to the broker.

It binds what ``answers`` says and nothing unless that is set. What became of it stands in ``run/answers.json``:
``{"pid", "host", "port", "error"}``. An address that is held, or a fault in ``[webhooks]``, is tried again each 2 s.
"""

import errno
import importlib.util
import socket
from typing import NamedTuple

from bridges.answers.webhook_settings import Webhook, read_webhooks
from broker.client.aio import AsyncConnection
from broker.home.settings import Settings
from broker.protocol.errors import SettingsError
from broker.service.door_process import DoorProcess

PACKAGES = ("starlette", "uvicorn")
CONNECTIONS = 64
"""With a body of 1 MiB each at most 64 MiB."""
_BACKLOG = 128


class Opened(NamedTuple):
    """What the process needs before it serves."""

    bound: socket.socket
    webhooks: dict[str, Webhook]


def address_of(settings: Settings) -> tuple[str, int]:
    """(host, port) of ``answers``."""
    host, _, port = settings.answers.rpartition(":")
    return host.strip("[]"), int(port)


def open_listener(settings: Settings) -> Opened:
    """Bind the address and read the sources. Raises OSError, SettingsError with words."""
    missing = next((name for name in PACKAGES if importlib.util.find_spec(name) is None), "")
    if missing:
        raise SettingsError(f"the package {missing} is missing. Type: pip install 'agent-ipc[web]'")
    webhooks = read_webhooks(str(settings.home))
    host, port = address_of(settings)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("" if host == "*" else host, port))
        bound.listen(_BACKLOG)
    except (OSError, OverflowError):
        bound.close()
        raise
    return Opened(bound, webhooks)


def _cannot_listen(settings: Settings, error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return f"{settings.answers} is held by another program; stop it or change answers"
    return f"{settings.answers}: {error.strerror}" if isinstance(error, OSError) and error.strerror else str(error)


async def serve(process: DoorProcess) -> None:
    """Serve the address until told to stop."""
    settings = process.settings
    host, given = address_of(settings)

    def say(error: str | None, port: int = given) -> None:
        process.say(host=host, port=port, error=error)

    failures = OSError, OverflowError, SettingsError
    opened = await process.opened(
        lambda: open_listener(settings), lambda error: _cannot_listen(settings, error), say, *failures
    )
    if opened is None:
        return
    from bridges.answers.answering import Answering
    from bridges.answers.listener import AnswersListener, hosts_of
    from bridges.answers.webhooks_in import WebhooksIn
    from bridges.http_server import HttpServer

    broker = AsyncConnection(settings, autostart=not process.supervised, door="answers")
    listener = AnswersListener(
        hosts_of(settings.web_hosts),
        Answering(settings, broker),
        opened.webhooks,
        WebhooksIn(settings, broker, process.log),
        process.log,
    )
    port = opened.bound.getsockname()[1]
    say(None, port)
    process.log.info("answers_listening", host=host, port=port, sources=sorted(opened.webhooks))
    try:
        await HttpServer(listener, process.stopping, CONNECTIONS).serve([opened.bound])
    finally:
        await broker.close()
