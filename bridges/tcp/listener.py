"""Listening sockets of the door, and the addresses that they are bound to."""

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable

from bridges.tcp.stream import Stream, StreamOwner

_ACCEPT_AT_ONCE = 64
"""Connections accepted in one turn of the loop. Those that are open want to be served, too."""
_NO_RESOURCES_S = 1.0
"""Until the next try to accept, after no descriptor or memory was left."""


class Listener:
    """Listening sockets whose connections become streams."""

    def __init__(self, sockets: list[socket.socket], make_owner: Callable[[], StreamOwner], backlog: int = 1024) -> None:
        self.sockets = sockets
        self._make_owner = make_owner
        self._loop = asyncio.get_running_loop()
        for listening in sockets:
            listening.setblocking(False)
            listening.listen(backlog)
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def close(self) -> None:
        for listening in self.sockets:
            if listening.fileno() >= 0:
                self._loop.remove_reader(listening.fileno())
                listening.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                connected, _address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as e:
                if e.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._loop.remove_reader(listening.fileno())  # or it would be ready again at once
                self._loop.call_later(_NO_RESOURCES_S, self._listen_again, listening)
                return
            connected.setblocking(False)
            self.begin(connected)

    def begin(self, connected: socket.socket) -> None:
        """Serve a new connection."""
        Stream(self._loop, connected, self._make_owner()).start()

    def _listen_again(self, listening: socket.socket) -> None:
        if listening.fileno() >= 0:
            self._loop.add_reader(listening.fileno(), self._accept, listening)


def bound(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to all addresses of a host name, on one port. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = [(family, address) for family, _kind, _protocol, _name, address in found]
    if host == "localhost" and _has_ipv6_loopback():  # many machines' host tables lack it
        addresses.append((socket.AF_INET6, ("::1", port, 0, 0)))
    sockets: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys(addresses):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((address[0], port, *address[2:]))
            port = one.getsockname()[1]
    except OSError:
        for one in sockets:
            one.close()
        raise
    return sockets


def _has_ipv6_loopback() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
        one.bind(("::1", 0))
        return True
    return False
