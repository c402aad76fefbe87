"""Requests of other machines, on their way to the broker and back.

The wire is the broker's own (broker/PROTOCOL.md), and so are requests and replies. What this door adds: each request carries
the name that its client's key stands for (``bound_name``), and the broker refuses whatever is another's; a key takes the
shared secret's place; large messages arrive whole; and nothing goes out to a key that is not allowed any more.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

import zmq

from bridges.remote.gate import Gate
from bridges.upstream import Client, Upstream
from broker import wire
from broker.actions import ACTIONS, Access
from broker.aio import AsyncConnection
from broker.bodies import original
from broker.errors import IpcError
from broker.ids import auth_token
from broker.keys import AllowList, Pair
from broker.logs import Log
from broker.settings import Settings

OPEN_ACTIONS = tuple(n for n, a in ACTIONS.items() if a.access is Access.SESSION or n in ("register", "ping", "status"))
WAITING_LIMIT = 1024
"""Requests of one key that may wait for replies at once."""
_SHOWN = frozenset({"id", "status", "version", "protocol", "uptime_s", "limits"})
SUBSCRIPTIONS_LIMIT = 64
"""Of one connection: an agent has one, or one for each of its tools."""
WHOLE_BYTES = 32 * 1024 * 1024
_OURS = frozenset({"id", "door", "peer_uid", "auth_token", "bound_name"})
"""Fields that are this door's to fill in."""


Reply = tuple[dict[str, Any], Any]
"""A reply or push, and the token of the session it is for."""
_PART_BYTES = 1024 * 1024
_PART_REPLIES = 256


class Peer:
    """One connection of another machine, for as long as something is due to it."""

    __slots__ = ("client", "key", "name", "outbox", "route", "waiting")

    def __init__(self, route: bytes, key: str, name: str, client: Client) -> None:
        self.route = route
        self.key = key
        self.name = name
        self.client = client
        self.waiting = 0
        self.outbox: list[Reply] = []


