"""Requests of other machines, on their way to the broker and back.

Wire, requests and replies are the broker's own (broker/PROTOCOL.md). This door adds four things. Each request carries the name
that its client's key stands for (``bound_name``), and the broker refuses what is another's. A key takes the shared secret's
place. Large messages arrive whole (``redaction.py``). A key that is not allowed any more gets nothing (``revocation.py``).
"""

import asyncio
from typing import Any

import zmq

from bridges.remote.curve_socket import Gate
from bridges.remote.redaction import hide_place, make_whole, outside_view
from bridges.remote.revocation import is_revoked, refusal, refusals
from bridges.upstream import DoorClient, Upstream
from broker.client.aio import AsyncConnection
from broker.home.keys import AllowList, KeyPair
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError
from broker.protocol.former_actions import FORMER_ACTIONS
from broker.protocol.ids import auth_token
from broker.protocol.rows import Access

OPEN_ACTIONS = tuple(
    n for n, a in ACTIONS.items() if (a.access is Access.SESSION and not a.here) or n in ("register", "ping", "status", "sites")
)
WAITING_LIMIT = 1024
"""Requests of one key that may wait for replies."""
WAITING_BYTES = 64 * 1024 * 1024
"""Bytes of one key's requests that may wait; the first is taken at any length. A client that sends and does not read must not
fill this machine."""
SUBSCRIPTIONS_LIMIT = 64
"""Subscriptions of one connection. An agent has one, or one for each of its tools."""
_OURS = frozenset({"id", "door", "peer_uid", "auth_token", "bound_name", "person", "client", "body"})
"""Fields that a client may not set: this door fills them in. A key says nothing of who types."""
Reply = tuple[dict[str, Any], Any]
"""A reply or push, and the token of the session it is for."""
_PART_BYTES = 1024 * 1024
"""A frame of replies ends after this many bytes, or after 256 replies."""
_PART_REPLIES = 256


class RemoteClient:
    """One connection of another machine, for as long as something is due to it."""

    __slots__ = ("client", "key", "name", "outbox", "route", "waiting")

    def __init__(self, route: bytes, key: str, name: str, client: DoorClient) -> None:
        self.route = route
        self.key = key
        self.name = name
        self.client = client
        self.waiting = 0
        self.outbox: list[Reply] = []


class Load:
    """Requests of one key that wait for replies, over all its connections."""

    __slots__ = ("requests", "size_bytes")

    def __init__(self) -> None:
        self.requests = 0
        self.size_bytes = 0

    def check(self, size_bytes: int) -> None:
        """Raise IpcError where one more request would be too much."""
        if self.requests >= WAITING_LIMIT:
            raise IpcError("overloaded", limit=WAITING_LIMIT, retry_after_s=0.1)
        if self.requests and self.size_bytes + size_bytes > WAITING_BYTES:
            raise IpcError("overloaded", limit=self.requests, retry_after_s=0.1)


