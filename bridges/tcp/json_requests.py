"""JSON requests to the broker's requests, and replies back. Field names are the same; this file holds what differs.

What a one-shot ``check`` acknowledges, and on which evidence, stands in the table of ``bridges.tcp.lifecycle``.
"""

import itertools
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bridges.peers import PeerProcess
from bridges.tcp.admission import Admission
from bridges.tcp.memory import Room
from bridges.upstream import Upstream
from broker.client.aio import AsyncConnection
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError, SettingsError
from broker.protocol.former_actions import FORMER_ACTIONS
from broker.protocol.rows import Access

if TYPE_CHECKING:
    from bridges.plain_words import Vocabulary

_LEGACY_LIMIT = 1000
OURS = frozenset({"peer_uid", "door", "client", "person"})
"""Fields that a client may not set: this door fills them in, or nobody does."""
OPEN_ACTIONS = dict.fromkeys(n for n, a in ACTIONS.items() if (a.access is Access.SESSION and not a.here) or n == "register")
"""What the port passes on. ``status`` and ``ping`` need no token, so they stay with the broker's own socket."""


class JsonUpstream(Upstream):
    """The way to the broker with this door's rules, and its two lanes (``bridges.tcp.pace``)."""

    def __init__(self, settings: Settings, broker: AsyncConnection, bulk: AsyncConnection, log: Log) -> None:
        super().__init__(broker, log, bulk)
        self.settings = settings
        self.admission = Admission(settings, log)
        self.room = Room(self.loop)
        self._clients = itertools.count(1)
        self._flushes: deque[Callable[[], None]] = deque()
        broker.after_frame = bulk.after_frame = self._flush_all
        # a message's text may take six bytes a byte as JSON
        self.request_limit_bytes = settings.message_limit_bytes * 2 + 64 * 1024

    @cached_property
    def words(self) -> "Vocabulary":
        """What plain words are read with. Raises IpcError where config.toml has bad ones."""
        from bridges.plain_words import vocabulary  # a door that nobody speaks to in plain words does without the parser

        try:
            return vocabulary(self.settings.home)
        except SettingsError as e:
            raise IpcError("bad_request", detail=str(e)) from None

    def hurry(self) -> None:
        """Let the quick lane's requests not wait for what else the loop has to do, if that is a flood."""
        if self._bulk.in_flight:
            self._broker.hurry()

    def plan_flush(self, flush: Callable[[], None]) -> None:
        """Have a connection write its replies: after the frame that is being taken, or in the loop's next turn."""
        if not self._flushes:
            self.loop.call_soon(self._flush_all)
        self._flushes.append(flush)

    def _flush_all(self) -> None:
        flushes, self._flushes = self._flushes, deque()
        try:
            while flushes:
                flushes.popleft()()
        finally:
            for flush in flushes:  # what an unexpected exception has left
                self.plan_flush(flush)

    def name_client(self) -> str:
        """What the broker is told of a connection, to tell it from the door's others."""
        return str(next(self._clients))

    def note_fault(self, error: BaseException) -> str:
        """Log an unexpected exception; the reference that the client is told."""
        return self._log.exception(error, door="tcp")

    def now_s(self) -> float:
        return self.loop.time()

    def limit_mail(self, body: dict[str, Any], limit_bytes: int) -> None:
        """Limit the mail of a ``check`` to what fits a reply of ``limit_bytes``."""
        body.setdefault("limit", _LEGACY_LIMIT)
        wanted = body.get("max_bytes")
        if wanted is None or (type(wanted) is int and wanted > limit_bytes):  # what is no number the broker refuses
            body["max_bytes"] = limit_bytes

    def body(self, request: dict[str, Any], peer: PeerProcess, client: str) -> dict[str, Any]:
        """What the broker is asked; ``client`` names the connection. Raises IpcError for what this door does not pass on."""
        action = request.get("action")
        if not isinstance(action, str) or (action not in OPEN_ACTIONS and action not in FORMER_ACTIONS):
            raise IpcError("unknown_action", action=str(action)[:64], known=", ".join(OPEN_ACTIONS))
        body = request.copy()  # whose id the connection sets
        for name in OURS:
            body.pop(name, None)
        if action in ("register", "subscribe"):
            body["client"] = client
        if peer.verdict != "ours" and isinstance(body.get("body"), dict):
            body["body"] = {**body["body"], "pid": 0}  # of a process that is not this machine's, or not seen as ours
        if action == "register":
            self.admission.check_register(peer)
            if peer.verdict == "foreign":
                body["peer_uid"] = peer.uid
        return body


def shown(reply: dict[str, Any], *, delivers: bool) -> dict[str, Any]:
    """A reply without the wire's own id, status first as legacy clients print it, its mail on lease in their form."""
    reply.pop("id", None)
    if next(iter(reply), None) != "status":
        reply = {"status": reply.pop("status", "error"), **reply}
    if delivers and reply["status"] == "ok":
        reply["messages"] = [legacy_message(m) for m in reply["messages"]]
        if not reply.get("more"):
            reply.pop("more", None)
    return reply


def legacy_message(m: dict[str, Any]) -> dict[str, Any]:
    """A message in the older system's form: a large one names its file in ``data``."""
    file = m.get("file")
    if file is not None:
        message = dict(m["message"])
        data = message.get("data")
        if data is None or isinstance(data, dict):
            named = {"large_message_file": file["path"], "original_size_kb": round(file["size_bytes"] / 1024, 1)}
            message["data"] = {**(data or {}), **named, "sha256": file["sha256"]}
        m["message"] = message
    return m
