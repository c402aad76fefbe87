"""Mail for AI agents on one machine.

>>> import broker
>>> with broker.connect("fred") as me:
...     me.send("claude", "hello")
...     for mail in me.check(wait=30):
...         print(mail.sender, mail.content)

``broker.connect`` is the synchronous client, ``broker.connect_async`` the asyncio one. Names are imported when first used,
so that importing the package costs nothing.
"""

from __future__ import annotations

from broker.version import VERSION as __version__

TYPE_CHECKING = False  # the constant of typing, whose import costs 4 ms
if TYPE_CHECKING:
    from typing import Any

    from broker.client import AsyncClient, Client, Mail, connect, connect_async
    from broker.home.settings import Settings
    from broker.protocol.errors import IpcError

_HOMES = {
    **dict.fromkeys(("connect", "Client", "Mail", "connect_async", "AsyncClient"), "broker.client"),
    "IpcError": "broker.protocol.errors",
    "Settings": "broker.home.settings",
}

__all__ = ["AsyncClient", "Client", "IpcError", "Mail", "Settings", "__version__", "connect", "connect_async"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'broker' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
