"""How programs reach the broker: ``connect`` and ``connect_async``, over its Unix socket or over ZeroMQ.

Names are imported when first used: ``json_lines``, for programs that live for one request, must not load the rest.
"""

from __future__ import annotations

TYPE_CHECKING = False  # the constant of typing, whose import costs 4 ms
if TYPE_CHECKING:
    from typing import Any

    from broker.client.aio import AsyncClient, connect_async
    from broker.client.mail import Mail
    from broker.client.sync import Client, connect

HOMES = {
    "connect": "broker.client.sync",
    "Client": "broker.client.sync",
    "Mail": "broker.client.mail",
    "connect_async": "broker.client.aio",
    "AsyncClient": "broker.client.aio",
}
"""Names and the modules that hold them."""

__all__ = ["AsyncClient", "Client", "Mail", "connect", "connect_async"]


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(HOMES[name]), name)
