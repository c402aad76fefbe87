"""The socket for other machines: a ROUTER with CURVE (RFC 26) that asks for each client's key (ZAP, RFC 27).

    client --greeting, CURVE handshake--> libzmq --"may this key?"--> ZAP socket --> the list of allowed keys
                                             |
                                             '-- only then its frames, each with the key it came by

A peer without CURVE, or without the server's key, gets libzmq's greeting and is dropped. What happens to open connections of
a revoked key stands in ``revocation.py``.
"""

import asyncio
from collections.abc import Callable

import zmq

from broker.home.keys import AllowList, KeyPair
from broker.home.logs import Log
from broker.protocol.departures import Departures
from broker.protocol.unread import Outbox

HANDSHAKE_S = 10.0
"""A peer that has not shown its key by then is dropped."""
_AT_ONCE = 64
"""Frames, and handshakes, taken in one turn of the loop. Neither may hold up the other, or the replies."""
_KEEPALIVE = {zmq.TCP_KEEPALIVE: 1, zmq.TCP_KEEPALIVE_IDLE: 60, zmq.TCP_KEEPALIVE_INTVL: 15, zmq.TCP_KEEPALIVE_CNT: 4}
"""The kernel asks a client that is silent for 60 s whether it is there, every 15 s, four times. So a connection to a machine
that is gone ends in two minutes."""
_UNREAD_FRAMES = 16
"""Frames of one connection that libzmq reads ahead. Each may be as long as the longest message."""
_ROUTE_BYTES = 5
"""Length of the ids that ZeroMQ makes, whose first byte is 0."""
_ZAP_ENDPOINT = "inproc://zeromq.zap.01"
_ZAP_VERSION = b"1.0"
_TOLD_S = 1.0
"""Between two lines of the log about refused keys."""
OnFrame = Callable[[bytes, str, bytes], None]
"""Called with (route, key as hex, frame)."""
OnEnd = Callable[[bytes], None]
"""Called with the route of a connection that has ended."""


class Gate:
    """The two sockets in the event loop. ``open`` binds; ``send`` answers a route."""

    def __init__(self, allowed: AllowList, on_frame: OnFrame, on_end: OnEnd, log: Log) -> None:
        self.refused = 0
        self._allowed = allowed
        self._on_frame = on_frame
        self._on_end = on_end
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._context = zmq.Context()
        self._zap = self._context.socket(zmq.REP)
        self._router = self._context.socket(zmq.ROUTER)
        self._outbox = Outbox(self._router)
        self._ends = Departures(self._context, self._router)
        self._told_s = 0.0
        self._again = False

    def open(self, address: str, pair: KeyPair, frame_limit_bytes: int) -> str:
        """Bind and serve; the address with its port. Raises zmq.ZMQError."""
        zap, router = self._zap, self._router
        zap.setsockopt(zmq.LINGER, 0)
        zap.bind(_ZAP_ENDPOINT)  # before the router, whose handshakes would be refused without it
        router.setsockopt(zmq.CURVE_SERVER, 1)
        router.setsockopt(zmq.CURVE_SECRETKEY, bytes.fromhex(pair.secret))
        router.setsockopt(zmq.ZAP_DOMAIN, b"agent-ipc")
        router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
        router.setsockopt(zmq.HANDSHAKE_IVL, int(HANDSHAKE_S * 1000))
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.LINGER, 200)
        router.setsockopt(zmq.SNDHWM, 1000)
        router.setsockopt(zmq.RCVHWM, _UNREAD_FRAMES)
        router.setsockopt(zmq.MAXMSGSIZE, frame_limit_bytes)
        router.setsockopt(zmq.BACKLOG, 1024)
        for option, value in (*_KEEPALIVE.items(), (zmq.TCP_MAXRT, 120_000)):
            router.setsockopt(option, value)
        if "[" in address:
            router.setsockopt(zmq.IPV6, 1)
        router.bind(address)
        self._loop.add_reader(zap.fileno(), self._look)
        self._loop.add_reader(router.fileno(), self._look)
        self._loop.add_reader(self._ends.monitor.fileno(), self._look)
        self._look()
        bound: bytes = router.getsockopt(zmq.LAST_ENDPOINT)  # type: ignore[assignment]
        return bound.rstrip(b"\0").decode()

    def send(self, route: bytes, frame: bytes) -> bool:
        """False where nobody will read it: the connection is gone, or its client does not read."""
        try:
            self._outbox.send(route, frame)
        except zmq.ZMQError:
            return False
        finally:
            self._look_soon()  # libzmq's descriptor is edge-triggered: sending may have taken the edge
        return True

    def close(self) -> None:
        if self._router.closed:
            return
        for s in (self._zap, self._router, self._ends.monitor):
            self._loop.remove_reader(s.fileno())
        self._ends.close()
        self._zap.close()
        self._router.close()
        self._context.term()

    def _look_soon(self) -> None:
        if not self._again:
            self._again = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        """Take up to 64 handshakes and 64 frames; look again soon if more have come."""
        self._again = False
        if self._router.closed:
            return
        more = self._take_handshakes()
        if self._take_frames() or more:
            self._look_soon()
        self._ends.hear()
        self._ends.arrived.clear()
        while self._ends.departed:
            self._on_end(self._ends.departed.pop())

    def _take_handshakes(self) -> bool:
        for _ in range(_AT_ONCE):
            try:
                parts = self._zap.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            self._zap.send_multipart(self._verdict(parts))
        return True

    def _verdict(self, parts: list[bytes]) -> list[bytes]:
        """The answer to one ZAP request: version, request id, status, text, user id, metadata."""
        version, request_id, _domain, address, _route, mechanism, *credentials = parts
        head = [_ZAP_VERSION, request_id]
        if version != _ZAP_VERSION or mechanism != b"CURVE" or len(credentials) != 1:
            return [*head, b"400", b"CURVE only", b"", b""]
        key = credentials[0].hex()
        if self._allowed.name_of(key) is not None:
            return [*head, b"200", b"OK", key.encode(), b""]
        self.refused += 1
        now_s = self._loop.time()
        if now_s - self._told_s >= _TOLD_S:  # a flood of strangers must not fill the log
            self._told_s = now_s
            self._log.warning("key_refused", key=key, address=address.decode("ascii", "replace"), refused=self.refused)
        return [*head, b"400", b"This key is not allowed", b"", b""]

    def _take_frames(self) -> bool:
        for _ in range(_AT_ONCE):
            try:
                route, *frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return False
            key = frames[-1].get("User-Id") if frames else ""
            # an id of a client's own making could be that of a connection which has just ended, and get its pushes
            if len(frames) == 1 and len(route) == _ROUTE_BYTES and route.bytes[0] == 0:
                if route.bytes not in self._ends.known:
                    self._ends.meet(route.bytes, frames[0])
                self._on_frame(route.bytes, str(key), frames[0].bytes)
            else:
                self._log.refusal("remote_frame_refused", key=str(key), parts=len(frames))
        return True
