"""The broker's Unix socket: frames or JSON lines, for programs of this machine.

ZeroMQ hands each message from thread to thread, four times on its way to the broker and back. This takes 0.1 ms, as much as
the disk. Here the broker's one thread reads and writes the sockets itself. The first byte of a connection tells its form:
frames are those of ZeroMQ (broker.protocol.frames); JSON lines are for programs that can't afford to load MessagePack.

A client that ends its sending side gets the answers to what it had sent, and then the end of the connection.

Beyond ``_PAUSE_BYTES`` of unread replies the broker reads no more of a peer; its requests stay in its own buffers. Beyond
``_DROP_BYTES`` the connection ends, and also at a large frame where all peers together leave ``_ALL_BYTES`` unread. The
client then connects and asks again, as after a death of the broker.
"""

import contextlib
import errno
import itertools
import os
import selectors
import socket
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import Any

from broker.core.state import Route
from broker.home.endpoints import clear_socket
from broker.home.local_sockets import peer as credentials
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.errors import IpcError
from broker.protocol.json_text import LineSplitter, parse, to_json

_READ_BYTES = 96 * 1024
"""Read from one peer at once. With what waits of a fast peer it stays below the bound of the backlog."""
_PAUSE_BYTES = 1024 * 1024
_DROP_BYTES = 16 * 1024 * 1024
_LARGE_BYTES = 64 * 1024
_ALL_BYTES = 256 * 1024 * 1024
_ACCEPT_AT_ONCE = 64
_NO_RESOURCES_S = 1.0
_LINES = 256
"""Lines that are put together, like a client's frames."""
_LINE_BEGINS = b"{ \t\r\n"
"""The first byte of a connection that speaks JSON lines; a frame's length begins with one of 0 to 4."""
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class FrameCodec:
    """MessagePack frames, each behind its length."""

    def __init__(self) -> None:
        self._cutter = frames.Cutter()

    def feed(self, data: memoryview) -> "Iterable[bytes | memoryview]":
        """The frames that are complete now. Raises FrameError for what can't be read on."""
        return self._cutter.feed(data)

    @staticmethod
    def decode(raw: "bytes | memoryview") -> list[dict[str, Any]]:
        return frames.decode(raw)

    @staticmethod
    def encode(bodies: list[dict[str, Any]]) -> bytes:
        return frames.enclose(frames.encode(bodies))


class LineGroup:
    """Requests of lines that came together, as one frame has them, or what is wrong with one line."""

    __slots__ = ("bodies", "error", "size_bytes")

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.error: IpcError | None = None
        self.size_bytes = 0

    def __len__(self) -> int:
        return self.size_bytes


class LineCodec:
    """JSON objects, one a line. Those that came together are decided like a frame's, which costs half as much."""

    def __init__(self) -> None:
        self._lines = LineSplitter(frames.FRAME_LIMIT_BYTES)

    def feed(self, data: memoryview) -> Iterator[LineGroup]:
        """The lines that are complete now. Raises IpcError for a line over the limit."""
        found = LineGroup()
        for line in self._lines.feed(bytes(data)):
            try:
                body = parse(line)
                if not frames.is_id(body.get("id")):
                    raise IpcError("bad_request", detail=frames.NO_ID.capitalize())
            except IpcError as error:
                yield found
                found = LineGroup()
                found.error = error
                yield found
                found = LineGroup()
                continue
            # in a frame a token or door holds for what comes behind it, and here for its own line alone
            alone = "session_token" not in body or "door" in body
            if found.bodies and (alone or len(found.bodies) == _LINES):
                yield found
                found = LineGroup()
            found.bodies.append(body)
            found.size_bytes += len(line)
            if alone:
                yield found
                found = LineGroup()
        yield found
        self._lines.check()

    @staticmethod
    def decode(raw: LineGroup) -> list[dict[str, Any]]:
        """Raises IpcError ``bad_request``."""
        if raw.error is not None:
            raise raw.error
        return raw.bodies

    @staticmethod
    def encode(bodies: list[dict[str, Any]]) -> bytes:
        return b"".join(to_json(body) + b"\n" for body in bodies)


