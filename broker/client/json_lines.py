"""One request, quickly: JSON lines over the broker's Unix socket, with the standard library alone.

For programs that live for one request, such as commands and hooks. Mail that a connection was handed and has not
acknowledged goes back when it ends. When the broker dies in between, the same request is made again with the same message id.

>>> with QuickConnection(Place.here()) as broker:
...     broker.request({"action": "whoami", "session_token": token})
"""

from __future__ import annotations

import json
import time

from broker.client.wait_left import wait_left
from broker.home import environment
from broker.home.local_sockets import connected_quickly
from broker.home.paths import Place, door_socket, runs_older, wire_socket
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S, STORES
from broker.protocol.ids import new_message_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

    from broker.client.sync import Connection
    from broker.home.settings import Settings

_POLL_S = 0.01
_REPLY_BYTES = 256 * 1024 * 1024
"""No reply of the broker is longer, as JSON; what says more is no broker."""


class QuickConnection:
    """A connection to the broker, opened by the first request.

    With ``autostart`` false nothing is started or waited for: where nobody listens, ``unavailable`` is raised at once.
    ``door`` is what logs call the caller. With IPC_KEY_FILE or IPC_ENDPOINT set, ``broker.client.sync`` does the work.
    """

    def __init__(self, place: Place | Settings, *, autostart: bool = True, door: str = "cli") -> None:
        self._home = str(place.home)
        self._place = place
        self._autostart = autostart
        self._door = door
        self._socket: _socket.socket | None = None
        self._received = bytearray()
        self._elsewhere: Connection | None = None

    def __enter__(self) -> QuickConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection: mail that was fetched and not acknowledged goes back."""
        self._drop()
        if self._elsewhere is not None:
            self._elsewhere.close()

    def request(self, body: dict[str, Any], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """The reply to one request, without its id. Raises RemoteError with the broker's error, IpcError ``timeout``,
        ``unavailable``, and SettingsError where the service must be started and can't read its settings."""
        (reply,) = self.exchange([body], timeout_s=timeout_s)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    def exchange(self, bodies: list[dict[str, Any]], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> list[dict[str, Any]]:
        """The replies to requests that are sent together, in their order; refusals are replies, too."""
        bodies = [{**body, "id": number, "door": self._door} for number, body in enumerate(bodies)]
        for body in bodies:
            if body.get("action") in STORES and body.get("message_id") is None:
                body["message_id"] = new_message_id()
        if environment.key_file() or environment.endpoint():
            replies = self._ask_elsewhere(bodies, timeout_s)
        else:
            replies = self._ask(bodies, timeout_s)
        for reply in replies:
            reply.pop("id", None)
        return replies

    def _ask(self, bodies: list[dict[str, Any]], timeout_s: float) -> list[dict[str, Any]]:
        """Make the requests, and make them again over a new connection when this one is lost."""
        begun_s = time.monotonic()
        end_s = begun_s + timeout_s
        try:
            while True:
                try:
                    passed_s = time.monotonic() - begun_s
                    self.send(bodies if passed_s < _POLL_S else [wait_left(body, passed_s) for body in bodies], end_s)
                    replies: list[dict[str, Any]] = []
                    while len(replies) < len(bodies):
                        replies += [told for told in self.receive(end_s) if "push" not in told]
                    return sorted(replies, key=lambda reply: reply.get("id") or 0)
                except TimeoutError:
                    raise
                except (OSError, ValueError):  # lost, perhaps in the middle of a line
                    self._drop()
                if time.monotonic() > end_s:
                    raise TimeoutError
                time.sleep(_POLL_S)
        except TimeoutError:
            self._drop()  # the answer, if it comes, is not for the next request
            raise IpcError("timeout", limit=timeout_s) from None

    def send(self, bodies: list[dict[str, Any]], end_s: float) -> None:
        """Send requests by ``end_s`` (monotonic clock), over a new connection if there is none. Raises OSError, IpcError."""
        lines = "".join(f"{json.dumps(body, ensure_ascii=False)}\n" for body in bodies).encode("utf-8", "surrogatepass")
        s = self._socket or self._connect(end_s)
        s.settimeout(max(0.001, end_s - time.monotonic()))
        s.sendall(lines)

    def receive(self, end_s: float) -> list[dict[str, Any]]:
        """The replies and pushes that the next bytes complete. Raises OSError where the connection has ended or nothing comes
        by ``end_s``, ValueError for what is no object."""
        s = self._socket
        if s is None:
            raise ConnectionResetError
        s.settimeout(max(0.001, end_s - time.monotonic()))
        data = s.recv(65536)
        if not data:
            raise ConnectionResetError("the broker ended the connection")
        self._received += data
        if len(self._received) > _REPLY_BYTES:
            self._drop()
            raise IpcError("too_large", what="The broker's answer", size=_REPLY_BYTES + 1, limit=_REPLY_BYTES)
        if b"\n" not in data:
            return []
        *lines, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest)
        return [_object(line) for line in lines]

    def fileno(self) -> int:
        """Of an open connection, for ``select``."""
        return -1 if self._socket is None else self._socket.fileno()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._received.clear()

    def _connect(self, end_s: float) -> _socket.socket:
        """A connection, after starting the service if there is none. Raises OSError, IpcError."""
        older = runs_older(self._home)
        if older and self._autostart:
            self._start_service()
        # a service of 0.3 that nobody may replace now takes lines at its JSON door alone
        path = door_socket(self._home) if older and not self._autostart else wire_socket(self._home)
        while True:
            try:
                self._socket = connected_quickly(path, max(0.001, end_s - time.monotonic()))
                return self._socket
            except TimeoutError:
                raise
            except OSError:
                if not self._autostart:
                    raise IpcError("unavailable", detail=f"nothing answers at {path}") from None
            if time.monotonic() > end_s:
                raise TimeoutError
            self._start_service()
            time.sleep(_POLL_S)

    def _start_service(self) -> None:
        from broker.service.launcher import ensure_running

        ensure_running(self._settings())

    def _settings(self) -> Settings:
        if not isinstance(self._place, Place):
            return self._place
        from broker.home.settings import Settings

        return Settings.load(home=self._place.home)

    def _ask_elsewhere(self, bodies: list[dict[str, Any]], timeout_s: float) -> list[dict[str, Any]]:
        if self._elsewhere is None:
            from broker.client.sync import Connection

            self._elsewhere = Connection(self._settings(), autostart=self._autostart, door=self._door)
        return self._elsewhere.request_many(bodies, timeout_s=timeout_s)


def _object(line: bytes) -> dict[str, Any]:
    """The object of a line. Raises ValueError for anything else."""
    try:
        reply = json.loads(line)
    except RecursionError:
        reply = None
    if not isinstance(reply, dict):
        raise ValueError("a reply is an object")
    return reply


def request(
    place: Place | Settings, body: dict[str, Any], *, autostart: bool = True, timeout_s: float = DEFAULT_TIMEOUT_S
) -> dict[str, Any]:
    """One request over a connection of its own, which ends with it: see ``QuickConnection.request``.

    Mail of a ``check`` made so comes back: keep a QuickConnection to acknowledge it.
    """
    with QuickConnection(place, autostart=autostart) as broker:
        return broker.request(body, timeout_s=timeout_s)