class Door:
    """All peers over one connection to the broker."""

    def __init__(self, settings: Settings, broker: AsyncConnection, allowed: AllowList, log: Log) -> None:
        self._settings = settings
        self._home = str(settings.home)
        self._upstream = Upstream(broker, log)
        self._allowed = allowed
        self._log = log
        self._peers: dict[bytes, RemoteClient] = {}
        self._loads: dict[str, Load] = {}
        self._unsent: dict[RemoteClient, None] = {}
        self._loop = asyncio.get_running_loop()
        self._gate: Gate | None = None

    def open(self, address: str, pair: KeyPair, frame_limit_bytes: int) -> str:
        """Let other machines in; the address with its port. Raises zmq.ZMQError."""
        self._gate = Gate(self._allowed, self.take, self.end, self._log)
        try:
            return self._gate.open(address, pair, frame_limit_bytes)
        except zmq.ZMQError:
            self.close()
            raise

    def close(self) -> None:
        if self._gate is not None:
            self._gate.close()
            self._gate = None

    # requests

    def take(self, route: bytes, key: str, frame: bytes) -> None:
        """One frame of a peer."""
        name = self._allowed.name_of(key)
        peer = self._peers.get(route)
        if peer is None or (peer.key, peer.name) != (key, name):
            if peer is not None:
                peer.client.end()
            peer = self._peers[route] = RemoteClient(route, key, name or "", DoorClient(self._upstream))
        try:
            bodies = frames.decode(frame)
        except frames.FrameError as e:
            self._answer(peer, {"id": None, **IpcError("bad_request", detail=f"Bad frame: {e}").to_wire()})
            return
        size_bytes = len(frame) // len(bodies) + 1
        token: Any = None
        for body in bodies:
            token = body.get("session_token", token)
            try:
                if name is None:
                    raise refusal(key)
                self._submit(peer, body, token, size_bytes)
            except IpcError as error:
                self._answer(peer, {"id": body.get("id"), **error.to_wire()})
            except Exception as error:  # the one broad catch of this process: the client gets a reference, the log the rest
                ref = self._log.exception(error, door="remote", name=name)
                self._answer(peer, {"id": body.get("id"), **IpcError("internal", ref=ref).to_wire()})

    def end(self, route: bytes) -> None:
        """A connection has ended: nothing waits for it any more, and no name is held by it."""
        peer = self._peers.pop(route, None)
        if peer is not None:
            peer.client.end()

    def _submit(self, peer: RemoteClient, body: dict[str, Any], token: Any, size_bytes: int) -> None:
        action, number = body.get("action"), body.get("id")
        if not isinstance(action, str) or (action not in OPEN_ACTIONS and action not in FORMER_ACTIONS):
            raise IpcError("unknown_action", action=str(action)[:64], known=", ".join(OPEN_ACTIONS))
        load = self._loads.get(peer.key) or Load()
        load.check(size_bytes)
        if action == "subscribe" and peer.client.subscriptions >= SUBSCRIPTIONS_LIMIT:
            raise IpcError("overloaded", limit=SUBSCRIPTIONS_LIMIT, retry_after_s=1.0)
        request = {k: v for k, v in body.items() if k not in _OURS}
        request |= {"session_token": token, "bound_name": peer.name}
        if action in ("register", "subscribe"):
            request["client"] = peer.route.hex()
        if action == "register":
            request["auth_token"] = auth_token(peer.name, self._settings.shared_secret)
            request["body"] = {"kind": "process", "key": peer.key, "host": "key"}

        def replied(reply: dict[str, Any]) -> bool:
            self._settle(peer, size_bytes)
            self._answer(peer, {**outside_view(action, reply, self._home), "id": number}, token)
            return True

        def receive(push: dict[str, Any]) -> None:
            self._answer(peer, {**hide_place(push), "id": number}, token)

        if action == "subscribe":
            peer.client.subscribe(request, number, receive, replied)
        elif action == "unsubscribe":
            peer.client.unsubscribe(request, replied)
        else:
            peer.client.ask(request, replied)
        peer.waiting += 1
        load = self._loads.setdefault(peer.key, load)
        load.requests += 1
        load.size_bytes += size_bytes

    def _settle(self, peer: RemoteClient, size_bytes: int) -> None:
        peer.waiting -= 1
        load = self._loads[peer.key]
        load.requests -= 1
        load.size_bytes -= size_bytes
        if not load.requests:
            del self._loads[peer.key]

    # replies

    def _answer(self, peer: RemoteClient, reply: dict[str, Any], token: Any = None) -> None:
        """Queue a reply or push: those of one turn of the loop share a frame."""
        peer.outbox.append((reply, token))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent[peer] = None

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for peer in unsent:
            outbox, peer.outbox = peer.outbox, []
            if peer.name and is_revoked(self._allowed, peer.key, peer.name):
                self._turn_away(peer, outbox)
            else:
                self._send_all(peer, outbox)
            if not peer.waiting and not peer.client.subscriptions and self._peers.get(peer.route) is peer:
                del self._peers[peer.route]

    def _send_all(self, peer: RemoteClient, outbox: list[Reply]) -> None:
        """Send replies in frames of about 1 MiB. The files of large messages are read just before their frame goes out."""
        part: list[Reply] = []
        size = 0
        for position, (reply, token) in enumerate(outbox, 1):
            size += make_whole(reply.get("messages", ()))
            part.append((reply, token))
            if size >= _PART_BYTES or len(part) == _PART_REPLIES or position == len(outbox):
                if not self._put(peer, [body for body, _token in part]):
                    self._undeliverable(peer, [*part, *outbox[position:]])
                    return
                part, size = [], 0

    def _undeliverable(self, peer: RemoteClient, replies: list[Reply]) -> None:
        self._log.info("reply_undeliverable", name=peer.name, replies=len(replies))
        self._give_back(replies)
        peer.client.end()

    def _turn_away(self, peer: RemoteClient, replies: list[Reply]) -> None:
        """Refuse a client whose key was revoked while requests waited: its mail goes back, and it is told."""
        self._log.warning("key_turned_away", key=peer.key, name=peer.name)
        self._give_back(replies)
        peer.client.end()
        for part in frames.batches(refusals(peer.key, (reply for reply, _token in replies))):
            self._put(peer, part)

    def _put(self, peer: RemoteClient, bodies: list[dict[str, Any]]) -> bool:
        return self._gate is not None and self._gate.send(peer.route, frames.encode(bodies))

    def _give_back(self, replies: list[Reply]) -> None:
        for reply, token in replies:
            ids = [m["id"] for m in reply.get("messages", ()) if "direction" not in m]
            self._upstream.give_back(token, ids, unseen=True)
