"""Frames that go out, and how much of them nobody reads.

ZeroMQ bounds what waits for a connection by a count of frames, and a frame of mail may have many megabytes. So large frames
are followed until the socket has taken them: beyond ``UNREAD_BYTES`` of a connection, or ``ALL_BYTES`` of all, the next large
one is undeliverable, as with a connection that is full. A small one is not looked at; who reads always gets one.
"""

from collections import deque

import zmq

LARGE_BYTES = 64 * 1024
"""What is smaller is copied by pyzmq, and all that ZeroMQ's count lets wait are 64 MiB."""
UNREAD_BYTES = 32 * 1024 * 1024
ALL_BYTES = 256 * 1024 * 1024


class Outbox:
    """The sending side of the ROUTER socket."""

    def __init__(self, router: "zmq.Socket[bytes]") -> None:
        self._router = router
        self._unread: dict[bytes, deque[tuple[zmq.MessageTracker, int]]] = {}

    def send(self, route: bytes, frame: bytes) -> None:
        """Raises zmq.ZMQError: EHOSTUNREACH where nobody is there, EAGAIN where nobody reads."""
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
        """Bytes of large frames by connection that the socket still holds."""
        for route, frames in list(self._unread.items()):
            while frames and frames[0][0].done:
                frames.popleft()
            if not frames:
                del self._unread[route]
        return {route: sum(size for _tracker, size in frames) for route, frames in self._unread.items()}
