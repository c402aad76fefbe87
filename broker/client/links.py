"""What the clients need of a link: one connection that carries frames (broker.protocol.frames) to the broker and back."""

from typing import Literal, Protocol

from broker.protocol.errors import IpcError

Way = Literal["unix", "zeromq"]
"""How to reach this machine's broker.

``unix``: its Unix socket, the shorter way. ``zeromq``: its ROUTER. Where ``IPC_ENDPOINT`` or a key file is set, or the broker
has no Unix socket (one of version 0.3), every client uses ZeroMQ.
"""


class Link(Protocol):
    """For the synchronous client."""

    def send(self, frame: bytes) -> None:
        """Send a frame. If the link is lost, the next ``receive`` says so. Raises IpcError ``wrong_server``."""

    def receive(self, timeout_s: float) -> "list[bytes | memoryview]":
        """Frames that have come, waiting for the first; none if nothing came in time or the broker has gone.

        Raises IpcError where the broker refuses this key or has another one.
        """

    def was_lost(self) -> bool:
        """Whether the link broke since the last request. A lost link stays lost."""

    def close(self, linger_ms: int) -> None:
        """End the link. Over ZeroMQ what was sent has up to ``linger_ms`` to get out."""


class LinkOwner(Protocol):
    """Who is told what happens to an asyncio link."""

    def link_brought(self, frame: "bytes | memoryview") -> None:
        """A frame has come; it is valid until this returns."""

    def link_lost(self) -> None:
        """The broker has gone."""

    def link_refused(self, error: IpcError) -> None:
        """The broker refuses this key or has another one; trying again is of no use."""


class AsyncLink(Protocol):
    """For asyncio."""

    def send(self, frame: bytes) -> None:
        """Send a frame."""

    def close(self, linger_ms: int) -> None:
        """End the link, without telling the owner. Over ZeroMQ what was sent has up to ``linger_ms`` to get out."""
