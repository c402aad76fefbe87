"""What a session says to its host unasked."""

from collections.abc import Awaitable, Callable
from typing import Any

from bridges.mcp.json_rpc import to_line
from bridges.waking import CHANNEL_METHOD

INBOX = "ipc://inbox"
"""The resource that changes when mail comes."""


class Voice:
    """One session's. ``write`` takes lines to the host."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.shaken = False
        """The host shook hands, so it may be sent notifications of any method."""
        self.tell_changed: Callable[[], Awaitable[None]] | None = None
        """Tells a host that asked to be told of the inbox; only the SDK can have been asked."""
        self.missed = False
        """The inbox changed while the SDK was not there."""

    async def inbox_changed(self) -> None:
        if self.tell_changed is None:
            self.missed = True
        else:
            await self.tell_changed()

    def channel(self, text: str, meta: dict[str, str]) -> None:
        """Send a channel's message. A host without channels drops it; the later protocol can't carry it."""
        if self.shaken:
            params: dict[str, Any] = {"content": text, "meta": meta}
            self._write(to_line({"method": CHANNEL_METHOD, "params": params, "jsonrpc": "2.0"}))
