"""Connections of a ROUTER socket that end. ZeroMQ tells nobody of their end but the socket's monitor.

ZeroMQ names a connection by its route and tells of its end by its descriptor. The first frame of a route says the descriptor
(``SRCFD``), which joins the two. A descriptor is used again by a later connection, so the monitor is read before a route is
joined to one, and a route is joined to none that has ended or is another's: then nothing is told of its end.
"""

import itertools
import struct

import zmq

_NUMBERS = itertools.count(1)
_EVENT = struct.Struct("=hi")
"""What the monitor's first frame says: the event and its value, here a descriptor. zmq.utils.monitor would import asyncio."""


class Departures:
    """Tells the routes of connections that begin and end."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", router: "zmq.Socket[bytes]") -> None:
        self._router = router
        address = f"inproc://departures-{next(_NUMBERS)}"
        router.monitor(address, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self.monitor = context.socket(zmq.PAIR)
        """Readable when connections began or ended: then call ``hear``."""
        self.monitor.setsockopt(zmq.RCVHWM, 0)  # a full one would hold up libzmq's thread
        self.monitor.connect(address)
        self._routes: dict[int, bytes | None] = {}
        """By the descriptor of a connection; None before its first frame."""
        self.known: set[bytes] = set()
        """Routes whose end will be told."""
        self.arrived: list[bytes] = []
        """Those that were added since somebody looked, and ``departed``, those that have ended."""
        self.departed: list[bytes] = []

    def hear(self) -> None:
        """Take what the monitor has."""
        while self.monitor.poll(0):
            event, descriptor = _EVENT.unpack(self.monitor.recv_multipart()[0])
            if event == zmq.EVENT_ACCEPTED:
                self._routes[descriptor] = None
                continue
            route = self._routes.pop(descriptor, None)
            if route is not None:
                self.known.discard(route)
                self.departed.append(route)

    def meet(self, route: bytes, frame: "zmq.Frame") -> None:
        """The first frame of a connection has come."""
        self.hear()
        descriptor = int(frame.get(zmq.SRCFD))
        if descriptor in self._routes and self._routes[descriptor] is None:
            self._routes[descriptor] = route
            self.known.add(route)
            self.arrived.append(route)

    def close(self) -> None:
        """Before the router is closed."""
        self._router.disable_monitor()
        self.monitor.close(0)
