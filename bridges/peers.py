"""The OS user at the other end of a TCP connection of this machine, what has arrived there, and who holds a port.

On Linux the kernel tells the user: by a query for the one socket (sock_diag(7)), or by the tables in /proc where a sandbox
forbids netlink. Other systems do not tell.

The kernel lists a closed socket as root's, so only a socket that its process still holds counts. Our own end is looked at last:
while it is connected, nobody else can have a connection between the same two addresses.
"""

import contextlib
import errno
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

Verdict = Literal["ours", "foreign", "unknown"]
_SYN_SENT, _SYN_RECV, _TIME_WAIT, _CLOSE, _LISTEN, _NEW_SYN_RECV = 2, 3, 6, 7, 10, 12  # include/net/tcp_states.h
_NOT_CONNECTED = frozenset({_SYN_SENT, _SYN_RECV, _TIME_WAIT, _CLOSE, _LISTEN, _NEW_SYN_RECV})
_MAPPED = bytes(10) + b"\xff\xff"
"""First bytes of an IPv4 address that is written as an IPv6 address."""
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
"""nlmsghdr: length, type, flags, sequence, port."""
_QUERY = struct.Struct("=BBBxI2s2s16s16sIQ")
"""inet_diag_req_v2: family, protocol, ext, states; then the socket: ports, addresses, interface, cookie."""
_FOUND = struct.Struct("=BBBB2s2s16s16sIQIIIII")
"""inet_diag_msg: family, state, timer, retransmissions; the socket; expires, queues, uid, inode."""
_ANY_COOKIE = 2**64 - 1
_ANSWER_BYTES = 8192
_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPALIVE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}
"""Seconds of silence, seconds between questions, questions without an answer; milliseconds that what we sent may lie unread."""


class PeerProcess(NamedTuple):
    """The OS user at the other end. ``ours`` is the service's own user, or root, who may act for anyone."""

    verdict: Verdict
    uid: int | None = None


UNKNOWN = PeerProcess("unknown")


def _of(uid: int) -> PeerProcess:
    return PeerProcess("ours" if uid in (os.getuid(), 0) else "foreign", uid)


class End(NamedTuple):
    """One end's address in one family."""

    family: int
    address: bytes
    port: int

    def as_listed(self) -> str:
        """The form in the tables of /proc: 32-bit words in the machine's byte order, and the port."""
        words = struct.unpack(f"={len(self.address) // 4}I", self.address)
        return "".join(f"{word:08X}" for word in words) + f":{self.port:04X}"


def _ends(address: tuple[str, int]) -> list[End]:
    """The forms in which the kernel may keep an address. An IPv4 address may belong to an IPv6 socket."""
    host, port = address[0].partition("%")[0], address[1]
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
    if packed.startswith(_MAPPED) and len(packed) == 16:
        packed = packed[12:]
    if len(packed) == 16:
        return [End(socket.AF_INET6, packed, port)]
    return [End(socket.AF_INET, packed, port), End(socket.AF_INET6, _MAPPED + packed, port)]


