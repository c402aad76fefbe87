"""The synchronous client: ``with broker.connect("fred") as me: me.send("claude", "hello")``.

One connection. A request that gets no answer is sent again with the same ids, after making sure that a broker runs, so
a broker killed in the middle costs a delay and nothing else: sends carry a message id and are stored once.
"""

import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from broker.client.keyfile import Handshakes, KeyFile
from broker.client.links import Link, open_link
from broker.client.pending import Calls
from broker.home.files import socket_answers
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.ids import auth_token, new_message_id
from broker.service.launcher import ensure_running, why_not

DEFAULT_TIMEOUT_S = 30.0
_FIRST_RETRY_S = 5.0
_LAST_RETRY_S = 20.0
"""A broker's death ends the connection and is noticed at once; silence alone is a busy one, which repetition makes busier."""
_DELIVERING = ("check", "ask")
_WINDOW = 1024
_FRAME = 256


_OPTIONAL = ("redelivered", "file", "land", "thread", "reply_to", "group", "question", "forwarded", "supersedes")


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as received. ``timestamp`` is UTC, ISO 8601; ``data`` any JSON value or None."""

    id: str
    sender: str
    to: str
    timestamp: str
    content: str
    data: Any = None
    redelivered: bool = False
    file: dict[str, Any] | None = None
    """Of a large message: ``path``, ``size_bytes``, ``sha256`` of the whole; ``content`` is then its summary."""
    land: str = "tool"
    """When its sender wants it to land: interrupt, tool or turn."""
    thread: str | None = None
    reply_to: str | None = None
    group: str | None = None
    question: dict[str, Any] | None = None
    """Of an ``ask``: ``deadline``, and whether the asker is ``waiting`` for the answer right now."""
    forwarded: dict[str, Any] | None = None
    """Of a forward: who wrote it (``from``), its ``id`` and ``timestamp`` then."""
    supersedes: str | None = None

    @classmethod
    def from_wire(cls, m: dict[str, Any]) -> "Mail":
        message = m["message"]
        return cls(
            m["id"],
            m["from"],
            m["to"],
            m["timestamp"],
            message["content"],
            message.get("data"),
            **{name: m[name] for name in _OPTIONAL if name in m},
        )


class Connection:
    """Requests and replies over one connection, without a name; any thread may use it, one at a time."""

    def __init__(self, settings: Settings, *, autostart: bool = True, door: str = "zmq", key_file: str | None = None) -> None:
        """With a key file (``settings.key_file`` unless given) the broker is that of another machine. Raises SettingsError."""
        self.settings = settings
        path = settings.key_file if key_file is None else key_file
        self._handshakes = Handshakes(KeyFile.load(path)) if path else None
        self._autostart = autostart
        self._door = door
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._link: Link | None = None
        self.late: list[dict[str, Any]] = []
        """Replies that came after a retry had been answered; their mail is not lost."""
        self.pushes: list[dict[str, Any]] = []

    def close(self) -> None:
        self._drop(linger_ms=200)

    def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Make one request and return its reply. Raises RemoteError with the broker's error, IpcError ``timeout``."""
        reply = self.request_many([{"action": action, **fields}], timeout_s=timeout_s)[0]
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    def request_many(self, bodies: list[dict[str, Any]], *, timeout_s: float = DEFAULT_TIMEOUT_S) -> list[dict[str, Any]]:
        """Make many requests, pipelined, and return their replies in order; error replies are returned, not raised."""
        with self._lock:
            return self._exchange(bodies, timeout_s)

    def _exchange(self, bodies: list[dict[str, Any]], timeout_s: float) -> list[dict[str, Any]]:
        first_id = next(self._ids)
        for number, body in enumerate(bodies, first_id):
            body["id"] = number
        bodies[0].setdefault("door", self._door)
        self._ids = itertools.count(first_id + len(bodies))
        answers: dict[int, dict[str, Any]] = {}
        position = 0
        deadline_s = time.monotonic() + timeout_s
        retry_s, wait_s = _FIRST_RETRY_S, max((b.get("wait_s") or 0.0) for b in bodies)
        if bodies[0]["action"] in _DELIVERING and self._link is not None and self._link.was_lost():
            self._drop(linger_ms=0)
        while len(answers) < len(bodies):
            while position < len(bodies) and position - len(answers) <= _WINDOW - _FRAME:
                chunk = bodies[position : position + _FRAME]
                self._send(chunk)
                position += len(chunk)
            patience_s = retry_s + wait_s
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise IpcError("timeout", limit=timeout_s)
            if self._receive(min(patience_s, left_s), first_id, len(bodies), answers):
                retry_s = _FIRST_RETRY_S
                continue
            retry_s = min(retry_s * 2, _LAST_RETRY_S)
            self._drop(linger_ms=0)  # what a dead broker had taken in is sent again from here
            unanswered = [b for b in bodies[:position] if b["id"] not in answers]
            for chunk in frames.batches(unanswered, _FRAME):
                self._send(chunk)
        return [answers[body["id"]] for body in bodies]

    def _open(self) -> Link:
        if self._link is None:
            if self._handshakes is not None:
                self._handshakes.key.wait_until_reachable()
            elif self._autostart:
                ensure_running(self.settings)
            elif not socket_answers(self.settings):
                raise IpcError("unavailable", detail=why_not(self.settings))
            self._link = open_link(self.settings, self._handshakes)
        return self._link

    def _drop(self, linger_ms: int) -> None:
        if self._link is not None:
            self._link.close(linger_ms)
            self._link = None

    def _send(self, chunk: list[dict[str, Any]]) -> None:
        for frame in frames.frames(chunk):
            self._open().send(frame)

    def _receive(self, timeout_s: float, first_id: int, count: int, answers: dict[int, dict[str, Any]]) -> bool:
        """Read what has come; False if nothing came in time, or the broker went away: its death ends a wait at once."""
        came = self._open().receive(timeout_s)
        for frame in came:
            for reply in frames.decode(frame):
                number = reply.get("id")
                if "push" in reply:
                    self.pushes.append(reply)
                elif isinstance(number, int) and first_id <= number < first_id + count and number not in answers:
                    answers[number] = reply
                elif reply.get("messages"):
                    self.late.append(reply)
                elif number is None:
                    raise RemoteError(reply)
        return bool(came)

    def poll_pushes(self, timeout_s: float) -> list[dict[str, Any]]:
        """Pushes that came, waiting up to ``timeout_s`` for one. Raises IpcError ``unavailable`` when the broker has gone:
        then subscribe again."""
        with self._lock:
            if not self.pushes and not self._receive(timeout_s, 0, 0, {}) and self._open().was_lost():
                self._drop(linger_ms=0)
                raise IpcError("unavailable", detail="the connection was lost; subscribe again")
            pushes, self.pushes = self.pushes, []
            return pushes