class SocketPeer:
    """One connection."""

    __slots__ = ("codec", "out", "route", "socket", "watched")

    def __init__(self, route: Route, connected: socket.socket) -> None:
        self.route = route
        self.socket = connected
        self.codec: FrameCodec | LineCodec | None = None
        """None until its first byte has come."""
        self.out = bytearray()
        """Replies and pushes that could not be sent yet."""
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
        self.ending: list[SocketPeer] = []
        """Peers that send no more and may still wait for answers."""
        self.departed: set[Route] = set()
        """Connections that have ended since the loop looked."""
        self.listen_again_s = inf
        """Second of the monotonic clock at which to listen again, after no descriptor was left for a new connection."""

    def open(self, settings: Settings, path: str) -> None:
        """Bind, or raise OSError. The caller holds the folder's lock."""
        clear_socket(settings, path)
        self._listening = listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.setblocking(False)
        listening.bind(path)
        os.chmod(path, 0o600)
        listening.listen(1024)
        link_old_door(path)
        self._selector.register(listening, _READ, self)

    def reopen(self, settings: Settings, path: str) -> None:
        """Bind again, after the socket was removed from its place; connections go on."""
        if self._listening is not None:
            if self.listen_again_s == inf:
                self._selector.unregister(self._listening)
            self.listen_again_s = inf
            self._listening.close()
        self.open(settings, path)

    def close(self) -> None:
        for peer in list(self._peers.values()):
            self.drop(peer)
        if self._listening is not None:
            self._listening.close()

    def __contains__(self, route: Route) -> bool:
        return route in self._peers

    def process_of(self, route: Route) -> int:
        """The process that connected; 0 if unknown."""
        found = self._peers.get(route)
        return credentials(found.socket)[0] if found is not None else 0

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
        self.listen_again_s = inf
        self._selector.register(self._listening, _READ, self)

    def read(self, peer: SocketPeer) -> "Iterable[bytes | memoryview | LineGroup]":
        """The frames or lines that have come; use each before the next. Raises FrameError or IpcError where the stream can't be
        read any further."""
        try:
            count = peer.socket.recv_into(self._buffer)
        except (BlockingIOError, InterruptedError):
            return ()
        except OSError:
            self.drop(peer)
            return ()
        if not count:
            self.ending.append(peer)
            self._watch(peer)
            return ()
        if peer.codec is None:
            peer.codec = codec_of(peer, self._buffer[0])
        return peer.codec.feed(self._view[:count])

    def end(self, is_asking: Callable[[Route], bool]) -> None:
        """Drop peers that send no more, once their requests are answered and the answers sent."""
        for peer in self.ending[:]:
            if not peer.out and not is_asking(peer.route):
                self.drop(peer)

    def send(self, route: Route, bodies: list[dict[str, Any]]) -> bool:
        """False if the peer has gone or doesn't read."""
        peer = self._peers.get(route)
        if peer is None or peer.codec is None:
            return False
        data = peer.codec.encode(bodies)
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
        """Send what waits; the peer can take some."""
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
        wanted = (_WRITE if waiting else 0) | (_READ if waiting < _PAUSE_BYTES and peer not in self.ending else 0)
        if wanted == peer.watched:
            return
        if not wanted:
            self._selector.unregister(peer.socket)
        elif not peer.watched:
            self._selector.register(peer.socket, wanted, peer)
        else:
            self._selector.modify(peer.socket, wanted, peer)
        peer.watched = wanted

    def drop(self, peer: SocketPeer) -> None:
        """End a connection."""
        if self._peers.pop(peer.route, None) is None:
            return
        if peer.watched:
            self._selector.unregister(peer.socket)
        peer.socket.close()
        if peer in self.ending:
            self.ending.remove(peer)
        self.departed.add(peer.route)


def link_old_door(path: str) -> None:
    """Give the socket its second name ``door.sock``: hooks and monitors of 0.3, which still run, speak lines there."""
    link = os.path.join(os.path.dirname(path), "door.sock")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    os.symlink(os.path.basename(path), link)


def codec_of(peer: SocketPeer, first_byte: int) -> FrameCodec | LineCodec:
    """What a connection speaks. Raises IpcError for what is neither."""
    if first_byte in _LINE_BEGINS:
        return LineCodec()
    if chr(first_byte).isprintable() and first_byte < 128:
        peer.codec = LineCodec()  # whoever writes text can read text
        raise IpcError("bad_request", detail="A request is a JSON object and begins with {")
    return FrameCodec()
