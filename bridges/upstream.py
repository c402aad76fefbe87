"""A door's clients over its one connection to the broker.

    client --ask, subscribe--> Upstream --> broker
       ^                          |
       '----- replies, pushes ----'

A ``DoorClient`` owns what the broker does for it: its subscriptions, and the mail that it was handed. When the client goes, its
subscriptions end at the broker, and the mail that it has not acknowledged goes back.

    handed --written--> sent --evidence that it was taken--> acknowledged
       '------------------+---- the client is gone --------> given back; what was never written, as never shown
"""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from broker.client.aio import AsyncConnection
from broker.home.logs import Log
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError
from broker.protocol.essentials import STORES
from broker.protocol.ids import ascending_id

OnReply = Callable[[dict[str, Any]], bool]
"""Called with the reply to a request, also an error. Returns False if nobody is there any more to take the mail it brings."""
Receive = Callable[[dict[str, Any]], None]
_TIMEOUT_S = 20.0
_FINISH_S = 2.0
_LONGEST_WAIT_S = ACTIONS["check"].field("wait_s").most
_IDS_AT_ONCE = ACTIONS["ack"].field("ids").most
_UNCERTAIN = ("timeout", "unavailable")
"""Codes of errors after which the broker may have done what it was asked."""
_NOBODY = 0
"""Number that no subscribe request has."""


class Upstream:
    """The connection to the broker, and requests that no client waits for."""

    def __init__(self, broker: AsyncConnection, log: Log, bulk: AsyncConnection | None = None) -> None:
        """``bulk``: a second connection, where one client's requests delay no other's."""
        self.loop = asyncio.get_running_loop()
        self._broker = broker
        self._bulk = bulk or broker
        self._log = log
        self._mark = os.urandom(6).hex()
        self._messages = itertools.count(1)
        self._background = 0
        self._idle: asyncio.Future[None] | None = None
        broker.on_orphan = self._orphan

    def submit(self, body: dict[str, Any], on_reply: OnReply, *, bulk: bool = False) -> int:
        """Pass a request on; its number. The connection takes the dict over. Raises IpcError once it is closed.

        ``bulk``: over the second connection, whose replies may bring no mail.

        A message without an id gets one from this door: after a broker's death the connection asks again, and the message is
        stored once.
        """
        if self.name(body):
            on_reply = partial(_as_unnamed, on_reply)
        wait_s = body.get("wait_s")
        patience_s = _TIMEOUT_S
        if isinstance(wait_s, (int, float)) and 0 < wait_s <= _LONGEST_WAIT_S:
            patience_s = _TIMEOUT_S + wait_s
        return (self._bulk if bulk else self._broker).submit(body, on_reply, patience_s)

    def submit_run(self, bodies: list[dict[str, Any]], on_reply: OnReply, *, bulk: bool) -> int:
        """Pass on requests that came together, of the kinds that ``broker.client.pending`` takes so, whose messages have got
        names; the number of the first, from which the others count on. ``on_reply`` gets all replies. Raises IpcError."""
        return (self._bulk if bulk else self._broker).submit_run(bodies, on_reply, _TIMEOUT_S)

    def name(self, body: dict[str, Any]) -> bool:
        """Give a message an id if it has none; True if it got one, whose reply ``unname`` is for."""
        if body.get("action") in STORES and body.get("message_id") is None:
            body["message_id"] = ascending_id(f"{self._mark}-{next(self._messages):08x}")
            return True
        return False

    def acknowledge(self, token: Any, ids: list[str], **evidence: str) -> None:
        """Acknowledge mail that was read. Nobody waits for the reply."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            self._spawn({"action": "ack", "session_token": token, "ids": ids[start : start + _IDS_AT_ONCE], **evidence})

    def give_back(self, token: Any, ids: list[str], *, unseen: bool) -> None:
        """Give back mail that was not read. ``unseen``: it was not shown to anybody either."""
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = ids[start : start + _IDS_AT_ONCE]
            self._spawn({"action": "release", "session_token": token, "ids": some, "unseen": unseen})

    async def finish(self) -> None:
        """Wait until the requests that no client waits for are done, at most 2 s."""
        end_s = self.loop.time() + _FINISH_S
        while self._background and self.loop.time() < end_s:
            self._idle = self.loop.create_future()
            await asyncio.wait([self._idle], timeout=end_s - self.loop.time())

    def listen(self, number: int, receive: Receive) -> None:
        """Pass the pushes of a subscribe request to ``receive``."""
        self._broker.on_push[number] = receive

    def forget(self, number: int) -> None:
        """Forget a subscription that has ended at the broker."""
        self._broker.end_pushes(number)

    def unsubscribe(self, number: int, token: Any) -> None:
        """End a subscription. Mail that is pushed before the broker has heard of it goes back."""

        def late(push: dict[str, Any]) -> None:
            self.give_back(token, [m["id"] for m in push.get("messages", ())], unseen=True)

        self._broker.end_pushes(number, late)
        body = {"action": "unsubscribe", "session_token": token, "subscription": number}
        self._spawn(body, lambda: self.forget(number))

    def end_wait(self, number: int, token: Any) -> None:
        """Have a waiting request answered now."""
        self._spawn({"action": "unsubscribe", "session_token": token, "subscription": number})

    def _spawn(self, body: dict[str, Any], then: Callable[[], object] = lambda: None) -> None:
        def done(reply: dict[str, Any]) -> bool:
            self._background -= 1
            then()
            if reply.get("status") != "ok":  # the lease ends by itself
                self._log.warning("settle_failed", action=body["action"], code=reply.get("code"))
            if not self._background and self._idle is not None and not self._idle.done():
                self._idle.set_result(None)
            return True

        with contextlib.suppress(IpcError):  # closed: the broker gives back what is on lease
            self._broker.submit(body, done, _TIMEOUT_S)
            self._background += 1

    def _orphan(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        """Give back the mail of a reply that came after its request had timed out."""
        self.give_back(request.get("session_token"), [m["id"] for m in reply["messages"]], unseen=True)


def _as_unnamed(on_reply: OnReply, reply: dict[str, Any]) -> bool:
    unname(reply)
    return on_reply(reply)


def unname(reply: dict[str, Any]) -> None:
    """Make it the reply to a message without an id of its own: the client knows it by its number."""
    if "number" in reply:
        reply["message_id"] = reply["number"]
        for name in ("duplicate", "note"):
            reply.pop(name, None)


class Handed:
    """The mail of one reply or push, until it is settled."""

    __slots__ = ("end", "ids", "pushed", "token")

    def __init__(self, token: Any, ids: list[str], *, pushed: bool) -> None:
        self.token = token
        self.ids = ids
        self.pushed = pushed
        self.end: int | None = None
        """Where it ends among the bytes that were written to the client; None before it was."""


class ClientSubscription:
    """One subscription of a client. ``name`` is the client's own id of the subscribe request."""

    __slots__ = ("name", "token")

    def __init__(self, name: Any, token: Any) -> None:
        self.name = name
        self.token = token