class Peers:
    """Tells who is at the other end of a TCP connection of this machine. ``knows`` is False where nothing tells."""

    def __init__(self) -> None:
        self._netlink: socket.socket | None = None
        self._sequence = 0
        self.knows = False
        if sys.platform == "linux":
            with contextlib.suppress(OSError):
                self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG)
                self._netlink.setblocking(False)
            if self._netlink is not None and not self._knows_ourselves():
                self.close()  # a kernel without the part that answers
            self.knows = self._knows_ourselves()

    def close(self) -> None:
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def __call__(self, connected: socket.socket) -> PeerProcess:
        """The user at the other end now. A client that has left is unknown; nothing is raised."""
        try:
            theirs, ours = _ends(connected.getpeername()[:2]), _ends(connected.getsockname()[:2])
            uid = self._asked(theirs, ours) if self._netlink is not None else _listed(theirs, ours)
            return UNKNOWN if uid is None or _is_closed(connected) else _of(uid)
        except OSError:
            return UNKNOWN

    def _knows_ourselves(self) -> bool:
        """True if a connection of our own is told to be ours."""
        try:
            with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()):
                accepted, _address = listening.accept()
                with accepted:
                    return self(accepted).uid == os.getuid()
        except OSError:
            return False

    def _asked(self, theirs: list[End], ours: list[End]) -> int | None:
        for source, destination in zip(theirs, ours, strict=True):
            uid = self._ask(source, destination)
            if uid is not None:
                return uid
        return None

    def _ask(self, source: End, destination: End) -> int | None:
        """The user of the one socket that is connected from ``source`` to ``destination``. Raises OSError."""
        assert self._netlink is not None
        self._sequence = (self._sequence + 1) % 2**32
        ports = (source.port.to_bytes(2, "big"), destination.port.to_bytes(2, "big"))
        wanted = (*ports, source.address.ljust(16, b"\0"), destination.address.ljust(16, b"\0"))
        query = _QUERY.pack(source.family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF, *wanted, 0, _ANY_COOKIE)
        header = _HEADER.pack(_HEADER.size + len(query), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, self._sequence, 0)
        self._netlink.sendto(header + query, (0, 0))
        while True:  # the kernel answers before sendto returns; an answer that was not read then is passed over
            answer = self._netlink.recv(_ANSWER_BYTES)
            _length, kind, _flags, sequence, _port = _HEADER.unpack_from(answer)
            if sequence == self._sequence:
                break
        if kind != _SOCK_DIAG_BY_FAMILY:
            (code,) = struct.unpack_from("=i", answer, _HEADER.size)
            if -code != errno.ENOENT:
                raise OSError(-code, os.strerror(-code))
            return None
        found = _FOUND.unpack_from(answer, _HEADER.size)
        state, uid, inode = found[1], found[-2], found[-1]
        width = 16 if found[0] == socket.AF_INET6 else 4
        same = found[4:6] == ports and _plain(found[6][:width]) == _plain(source.address)
        return uid if same and inode and state not in _NOT_CONNECTED else None


def _plain(address: bytes) -> bytes:
    return address[12:] if len(address) == 16 and address.startswith(_MAPPED) else address


def _listed(theirs: list[End], ours: list[End]) -> int | None:
    wanted = {(source.as_listed(), destination.as_listed()) for source, destination in zip(theirs, ours, strict=True)}
    for row in _rows():
        if (row[1], row[2]) in wanted and int(row[3], 16) not in _NOT_CONNECTED and row[9] != "0":
            return int(row[7])
    return None


def port_holder(port: int) -> str:
    """``NAME (pid N)`` of the process that listens on a port, as far as this user may see it."""
    inodes = {row[9] for row in _rows() if int(row[3], 16) == _LISTEN and int(row[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            for fd in process.iterdir():
                target = os.readlink(fd)
                if target.startswith("socket:[") and target[8:-1] in inodes:
                    name = (process.parent / "comm").read_text().strip()
                    return f"{name} (pid {process.parent.name})"
    return "another process"


def _rows() -> Iterator[list[str]]:
    """Columns of /proc/net/tcp and tcp6: 1 local, 2 remote, 3 state, 7 uid, 9 inode (proc(5))."""
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{name}", encoding="ascii") as table:
            next(table, None)
            for line in table:
                yield line.split()


def keep_asking(s: socket.socket) -> None:
    """Have the kernel ask a silent other end whether it is there. A connection to a machine that is gone ends in 2 min."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        if hasattr(socket, name):  # macOS calls the first one TCP_KEEPALIVE
            s.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def has_ended(s: socket.socket) -> bool:
    """True if the other end is gone, or the connection broke. An error that is reported here ``recv`` does not report again."""
    return _is_closed(s) or bool(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def _is_closed(s: socket.socket) -> bool:
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _CLOSE


def unread_bytes(s: socket.socket) -> int:
    """Bytes that were sent and have not reached the other end's kernel."""
    return int(struct.unpack("i", fcntl.ioctl(s.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0])
