"""Frames that a ROUTER socket sends, and the bytes of them that wait unread.

ZeroMQ limits the number of frames that wait for a connection, and not their bytes; one frame of mail may have megabytes. So
frames from ``LARGE_BYTES`` on are counted until the socket has handed them over. A large frame is undeliverable while
``UNREAD_BYTES`` of its connection, or ``ALL_BYTES`` of all connections, still wait. A connection that reads always gets one.
"""

from collections import deque

import zmq

LARGE_BYTES = 64 * 1024
"""Bytes from which a frame counts. Smaller ones are at most 64 MiB together, by ZeroMQ's own limit on their number."""
UNREAD_BYTES = 32 * 1024 * 1024
ALL_BYTES = 256 * 1024 * 1024


class Outbox:
    """The sending side of a ROUTER socket."""

    def __init__(self, router: "zmq.Socket[bytes]") -> None:
        self._router = router
        self._unread: dict[bytes, deque[tuple[zmq.MessageTracker, int]]] = {}

    def send(self, route: bytes, frame: bytes) -> None:
        """Send without waiting. Raises zmq.ZMQError: EHOSTUNREACH for a gone connection, EAGAIN for one that reads nothing."""
        if len(frame) < LARGE_BYTES:
            self._router.send(route, zmq.SNDMORE | zmq.NOBLOCK)  # send_multipart takes twice as long
            self._router.send(frame, zmq.NOBLOCK)
            return
        unread = self.unread()
        mine = unread.get(route, 0)
        if mine and (mine + len(frame) > UNREAD_BYTES or sum(unread.values()) + len(frame) > ALL_BYTES):
            raise zmq.Again
        tracker = self._router.send_multipart([route, frame], zmq.NOBLOCK, copy=False, track=True)
        assert tracker is not None
        self._unread.setdefault(route, deque()).append((tracker, len(frame)))

    def unread(self) -> dict[bytes, int]:
        """Bytes of large frames that the socket still holds, by connection."""
        for route, frames in list(self._unread.items()):
            while frames and frames[0][0].done:
                frames.popleft()
            if not frames:
                del self._unread[route]
        return {route: sum(size for _tracker, size in frames) for route, frames in self._unread.items()}