class Door:
    """All peers over one connection to the broker."""

    def __init__(self, settings: Settings, broker: AsyncConnection, allowed: AllowList, log: Log) -> None:
        self._settings = settings
        self._upstream = Upstream(broker, log)
        self._allowed = allowed
        self._log = log
        self._peers: dict[bytes, Peer] = {}
        self._waiting: dict[str, int] = {}
        self._unsent: dict[Peer, None] = {}
        self._loop = asyncio.get_running_loop()
        self._gate: Gate | None = None

    def open(self, address: str, pair: Pair, frame_limit_bytes: int) -> str:
        """Let other machines in; the address with its port. Raises zmq.ZMQError."""
        self._gate = Gate(self._allowed, self.take, self._log)
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
            peer = self._peers[route] = Peer(route, key, name or "", Client(self._upstream))
        try:
            bodies = wire.decode(frame)
        except wire.FrameError as e:
            self._answer(peer, {"id": None, **IpcError("bad_request", detail=f"Bad frame: {e}").to_wire()})
            return
        token: Any = None
        for body in bodies:
            token = body.get("session_token", token)
            try:
                if name is None:
                    raise _refused(key)
                self._submit(peer, body, token)
            except IpcError as error:
                self._answer(peer, {"id": body.get("id"), **error.to_wire()})
            except Exception as error:  # the one broad catch of this process: the client gets a reference, the log the rest
                ref = self._log.exception(error, door="remote", name=name)
                self._answer(peer, {"id": body.get("id"), **IpcError("internal", ref=ref).to_wire()})

    def _submit(self, peer: Peer, body: dict[str, Any], token: Any) -> None:
        action, number = body.get("action"), body.get("id")
        if not isinstance(action, str) or action not in OPEN_ACTIONS:
            raise IpcError("unknown_action", action=str(action)[:64], known=", ".join(OPEN_ACTIONS))
        if self._waiting.get(peer.key, 0) >= WAITING_LIMIT:
            raise IpcError("overloaded", limit=WAITING_LIMIT, retry_after_s=0.1)
        if action == "subscribe" and peer.client.subscriptions >= SUBSCRIPTIONS_LIMIT:
            raise IpcError("overloaded", limit=SUBSCRIPTIONS_LIMIT, retry_after_s=1.0)
        request = {k: v for k, v in body.items() if k not in _OURS}
        request |= {"session_token": token, "bound_name": peer.name}
        if action == "register":
            request["auth_token"] = auth_token(peer.name, self._settings.shared_secret)

        def replied(reply: dict[str, Any]) -> bool:
            self._settle(peer)
            reply["id"] = number
            if action == "status" and reply.get("status") == "ok":
                reply = outside_view(reply)
            self._answer(peer, reply, token)
            return True

        def receive(push: dict[str, Any]) -> None:
            push["id"] = number
            self._answer(peer, push, token)

        if action == "subscribe":
            peer.client.subscribe(request, number, receive, replied)
        elif action == "unsubscribe":
            peer.client.unsubscribe(request, replied)
        else:
            peer.client.ask(request, replied)
        peer.waiting += 1
        self._waiting[peer.key] = self._waiting.get(peer.key, 0) + 1

    def _settle(self, peer: Peer) -> None:
        peer.waiting -= 1
        left = self._waiting[peer.key] - 1
        if left:
            self._waiting[peer.key] = left
        else:
            del self._waiting[peer.key]

    # replies

    def _answer(self, peer: Peer, reply: dict[str, Any], token: Any = None) -> None:
        """Queue a reply or push: those of one turn of the loop share a frame."""
        peer.outbox.append((reply, token))
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent[peer] = None

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, {}
        for peer in unsent:
            outbox, peer.outbox = peer.outbox, []
            if peer.name and self._allowed.name_of(peer.key) != peer.name:
                self._turn_away(peer, outbox)
            else:
                self._send_all(peer, outbox)
            if not peer.waiting and not peer.client.subscriptions and self._peers.get(peer.route) is peer:
                del self._peers[peer.route]

    def _send_all(self, peer: Peer, outbox: list[Reply]) -> None:
        """In frames of a megabyte or a little more. Large messages are read from their files just before: they may be many."""
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

    def _undeliverable(self, peer: Peer, replies: list[Reply]) -> None:
        self._log.info("reply_undeliverable", name=peer.name, replies=len(replies))
        self._give_back(replies)
        peer.client.end()

    def _turn_away(self, peer: Peer, replies: list[Reply]) -> None:
        """The key was revoked while requests waited: the mail goes back, and the client is told."""
        self._log.warning("key_turned_away", key=peer.key, name=peer.name)
        self._give_back(replies)
        peer.client.end()
        refusal = _refused(peer.key).to_wire()
        told = [{"id": r["id"], **({"push": "key_refused"} if "push" in r else {}), **refusal} for r, _token in replies]
        for part in wire.batches(told):
            self._put(peer, part)

    def _put(self, peer: Peer, bodies: list[dict[str, Any]]) -> bool:
        return self._gate is not None and self._gate.send(peer.route, wire.encode(bodies))

    def _give_back(self, replies: list[Reply]) -> None:
        for reply, token in replies:
            ids = [m["id"] for m in reply.get("messages", ()) if "direction" not in m]
            self._upstream.give_back(token, ids)


def make_whole(messages: Iterable[dict[str, Any]]) -> int:
    """Put the text of large messages back: its file is on this machine, where the reader can't open it. Returns the
    characters of all texts.

    Beyond ``WHOLE_BYTES`` together, or where the file is not what was stored, the summary and the file's name stay.
    """
    left, characters = WHOLE_BYTES, 0
    for m in messages:
        file = m.get("file")
        text = None if file is None or file["size_bytes"] > left else original(file["path"], file["sha256"])
        if text is not None:
            left -= len(text)
            m["message"]["content"] = text.decode("utf-8", "replace")
            del m["file"]
        characters += len(m.get("message", {}).get("content", ""))
    return characters


def outside_view(status: dict[str, Any]) -> dict[str, Any]:
    """Of the broker's status what another machine needs: no paths, no sizes, and not how much mail others have."""
    shown = {name: value for name, value in status.items() if name in _SHOWN}
    shown["instances"] = [{k: v for k, v in row.items() if k != "queued"} for row in status["instances"]]
    return shown


def _refused(key: str) -> IpcError:
    return IpcError("key_refused", name="NAME", key=key)
