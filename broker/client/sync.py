"""The synchronous client: ``with broker.connect("fred") as me: me.send("claude", "hello")``.

One connection. A request that gets no answer is sent again with the same ids, after making sure that a broker runs, so
a broker killed in the middle costs a delay and nothing else: sends carry a message id and are stored once. What is in
flight, when it is sent again and when it times out is decided in ``broker.client.pending``; here are the thread and the clock.
"""

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

from broker.client.address import BrokerAddress
from broker.client.links import Link, Way
from broker.client.mail import Mail
from broker.client.methods import Methods, Steps
from broker.client.own_body import registration
from broker.client.pending import Pending
from broker.client.unix_link import UnixLink
from broker.home.endpoints import socket_answers
from broker.home.settings import Settings
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S
from broker.protocol.ids import new_message_id
from broker.service.launcher import why_not

_WINDOW = 1024
"""Requests on the wire at once. The broker refuses what is beyond 8,192 of one ZeroMQ connection."""


def _look_once(settings: Settings) -> None:
    if not socket_answers(settings):
        raise IpcError("unavailable", detail=why_not(settings))


class Connection:
    """Requests and replies over one connection, without a name; any thread may use it, one at a time."""

    def __init__(
        self,
        settings: Settings,
        *,
        autostart: bool = True,
        door: str = "zmq",
        key_file: str | None = None,
        link: Way = "unix",
    ) -> None:
        """With a key file (``settings.key_file`` unless given) the broker is that of another machine. Raises SettingsError."""
        self.settings = settings
        self._address = BrokerAddress(settings, key_file, link, autostart)
        self._lock = threading.Lock()
        self._link: Link | None = None
        self.late: list[dict[str, Any]] = []
        """Replies with mail that came after their request had timed out. The next ``check`` of the client has that mail."""
        self.pushes: list[dict[str, Any]] = []
        self._pending = Pending(door, self._note_late, self.pushes.append, _WINDOW)

    @property
    def is_remote(self) -> bool:
        """Whether the broker is another machine's."""
        return self._address.is_remote

    def close(self) -> None:
        """End the connection; what was sent has 0.2 s to get out."""
        self._drop(linger_ms=200)

    def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Make one request and return its reply. Raises RemoteError with the broker's error, IpcError ``timeout``."""
        reply = self.request_many([{"action": action, **fields}], timeout_s=timeout_s)[0]
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    def request_many(self, bodies: list[dict[str, Any]], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> list[dict[str, Any]]:
        """Make many requests, pipelined, and return their replies in order; error replies are returned, not raised.

        Raises IpcError ``timeout`` if one has no reply after ``timeout_s`` seconds.
        """
        with self._lock:
            return self._exchange(bodies, timeout_s)

    def _exchange(self, bodies: list[dict[str, Any]], timeout_s: float) -> list[dict[str, Any]]:
        pending, replies = self._pending, {}

        def answered(reply: dict[str, Any]) -> bool:
            replies[reply["id"]] = reply
            return True

        now_s = time.monotonic()
        numbers = [pending.begin(body, answered, timeout_s, now_s) for body in bodies]
        try:
            while len(replies) < len(numbers):
                link = self._open()
                for frame in pending.outgoing(time.monotonic()):
                    link.send(frame)
                if pending.in_flight and not self._receive(self._patience_s()):
                    now_s = time.monotonic()
                    if pending.time_out(now_s):
                        raise IpcError("timeout", limit=timeout_s)
                    if now_s >= pending.silent_s() or link.was_lost():
                        self._drop(linger_ms=0)
        finally:
            for number in numbers if len(replies) < len(numbers) else ():
                pending.abandon(number)
        return [replies[number] for number in numbers]

    def _patience_s(self) -> float:
        """How long to wait for a frame, before something times out or the link counts as dead."""
        return max(0.0, min(self._pending.silent_s(), self._pending.deadline_s()) - time.monotonic())

    def _open(self) -> Link:
        if self._link is None:
            self._address.find(_look_once)
            self._link = self._open_link()
            self._pending.opened(time.monotonic())
        return self._link

    def _open_link(self) -> Link:
        """A link to a broker that is known to run. Raises IpcError."""
        if path := self._address.unix_socket():
            with contextlib.suppress(OSError):  # a broker of version 0.3
                return UnixLink(path)
        from broker.client.zeromq_link import ZmqLink  # whose import costs 30 ms

        return ZmqLink(*self._address.zeromq())

    def _drop(self, linger_ms: int) -> None:
        """End the link; what has no answer is sent again over the next one."""
        if self._link is not None:
            self._link.close(linger_ms)
            self._link = None

    def _receive(self, timeout_s: float) -> bool:
        """Take in what has come; False if nothing came in time, or the broker went away: its death ends a wait at once."""
        try:
            came = self._open().receive(timeout_s)
        except IpcError:
            self._drop(linger_ms=0)
            raise
        for frame in came:
            self._pending.incoming(frame, time.monotonic())
        return bool(came)

    def _note_late(self, _request: dict[str, Any], reply: dict[str, Any]) -> None:
        self.late.append(reply)

    def poll_pushes(self, timeout_s: float) -> list[dict[str, Any]]:
        """Pushes that came, waiting up to ``timeout_s`` for one. Raises IpcError ``unavailable`` when the broker has gone:
        then subscribe again."""
        with self._lock:
            if not self.pushes and not self._receive(timeout_s) and self._open().was_lost():
                self._drop(linger_ms=0)
                raise IpcError("unavailable", detail="the connection was lost; subscribe again")
            pushes = self.pushes.copy()
            self.pushes.clear()
            return pushes


class Client(Methods[dict[str, Any], list[Mail], Mail | None, int, str, list[dict[str, str]]]):
    """An agent: a name, its session and its mail. Use it as a context manager."""

    def __init__(self, connection: Connection, name: str, token: str, queued: int = 0) -> None:
        super().__init__(name, token, queued)
        self._connection = connection

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Acknowledge what was read, unless an exception left the block: then the mail comes back."""
        try:
            if kind is None:
                self.ack()
        finally:
            self.close()

    def close(self) -> None:
        """End the connection. Mail that was not acknowledged comes back."""
        self._connection.close()

    def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Any action of the table, as this session. Raises RemoteError with the broker's error, IpcError ``timeout``."""
        return self._connection.request(action, timeout_s=timeout_s, session_token=self.token, **fields)

    def _run(self, steps: Steps) -> Any:
        try:
            fields = next(steps)
            while True:
                fields = steps.send(self.request(**fields))
        except StopIteration as end:
            return end.value

    def _late(self) -> list[dict[str, Any]]:
        late, self._connection.late = self._connection.late, []
        return late

    def send_many(self, messages: Iterable[tuple[str, str]], *, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Send (to, content) pairs, pipelined; one reply each, in order, errors among them."""
        prefix = new_message_id()
        bodies = [
            {
                "action": "send",
                "session_token": self.token,
                "to_id": to,
                "message": {"content": content},
                "message_id": f"{prefix}-{number:06x}",
            }
            for number, (to, content) in enumerate(messages)
        ]
        return self._connection.request_many(bodies, timeout_s=timeout_s) if bodies else []

    def listen(self) -> Iterator[Mail]:
        """Mail without end, one message at a time. A batch is acknowledged when the next one is fetched."""
        while True:
            yield from self.check(wait=60.0)


def connect(
    name: str,
    *,
    token: str | None = None,
    force: bool = False,
    body: dict[str, Any] | None = None,
    settings: Settings | None = None,
    autostart: bool = True,
    door: str = "zmq",
    key_file: str | None = None,
    link: Way = "unix",
) -> Client:
    """Register ``name`` (or resume the session of ``token``) and return its client; starts the service if there is none.

    The name is this process's until it ends (or that of ``body``). One that another holds raises ``name_held``; ``force``
    takes it. With ``key_file`` (default $IPC_KEY_FILE) the service is that of another machine. ``link`` is the way to this
    machine's broker: ``unix`` or ``zeromq``. Raises IpcError, SettingsError.
    """
    settings = settings or Settings.load()
    connection = Connection(settings, autostart=autostart, door=door, key_file=key_file, link=link)
    try:
        if token is not None:
            found = connection.request("whoami", session_token=token)
            return Client(connection, found["instance_id"], token, found["queued"])
        reply = connection.request(**registration(name, settings, force=force, body=body, remote=connection.is_remote))
        return Client(connection, name, reply["session_token"], reply["queued"])
    except BaseException:
        connection.close()
        raise
