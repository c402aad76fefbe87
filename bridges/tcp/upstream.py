"""From a JSON request to the broker's and back. Field names are the same; what differs is said here."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from functools import cached_property
from typing import Any

import nlparse
from bridges.say import vocabulary
from bridges.tcp.admission import Admission
from bridges.tcp.peer import Peer
from bridges.tcp.room import Room
from broker.actions import ACTIONS, Access
from broker.aio import AsyncConnection
from broker.errors import IpcError, SettingsError
from broker.logs import Log
from broker.settings import Settings

_TIMEOUT_S = 20.0
_FINISH_S = 2.0
_LEGACY_LIMIT = 1000
DELIVERING = frozenset(n for n, a in ACTIONS.items() if a.delivers)
"""Actions whose reply hands out mail that has to be acknowledged."""
OPEN_ACTIONS = dict.fromkeys(n for n, a in ACTIONS.items() if a.access is Access.SESSION or n == "register")
"""What the port passes on. ``status`` and ``ping`` need no token, so they stay inside the private socket."""
PRIVATE_ACTIONS = dict.fromkeys(n for n, a in ACTIONS.items() if a.access is not Access.OWNER)


class Upstream:
    """The door's one connection to the broker, and its rules."""

    def __init__(self, settings: Settings, broker: AsyncConnection, log: Log) -> None:
        self.settings = settings
        self._broker = broker
        self._log = log
        self.loop = asyncio.get_running_loop()
        self.admission = Admission(settings, log)
        self.room = Room(self.loop)
        self._background = 0
        self._idle: asyncio.Future[None] | None = None
        broker.on_orphan = self._orphan
        # a message's text may take six bytes a byte as JSON
        self.request_limit_bytes = settings.message_limit_bytes * 2 + 64 * 1024

    @cached_property
    def words(self) -> nlparse.Vocabulary:
        """What plain words are read with. Raises IpcError where config.toml has bad ones."""
        try:
            return vocabulary(self.settings.home)
        except SettingsError as e:
            raise IpcError("bad_request", detail=str(e)) from None

    def note_fault(self, error: BaseException) -> str:
        """Log what should not have happened; the reference that the client is told."""
        return self._log.exception(error, door="tcp")

    def now_s(self) -> float:
        return self.loop.time()

    def ask(
        self,
        request: dict[str, Any],
        peer: Peer,
        reply_limit_bytes: int | None,
        on_reply: Callable[[dict[str, Any]], bool],
        *,
        private: bool,
    ) -> None:
        """Pass a request on; ``on_reply`` gets its reply as this door shows it.

        With a limit, archived messages that do not fit are left for the next page. Raises IpcError.
        """
        body = self._body(request, private=private)
        if body["action"] == "register" and not private:
            self.admission.check_register(peer)
            if peer.verdict == "foreign":
                body["peer_uid"] = peer.uid

        def shown(reply: dict[str, Any]) -> bool:
            reply = _shown(reply)
            if reply_limit_bytes is not None and "messages" in reply:
                kept = fitting(reply["messages"], reply_limit_bytes)
                reply["more"] = reply["more"] or kept < len(reply["messages"])
                del reply["messages"][kept:]
            return on_reply(reply)

        self._broker.submit(body, shown)

    def check(
        self,
        request: dict[str, Any],
        reply_limit_bytes: int | None,
        on_reply: Callable[[dict[str, Any], list[str]], bool],
        *,
        private: bool,
    ) -> None:
        """A ``check`` or ``ask``: ``on_reply`` gets (reply, ids handed out). With a limit, mail that does not fit goes back
        and ``more`` counts it. Raises IpcError."""
        body = self._body(request, private=private)
        legacy = "door" not in body
        if reply_limit_bytes is not None and body["action"] == "check":
            body.setdefault("limit", _LEGACY_LIMIT)
            body["max_bytes"] = min(int(body.get("max_bytes") or reply_limit_bytes), reply_limit_bytes)
        wait_s = body.get("wait_s")
        patience_s = _TIMEOUT_S + wait_s if isinstance(wait_s, (int, float)) and 0 < wait_s <= 3600 else None

        def shown(reply: dict[str, Any]) -> bool:
            reply = _shown(reply)
            if reply.get("status") != "ok":
                return on_reply(reply, [])
            self._fit(request, reply, reply_limit_bytes, legacy=legacy)
            return on_reply(reply, [m["id"] for m in reply["messages"]])

        self._broker.submit(body, shown, patience_s)

    def _fit(self, request: dict[str, Any], reply: dict[str, Any], limit_bytes: int | None, *, legacy: bool) -> None:
        """Make of a reply with mail what this client can take."""
        messages = reply["messages"]
        if legacy:
            messages = [legacy_message(m) for m in messages]
        more = int(reply.get("more", 0))
        if limit_bytes is not None:
            kept = fitting(messages, limit_bytes)
            if kept < len(messages):
                self.settle(str(request.get("session_token")), [m["id"] for m in messages[kept:]], acknowledge=False)
                more += len(messages) - kept
                messages = messages[:kept]
        reply["messages"] = messages
        if more:
            reply["more"] = more
        else:
            reply.pop("more", None)

    def subscribe(
        self,
        request: dict[str, Any],
        receive: Callable[[dict[str, Any]], None],
        on_reply: Callable[[int, dict[str, Any]], bool],
        *,
        private: bool,
    ) -> None:
        """Pushes go to ``receive`` until ``unsubscribe`` with the number that ``on_reply`` gets. Raises IpcError."""

        def shown(push: dict[str, Any]) -> None:
            push.pop("id", None)
            if "messages" in push:
                push["messages"] = [legacy_message(m) for m in push["messages"]]
            receive(push)

        def answered(reply: dict[str, Any]) -> bool:
            reply = _shown(reply)
            if reply.get("status") != "ok":
                self._broker.on_push.pop(number, None)
            return on_reply(number, reply)

        number = self._broker.submit(self._body(request, private=private), answered)
        self._broker.on_push[number] = shown

    def unsubscribe(self, number: int, token: str) -> None:
        """End it; what is pushed before the broker has heard of that goes back."""

        def late(push: dict[str, Any]) -> None:
            if push.get("messages"):
                self.settle(token, [m["id"] for m in push["messages"]], acknowledge=False)

        self._broker.on_push[number] = late
        body = {"action": "unsubscribe", "session_token": token, "subscription": number}
        self._spawn(body, lambda: self._broker.on_push.pop(number, None))

    def settle(self, token: str, ids: list[str], *, acknowledge: bool) -> None:
        """Acknowledge or give back mail without anybody waiting for it."""
        self._spawn({"action": "ack" if acknowledge else "release", "session_token": token, "ids": ids})

    async def finish(self) -> None:
        """Wait for what was left to be done in the background."""
        end_s = self.now_s() + _FINISH_S
        while self._background and self.now_s() < end_s:
            self._idle = self.loop.create_future()
            await asyncio.wait([self._idle], timeout=end_s - self.now_s())

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
            self._broker.submit(body, done)
            self._background += 1

    def _orphan(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        self.settle(str(request.get("session_token")), [m["id"] for m in reply["messages"]], acknowledge=False)

    def _body(self, request: dict[str, Any], *, private: bool) -> dict[str, Any]:
        """What the broker is asked. On the private socket a request may name its ``door``: then a door of ours speaks (the
        command line, a hook), the logs call it so, and it gets mail in the broker's form."""
        action = request.get("action")
        known = PRIVATE_ACTIONS if private else OPEN_ACTIONS
        if not isinstance(action, str) or action not in known:
            raise IpcError("unknown_action", action=str(action)[:64], known=", ".join(known))
        body = request.copy()  # whose id the connection sets
        body.pop("peer_uid", None)
        if not private or not isinstance(body.get("door"), str):
            body.pop("door", None)
        return body


def _shown(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply without the wire's own id, status first as legacy clients print it."""
    reply.pop("id", None)
    if next(iter(reply), None) == "status":
        return reply
    return {"status": reply.pop("status", "error"), **reply}


def legacy_message(m: dict[str, Any]) -> dict[str, Any]:
    """A message in the seed's form: a large one names its file in ``data``."""
    file = m.get("file")
    if file is not None:
        message = dict(m["message"])
        data = message.get("data")
        if data is None or isinstance(data, dict):
            named = {"large_message_file": file["path"], "original_size_kb": round(file["size_bytes"] / 1024, 1)}
            message["data"] = {**(data or {}), **named, "sha256": file["sha256"]}
        m["message"] = message
    return m


def fitting(messages: list[dict[str, Any]], limit_bytes: int) -> int:
    """How many messages, from the first, fit a reply of so many bytes; one at least, which the broker's limits make fit."""
    used = len(b'{"status": "ok", "messages": [], "more": 1000000000}')
    for count, message in enumerate(messages):
        used += len(json.dumps(message, ensure_ascii=False).encode()) + 2
        if used > limit_bytes and count:
            return count
    return len(messages)
