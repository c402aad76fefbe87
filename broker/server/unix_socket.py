"""The stream door of the broker: frames over a Unix socket, for programs of this machine.

ZeroMQ hands each message from thread to thread, four times on its way to the broker and back: 0.1 ms, as much as the disk
takes. Here the broker's one thread reads and writes the sockets itself. The frames are the same (broker.protocol.frames).

A peer that doesn't read what it is sent is not read any more from ``_PAUSE_BYTES`` on, which leaves its requests in its own
buffers. It is dropped at ``_DROP_BYTES``, and by a large frame where ``_ALL_BYTES`` of all peers wait: then it comes back and
asks again, as after a death of the broker.
"""

import errno
import itertools
import os
import selectors
import socket
from collections.abc import Iterator

from broker.core.state import Route
from broker.home.files import clear_socket
from broker.home.settings import Settings
from broker.protocol import frames

_READ_BYTES = 96 * 1024
"""At once from one peer: what is read of a fast one, beside what waits of it, stays below the bound of the backlog."""
_PAUSE_BYTES = 1024 * 1024
_DROP_BYTES = 16 * 1024 * 1024
_LARGE_BYTES = 64 * 1024
_ALL_BYTES = 256 * 1024 * 1024
_ACCEPT_AT_ONCE = 64
_NO_RESOURCES_S = 1.0
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class SocketPeer:
    """One connection."""

    __slots__ = ("cutter", "out", "route", "socket", "watched")

    def __init__(self, route: Route, connected: socket.socket) -> None:
        self.route = route
        self.socket = connected
        self.cutter = frames.Cutter()
        self.out = bytearray()
        """What could not be sent yet."""
        self.watched = _READ


class StreamDoor:
    """A listening socket and its connections, watched by the loop's selector."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._listening: socket.socket | None = None
        self._peers: dict[Route, SocketPeer] = {}
        self._numbers = itertools.count(1)
        self._buffer = bytearray(_READ_BYTES)
        self._view = memoryview(self._buffer)
        self.departed: set[Route] = set()
        """Connections that have ended since the loop looked."""
        self.listen_again_s: float | None = None
        """When to listen again (monotonic clock), after no descriptor was left for a new connection."""

    def open(self, settings: Settings, path: str) -> None:
        """Bind, or raise OSError. The caller holds the folder's lock."""
        clear_socket(settings, path)
        self._listening = listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.setblocking(False)
        listening.bind(path)
        os.chmod(path, 0o600)
        listening.listen(1024)
        self._selector.register(listening, _READ, self)

    def reopen(self, settings: Settings, path: str) -> None:
        """Bind again, after the socket was removed from its place; connections go on."""
        if self._listening is not None:
            if self.listen_again_s is None:
                self._selector.unregister(self._listening)
            self.listen_again_s = None
            self._listening.close()
        self.open(settings, path)

    def close(self) -> None:
        for peer in list(self._peers.values()):
            self.drop(peer)
        if self._listening is not None:
            self._listening.close()

    def __contains__(self, route: Route) -> bool:
        return route in self._peers

    def is_full(self, route: Route) -> bool:
        """True if a peer should read before more of its requests are run."""
        peer = self._peers.get(route)
        return peer is not None and len(peer.out) >= _PAUSE_BYTES

    def accept(self, now_s: float) -> Iterator[Route]:
        """Take new connections."""
        assert self._listening is not None
        for _ in range(_ACCEPT_AT_ONCE):
            try:
                connected, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as e:
                if e.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self._selector.unregister(self._listening)  # or it would be ready again at once
                self.listen_again_s = now_s + _NO_RESOURCES_S
                return
            connected.setblocking(False)
            # libzmq makes routes of five bytes, and clients may choose none that begin with zero
            route = b"\0unix" + next(self._numbers).to_bytes(8, "big")
            peer = self._peers[route] = SocketPeer(route, connected)
            self._selector.register(connected, _READ, peer)
            yield route

    def listen_again(self) -> None:
        assert self._listening is not None
        self.listen_again_s = None
        self._selector.register(self._listening, _READ, self)

    def read(self, peer: SocketPeer) -> "Iterator[bytes | memoryview]":
        """The frames that have come, to be used before the next one is read. Raises FrameError for what can't be read on."""
        try:
            count = peer.socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return iter(())
        except OSError:
            count = 0
        if not count:
            self.drop(peer)
            return iter(())
        return iter(peer.cutter.feed(self._view[:count]))

    def send(self, route: Route, frame: bytes) -> bool:
        """False if the peer has gone or doesn't read."""
        peer = self._peers.get(route)
        if peer is None:
            return False
        data = frames.enclose(frame)
        if not peer.out:
            try:
                sent = peer.socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                self.drop(peer)
                return False
            if sent == len(data):
                return True
            data = data[sent:]
        if len(peer.out) > _DROP_BYTES or (len(data) >= _LARGE_BYTES and self._unread() + len(data) > _ALL_BYTES):
            self.drop(peer)
            return False
        peer.out += data
        self._watch(peer)
        return True

    def _unread(self) -> int:
        return sum(len(peer.out) for peer in self._peers.values())

    def flush(self, peer: SocketPeer) -> None:
        """Send on what waits, now that the peer reads."""
        try:
            sent = peer.socket.send(peer.out)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.drop(peer)
            return
        del peer.out[:sent]
        self._watch(peer)

    def _watch(self, peer: SocketPeer) -> None:
        """Wait for what can be done with a peer."""
        waiting = len(peer.out)
        wanted = (_WRITE if waiting else 0) | (_READ if waiting < _PAUSE_BYTES else 0)
        if wanted != peer.watched:
            peer.watched = wanted
            self._selector.modify(peer.socket, wanted, peer)

    def drop(self, peer: SocketPeer) -> None:
        """End a connection."""
        if self._peers.pop(peer.route, None) is None:
            return
        self._selector.unregister(peer.socket)
        peer.socket.close()
        self.departed.add(peer.route)
