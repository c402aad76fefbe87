"""One request, quickly: the standard library alone, over the Unix socket of the JSON door.

For programs that live for one request, such as commands and hooks. The connection is a lasting one (DESIGN of the door: a
lost connection gives back at once the mail that was not acknowledged). When door or broker die in between, the same request
is made again with the same message id. Where no door comes up, the request goes to the broker itself.

>>> with QuickConnection(Place.here()) as door:
...     door.request({"action": "whoami", "session_token": token})
"""

from __future__ import annotations

import json
import socket
import time

from broker.home import environment
from broker.home.local_sockets import connected
from broker.home.paths import Place, door_socket, runs_older
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.ids import STORES, new_message_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from broker.client.sync import Connection
    from broker.home.settings import Settings

DEFAULT_TIMEOUT_S = 30.0
DOOR_START_S = 3.0
"""How long after the broker a door may need to come up, before the broker's own wire is taken in its place."""
_POLL_S = 0.01
_LINE_BYTES = 1024 * 1024
"""Longer requests go over the wire: JSON can make six bytes of one, and the door's lines are limited."""
_REPLY_BYTES = 256 * 1024 * 1024
"""No reply of the broker is longer, as JSON; a door that says more is none."""


class _NoDoor(Exception):
    """No door will come up here; the text says why."""


class QuickConnection:
    """A lasting connection to the door, opened by the first request.

    With ``autostart`` false nothing is started or waited for: where no door listens, ``unavailable`` is raised at once.
    ``door`` is what logs call the caller.
    """

    def __init__(self, place: Place | Settings, *, autostart: bool = True, door: str = "cli") -> None:
        self._home = str(place.home)
        self._place = place
        self._autostart = autostart
        self._door = door
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._fallback: Connection | None = None

    def __enter__(self) -> QuickConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, body: dict[str, Any], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """The reply to one request, without its id. Raises RemoteError with the broker's error, IpcError ``timeout``,
        ``unavailable``, and SettingsError where the service must be started and can't read its settings."""
        body = {**body, "door": self._door}
        if body.get("action") in STORES and body.get("message_id") is None:
            body["message_id"] = new_message_id()
        reply = self._ask(body, timeout_s)
        reply.pop("id", None)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    def close(self) -> None:
        """End the connection: mail that was fetched and not acknowledged goes back."""
        self._drop()
        if self._fallback is not None:
            self._fallback.close()

    def _ask(self, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        if self._fallback is None and not environment.key_file():  # with one the broker is another machine's
            line = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
            try:
                if len(line) > _LINE_BYTES or environment.endpoint():
                    raise _NoDoor("not for a door")
                return self._exchange(line, time.monotonic() + timeout_s, timeout_s)
            except _NoDoor as reason:
                if not self._autostart:
                    raise IpcError("unavailable", detail=str(reason)) from None
        return self._through_wire(body, timeout_s)

    def _exchange(self, line: bytes, end_s: float, timeout_s: float) -> dict[str, Any]:
        """Send the line and read one; once more over a new connection when this one is lost."""
        while True:
            try:
                door = self._socket or self._connect(end_s)
                door.settimeout(max(0.001, end_s - time.monotonic()))
                door.sendall(line)
                return self._reply(self._read_line(door, end_s))
            except TimeoutError:
                self._drop()  # the answer, if it comes, is not for the next request
                raise IpcError("timeout", limit=timeout_s) from None
            except (OSError, ValueError):  # lost, perhaps in the middle of a line
                self._drop()
            if time.monotonic() > end_s:
                raise IpcError("timeout", limit=timeout_s)
            time.sleep(_POLL_S)

    def _reply(self, line: bytes) -> dict[str, Any]:
        """The object of a line. Raises ValueError for anything else."""
        try:
            reply = json.loads(line)
        except RecursionError:
            reply = None
        if not isinstance(reply, dict):
            raise ValueError("a reply is an object")
        return reply

    def _read_line(self, door: socket.socket, end_s: float) -> bytes:
        start = 0
        while self._received.find(b"\n", start) < 0:
            start = len(self._received)
            door.settimeout(max(0.001, end_s - time.monotonic()))
            data = door.recv(65536)
            if not data and self._received:
                break  # a refusal of the whole connection: an object, then the end
            if not data:
                raise ConnectionResetError
            self._received += data
            if len(self._received) > _REPLY_BYTES:
                self._drop()
                raise IpcError("too_large", what="The door's answer", size=start, limit=_REPLY_BYTES)
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        return line

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._received.clear()

    def _connect(self, end_s: float) -> socket.socket:
        """A connection to the door, after starting the service if there is none. Raises _NoDoor."""
        path = door_socket(self._home)
        wait_until_s = 0.0
        if self._autostart and runs_older(self._home):
            self._start_service()
        while True:
            try:
                self._socket = connected(path, max(0.001, end_s - time.monotonic()))
                return self._socket
            except TimeoutError:
                raise
            except OSError:
                pass  # there is no door
            if not self._autostart:
                raise _NoDoor(f"nothing answers at {path}")
            now_s = time.monotonic()
            if not wait_until_s:
                self._start_service()
                wait_until_s = now_s + DOOR_START_S
            elif now_s > min(wait_until_s, end_s):
                raise _NoDoor(f"no door came up at {path}")
            time.sleep(_POLL_S)

    def _start_service(self) -> None:
        """Make sure that a broker runs, and that a supervisor does, which will bring a door."""
        from broker.home.files import is_supervised
        from broker.service.launcher import ensure_running

        settings = self._settings()
        ensure_running(settings)
        if not is_supervised(settings):
            raise _NoDoor("the broker runs without its doors")

    def _settings(self) -> Settings:
        return self._place.settings() if isinstance(self._place, Place) else self._place

    def _through_wire(self, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        if self._fallback is None:
            from broker.client.sync import Connection

            self._fallback = Connection(self._settings(), autostart=self._autostart, door=self._door)
        return self._fallback.request_many([body], timeout_s=timeout_s)[0]


def request(
    place: Place | Settings, body: dict[str, Any], *, autostart: bool = True, timeout_s: float = DEFAULT_TIMEOUT_S
) -> dict[str, Any]:
    """One request over a connection of its own, which ends with it: see ``QuickConnection.request``.

    Mail of a ``check`` made so comes back: keep a QuickConnection to acknowledge it.
    """
    with QuickConnection(place, autostart=autostart) as door:
        return door.request(body, timeout_s=timeout_s)