class Client(Calls[dict[str, Any]]):
    """An agent: a name, its session and its mail. Use it as a context manager."""

    def __init__(self, connection: Connection, name: str, token: str, queued: int = 0) -> None:
        self._connection = connection
        self.name = name
        self.token = token
        self.queued = queued
        """Messages that waited at registration."""
        self._unacked: list[str] = []

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
        self._connection.close()

    def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Any action of the table, as this session."""
        return self._connection.request(action, timeout_s=timeout_s, session_token=self.token, **fields)

    def send_many(self, messages: Iterable[tuple[str, str]], *, timeout_s: float = 60.0) -> list[dict[str, Any]]:
        """Send (to, content) pairs, pipelined; one reply each, in order, errors among them."""
        prefix = new_message_id()
        bodies = [
            {
                "action": "send",
                "session_token": self.token,
                "to_id": to,
                "message": {"content": content},
                "message_id": f"{prefix}-{number:x}",
            }
            for number, (to, content) in enumerate(messages)
        ]
        return self._connection.request_many(bodies, timeout_s=timeout_s) if bodies else []

    def ask(
        self,
        to: str,
        content: str,
        data: Any = None,
        *,
        wait: float = 60.0,
        deadline_s: float | None = None,
        message_id: str | None = None,
    ) -> Mail | None:
        """Ask and wait up to ``wait`` seconds for the answer; None if it has not come: then it arrives as mail.

        The answer is acknowledged like mail of a check. The question is stale after ``deadline_s`` (default ten minutes).
        """
        fields = {"to_id": to, "wait_s": wait, "deadline_s": deadline_s, "timeout_s": wait + DEFAULT_TIMEOUT_S}
        reply = self._write("ask", content, data, message_id, **fields)
        answer = [Mail.from_wire(m) for m in reply["messages"]]
        self._unacked += [m.id for m in answer]
        return answer[0] if answer else None

    def check(self, wait: float = 0.0, limit: int = 100) -> list[Mail]:
        """New mail, waiting up to ``wait`` seconds if there is none. Acknowledges what the previous check returned."""
        self.ack()
        reply = self.request("check", wait_s=wait, limit=limit, timeout_s=wait + DEFAULT_TIMEOUT_S)
        late, self._connection.late = self._connection.late, []
        mail = [Mail.from_wire(m) for r in [*late, reply] for m in r["messages"]]
        self._unacked = [m.id for m in mail]
        return mail

    def listen(self) -> Iterator[Mail]:
        """Mail for ever, one at a time; each is acknowledged when the next is asked for."""
        while True:
            yield from self.check(wait=60.0)

    def ack(self, mail: Iterable[Mail] | None = None) -> int:
        """Acknowledge these messages, or all that the last check returned. Acknowledged mail never comes back."""
        ids = self._unacked if mail is None else [m.id for m in mail]
        if not ids:
            return 0
        reply = self.request("ack", ids=ids)
        gone = set(ids)
        self._unacked = [i for i in self._unacked if i not in gone]
        return int(reply["acked"])

    def release(self, mail: Iterable[Mail]) -> int:
        """Give messages back unread; the next check has them again."""
        ids = [m.id for m in mail]
        self._unacked = [i for i in self._unacked if i not in set(ids)]
        return int(self.request("release", ids=ids)["released"])

    def list(self) -> list[dict[str, str]]:
        """Registered instances: ``id`` and ``last_seen`` (UTC, ISO 8601)."""
        instances: list[dict[str, str]] = self.request("list")["instances"]
        return instances

    def rename(self, new_name: str) -> str:
        """Take another name, at most once an hour; the old one forwards for two. Returns the broker's sentence."""
        reply = self.request("rename", old_id=self.name, new_id=new_name)
        self.name = new_name
        return str(reply["message"])


def connect(
    name: str,
    *,
    token: str | None = None,
    settings: Settings | None = None,
    autostart: bool = True,
    door: str = "zmq",
    key_file: str | None = None,
) -> Client:
    """Register ``name`` (or resume the session of ``token``) and return its client; starts the service if there is none.

    Registering a live name takes it over: its earlier session ends. With ``key_file`` (default $IPC_KEY_FILE) the service is
    that of another machine. Raises IpcError, SettingsError.
    """
    settings = settings or Settings.load()
    connection = Connection(settings, autostart=autostart, door=door, key_file=key_file)
    try:
        if token is not None:
            found = connection.request("whoami", session_token=token)
            return Client(connection, found["instance_id"], token, found["queued"])
        secret = "" if connection._handshakes else auth_token(name, settings.shared_secret)  # which is this machine's
        reply = connection.request("register", instance_id=name, auth_token=secret)
        return Client(connection, name, reply["session_token"], reply["queued"])
    except BaseException:
        connection.close()
        raise