class DoorClient:
    """One client of a door, from its first request until ``end``. It may act for several sessions."""

    __slots__ = ("_handed", "_subscriptions", "_up", "_waits")

    def __init__(self, upstream: Upstream) -> None:
        self._up = upstream
        self._subscriptions: dict[int, ClientSubscription] = {}
        """By the number of the subscribe request at the broker."""
        self._handed: list[Handed] = []
        self._waits: dict[int, Any] = {}
        """Tokens of requests that wait for mail, by their number at the broker."""

    # requests

    def ask(self, body: dict[str, Any], on_reply: OnReply, *, bulk: bool = False) -> None:
        """Make a request. The connection takes the dict over. Raises IpcError once the connection is closed."""
        if not body.get("wait_s"):
            self._up.submit(body, on_reply, bulk=bulk)
            return

        def answered(reply: dict[str, Any]) -> bool:
            self._waits.pop(number, None)
            return on_reply(reply)

        token = body.get("session_token")
        number = self._up.submit(body, answered)
        self._waits[number] = token

    @property
    def waits(self) -> bool:
        """True while a request waits for mail."""
        return bool(self._waits)

    def end_waits(self) -> None:
        """Nobody is there any more to wait: what waits is answered now. So no name is held by who has left."""
        while self._waits:
            self._up.end_wait(*self._waits.popitem())

    @property
    def subscriptions(self) -> int:
        """Number of them that are open."""
        return len(self._subscriptions)

    def subscribe(self, body: dict[str, Any], name: Any, receive: Receive, on_reply: OnReply) -> None:
        """Make a subscribe request; ``receive`` gets its pushes until it ends. Raises IpcError."""

        def answered(reply: dict[str, Any]) -> bool:
            if reply.get("status") != "ok":
                self._end_subscription(number, certain=reply.get("code") not in _UNCERTAIN)
            return on_reply(reply)

        def pushed(push: dict[str, Any]) -> None:
            if push.get("status") == "error":  # the broker has ended it
                self._end_subscription(number, certain=True)
            receive(push)

        subscription = ClientSubscription(name, body.get("session_token"))
        number = self._up.submit(body, answered)
        self._subscriptions[number] = subscription
        self._up.listen(number, pushed)

    def unsubscribe(self, body: dict[str, Any], on_reply: OnReply) -> None:
        """End the session's subscription that the request names, or without a name all that it has here. Raises IpcError."""
        token, name = body.get("session_token"), body.get("subscription")
        if not isinstance(name, (int, str, type(None))) or isinstance(name, bool):  # the broker says what is wrong with it
            self.ask(body, on_reply)
            return
        for number, one in list(self._subscriptions.items()):
            if one.token == token and name in (None, one.name):
                self._end_subscription(number)
        self.ask({**body, "subscription": _NOBODY}, on_reply)  # answered after those

    def _end_subscription(self, number: int, *, certain: bool = False) -> None:
        """End it here, and at the broker unless that has none of this number for certain."""
        one = self._subscriptions.pop(number, None)
        if one is None:
            return
        if certain:
            self._up.forget(number)
        else:
            self._up.unsubscribe(number, one.token)

    # mail

    @property
    def holds_mail(self) -> bool:
        return bool(self._handed)

    def hand(self, token: Any, ids: list[str], *, pushed: bool = False) -> Handed:
        """Note mail that the client is about to get."""
        handed = Handed(token, ids, pushed=pushed)
        if ids:
            self._handed.append(handed)
        return handed

    def keep(self, handed: Handed, shown: set[str]) -> None:
        """Give back all mail but the ids in ``shown``, which will reach the client."""
        gone = [i for i in handed.ids if i not in shown]
        if gone:
            handed.ids = [i for i in handed.ids if i in shown]
            self._up.give_back(handed.token, gone, unseen=True)

    def taken(self, token: Any, end: int) -> None:
        """Acknowledge what a session fetched within the first ``end`` bytes that were written, which the client has read."""
        read: list[str] = []
        left = []
        for handed in self._handed:
            if handed.token == token and not handed.pushed and handed.end is not None and handed.end <= end:
                read += handed.ids
            else:
                left.append(handed)
        self._handed = left
        self._up.acknowledge(token, read)

    def disown(self, request: dict[str, Any]) -> None:
        """Forget mail that the client acknowledges or gives back itself, so that it is not settled at the end."""
        token, given = request.get("session_token"), request.get("ids")
        if given is not None and not isinstance(given, list):  # which the broker refuses
            return
        ids = None if given is None else {str(i) for i in given}
        for handed in self._handed:
            if handed.token == token:
                handed.ids = [] if ids is None else [i for i in handed.ids if i not in ids]
        self._handed = [h for h in self._handed if h.ids]

    def settle(self, *, acknowledge: bool) -> None:
        """Acknowledge what was fetched, as the client closed in order, or give it back.

        What was pushed or never written goes back in any case.
        """
        read: dict[Any, list[str]] = {}
        unread: dict[tuple[Any, bool], list[str]] = {}
        for handed in self._handed:
            unseen = handed.end is None
            if acknowledge and not handed.pushed and not unseen:
                read.setdefault(handed.token, []).extend(handed.ids)
            else:
                unread.setdefault((handed.token, unseen), []).extend(handed.ids)
        self._handed = []
        for token, ids in read.items():
            self._up.acknowledge(token, ids, evidence="closed")
        for (token, unseen), ids in unread.items():
            self._up.give_back(token, ids, unseen=unseen)

    def end(self, *, acknowledge: bool = False) -> None:
        """The client is gone: end its subscriptions and settle its mail."""
        self.end_waits()
        for number in list(self._subscriptions):
            self._end_subscription(number)
        self.settle(acknowledge=acknowledge)
