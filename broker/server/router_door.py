"""The ZeroMQ door of the broker, from before anybody has come to it.

Until then its socket is a plain one that listens, and libzmq is not in memory: with pickle and its threads it takes 4 MB, and
most services have no client that speaks ZeroMQ. The first connection has it loaded, and libzmq takes the socket over, with all
that waits at it.

    open -> listening --a connection waits--> Router (broker.server.zeromq), to the end

A TCP endpoint has no such beginning: it is for clients that speak ZeroMQ and nothing else.
"""

import contextlib
import os
import selectors
import socket
from typing import TYPE_CHECKING, Any

from broker.core.state import Route
from broker.home.endpoints import clear_socket
from broker.home.settings import Settings

if TYPE_CHECKING:
    from broker.server.zeromq import Router

_BACKLOG = 1024


class RouterDoor:
    """Registered at the selector with itself as data; ``monitor`` is the data of what tells of connections."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self.monitor = object()
        """Then call ``hear``."""
        self.arrived: list[Route] = []
        """Connections that began since somebody looked, and ``departed``, those that have ended."""
        self.departed: list[Route] = []
        self._selector = selector
        self._listening: socket.socket | None = None
        self._router: Router | None = None
        self._path = ""

    def open(self, settings: Settings, address: str) -> None:
        """Listen, or raise OSError. The caller holds the folder's lock."""
        if address.startswith("ipc://"):
            self._path = address.removeprefix("ipc://")
            self.listen(settings)
        else:
            self._load().bind(address)

    def listen(self, settings: Settings) -> None:
        """Listen at the path, or listen there again after the socket was removed; connections go on."""
        clear_socket(settings, self._path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.setblocking(False)  # libzmq's thread would wait for a connection that has gone
            listening.bind(self._path)
            os.chmod(self._path, 0o600)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
        if self._router is not None:
            self._router.take_over(listening, self._path)
            return
        self._stop_listening()
        self._listening = listening
        self._selector.register(listening, selectors.EVENT_READ, self)

    def begin(self) -> None:
        """Somebody connects, or there is something to read."""
        if self._listening is not None:
            self._selector.unregister(self._listening)
            listening, self._listening = self._listening, None
            self._load().take_over(listening, self._path)

    def _load(self) -> "Router":
        from broker.server.zeromq import Router

        self._router = router = Router()
        self.arrived, self.departed = router.ends.arrived, router.ends.departed
        self._selector.register(router, selectors.EVENT_READ, self)
        self._selector.register(router.ends.monitor, selectors.EVENT_READ, self.monitor)
        return router

    def hear(self) -> None:
        """Take note of connections that began or ended."""
        if self._router is not None:
            self._router.ends.hear()

    def waits(self) -> bool:
        """True if a frame can be read. To be asked before each sleep."""
        return self._router is not None and self._router.waits()

    def read(self) -> tuple[Route, bytes | None] | None:
        """The next message: its connection's route and its frame, None if it has several; None if no message has come."""
        return None if self._router is None else self._router.read()

    def send(self, route: Route, bodies: list[dict[str, Any]]) -> bool:
        """False if the peer has gone or doesn't read."""
        return self._router is not None and self._router.send(route, bodies)

    def close(self) -> None:
        self._stop_listening()
        if self._router is not None:
            self._router.close()
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._selector.unregister(self._listening)
            self._listening.close()
            self._listening = None
