"""Requests in flight between a client and the broker, over a connection that may break and be replaced.

                     .-------- link lost: sent again with the same id -------.
                     v                                                       |
    begin --> [ waiting to be sent ] --outgoing--> [ on the wire ] ----------'
                     |                                   |
                     |                                   |--reply--> answered
                     '-----------------------------------+--time_out, fail--> answered here, with an error
                                                         '--abandon, time_out--> [ abandoned ] --reply--> on_orphan

This file does no I/O: no socket, no clock, no thread, no asyncio. Drivers (``sync``, ``aio``) carry the frames and pass
the time in, as seconds of one monotonic clock. Rules that both drivers get from here:

- Each request is answered exactly once, by the broker's reply or by an error made here, through the ``on_reply`` it was
  begun with. An abandoned request is answered not at all.
- A reply that brings mail and finds nobody goes to ``on_orphan``: that mail is on lease and must be kept or given back.
- A new link gets every request that has no answer, in the order in which they were begun, with the same ids. Replies that
  were due on the old link never come, so abandoned requests are forgotten.
- A new link also gets the subscriptions that still have a receiver in ``on_push``: a new broker knows none of them.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

from broker.client.wait_left import wait_left
from broker.protocol import frames
from broker.protocol.actions import DELIVERING
from broker.protocol.errors import IpcError

FIRST_SILENCE_S = 5.0
LAST_SILENCE_S = 20.0
"""Seconds of silence after which a link counts as dead: the first at first, doubled each time in vain, at most the last.

A broker's death ends the link and is noticed at once. Silence without a lost link means a busy broker; asking again sooner
would only add load.
"""
_FRAME_REQUESTS = 256
_NOT_CARRIED = (OverflowError, TypeError, ValueError)
"""What MessagePack raises for a value that it can't carry, such as 2**70 or half a surrogate."""

Body = dict[str, Any]
OnReply = Callable[[Body], bool]
"""Gets the reply, an error reply too. False if nobody is there to take what the reply brings."""
Receive = Callable[[Body], None]
"""Gets the pushes of one subscription."""


def _drop(_push: Body) -> None:
    """A push that nobody waits for."""


class Pending:
    """State of one client's requests. Not thread-safe: one driver calls it."""

    def __init__(
        self, door: str, on_orphan: Callable[[Body, Body], None], on_stray_push: Receive = _drop, window: int = 0
    ) -> None:
        """``door`` names the client in the broker's log.

        ``on_orphan`` gets (request, reply). ``on_stray_push`` gets pushes without a receiver in ``on_push``. ``window`` is the
        number of requests that may be on the wire at once, at least 256; 0 for no bound.
        """
        self.on_push: dict[int, Receive] = {}
        """Receivers of pushes, by the id of their ``subscribe`` request."""
        self._door = door
        self._on_orphan = on_orphan
        self._on_stray_push = on_stray_push
        self._window = window
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[Body, OnReply, float, float]] = {}
        """Requests without an answer by id, oldest first, each with its timeout (s) and the second it is due."""
        self._due_s = math.inf
        """No request is due before this second."""
        self._outbox: list[Body] = []
        self._abandoned: dict[int, Body] = {}
        self._subscribes: dict[int, Body] = {}
        """Requests that began subscriptions."""
        self._silence_s = FIRST_SILENCE_S
        self._heard = True
        """Whether anything came over the present link."""
        self._passed_s = 0.0
        """When anything last passed, in either direction."""
        self._longest_wait_s = 0.0
        """The longest ``wait_s`` of the requests begun since none was in flight: the broker may rightly be silent so long."""

    # requests

    @property
    def in_flight(self) -> int:
        """Requests without an answer, sent or not."""
        return len(self._waiting)

    def begin(self, body: Body, on_reply: OnReply, timeout_s: float, now_s: float) -> int:
        """Take a request in, which is due ``timeout_s`` seconds after ``now_s``; its id on the wire. Do not reuse the map."""
        number: int = next(self._ids)
        body["id"] = number
        if "door" not in body:
            body["door"] = self._door
        # without this key the request would inherit the token of another agent whose request shares its frame
        if "session_token" not in body:
            body["session_token"] = None
        due_s = now_s + timeout_s
        if due_s < self._due_s:
            self._due_s = due_s
        if not self._waiting:
            self._longest_wait_s = 0.0
        if "wait_s" in body:
            wait_s = body["wait_s"]
            if isinstance(wait_s, (int, float)) and wait_s > self._longest_wait_s:
                self._longest_wait_s = wait_s
        self._waiting[number] = (body, on_reply, timeout_s, due_s)
        self._outbox.append(body)
        if body.get("action") == "subscribe":
            self._subscribes[number] = body
        return number

    def begin_run(self, bodies: list[Body], on_reply: OnReply, timeout_s: float, now_s: float) -> int:
        """Take in requests that come together, none a subscribe or one that waits for mail; the id of the first, from which the
        others count on."""
        due_s = now_s + timeout_s
        if due_s < self._due_s:
            self._due_s = due_s
        waiting, door, ids = self._waiting, self._door, self._ids
        if not waiting:
            self._longest_wait_s = 0.0
        for body in bodies:
            body["id"] = number = next(ids)
            body["door"] = door
            if "session_token" not in body:
                body["session_token"] = None
            waiting[number] = (body, on_reply, timeout_s, due_s)
        self._outbox += bodies
        first: int = bodies[0]["id"]
        return first

    def abandon(self, number: int) -> None:
        """The asker of this request has gone. An id that is answered already is fine."""
        if number in self._waiting:
            self._abandoned[number] = self._waiting.pop(number)[0]

    def end_pushes(self, number: int, late: Receive | None = None) -> None:
        """A subscription ends: its pushes go to ``late`` or nowhere, and a new link does not get it."""
        self._subscribes.pop(number, None)
        if late is None:
            self.on_push.pop(number, None)
        else:
            self.on_push[number] = late

    # the link

    def outgoing(self, now_s: float) -> list[bytes]:
        """Frames to send now. A request that no frame can carry is answered here and harms no other."""
        bodies = self._outbox
        if not bodies:
            return []
        if self._window:
            room = self._window - (len(self._waiting) - len(bodies))
            if room < min(_FRAME_REQUESTS, len(bodies)):
                return []
            bodies = bodies[:room]
            del self._outbox[:room]
        else:
            self._outbox = []
        self._passed_s = now_s
        if self._abandoned:
            bodies = [body for body in bodies if self._is_awaited(body["id"])]
        try:
            encoded = list(frames.frames(bodies))
        except _NOT_CARRIED:
            encoded = []
        if encoded and max(map(len, encoded)) <= frames.FRAME_LIMIT_BYTES:
            return encoded
        return list(frames.frames([body for body in bodies if self._carries(body)]))

    def _is_awaited(self, number: int) -> bool:
        """Whether an unsent request must be sent at all; no reply comes to one that is not."""
        if number in self._waiting or self._is_subscribed(number):
            return True
        self._abandoned.pop(number, None)
        self._subscribes.pop(number, None)
        return False

    def _carries(self, body: Body) -> bool:
        """Whether a frame can carry the request; it is answered if not."""
        try:
            size = len(frames.encode([body]))
        except _NOT_CARRIED as e:
            error = IpcError("bad_request", detail=f"The request can't be sent: {str(e)[:120]}")
        else:
            if size <= frames.FRAME_LIMIT_BYTES:
                return True
            error = IpcError("too_large", what="The request", size=size, limit=frames.FRAME_LIMIT_BYTES)
        self._subscribes.pop(body["id"], None)
        self._take({"id": body["id"], **error.to_wire()})
        return False

    def incoming(self, frame: "bytes | memoryview", now_s: float) -> None:
        """Take the replies and pushes of a frame. Raises FrameError."""
        self._passed_s = now_s
        self._heard = True
        self._silence_s = FIRST_SILENCE_S
        for reply in frames.decode(frame):
            self._take(reply)

    def _take(self, reply: Body) -> None:
        number: Any = reply.get("id")
        if "push" in reply:
            self.on_push.get(number, self._on_stray_push)(reply)
            return
        waiting = self._waiting.pop(number, None)
        if waiting is None:
            self._take_unexpected(number, reply)
            return
        body, on_reply, _timeout_s, _due_s = waiting
        if number in self._subscribes and (reply.get("status") != "ok" or number not in self.on_push):
            del self._subscribes[number]
        if not on_reply(reply):
            self.orphan(body, reply)

    def _take_unexpected(self, number: Any, reply: Body) -> None:
        if number is None:
            self._refused(reply)
            return
        body = self._abandoned.pop(number, None)
        if body is not None:
            self.orphan(body, reply)
        elif self._is_subscribed(number) and reply.get("unread"):
            # asked again of a new broker: what came before that was pushed to nobody
            told = {"unread": reply["unread"], "interrupt": 0, "from": [], "land": "tool"}
            self.on_push[number]({"push": "new", "id": number, **told})

    def _is_subscribed(self, number: int) -> bool:
        return number in self._subscribes and number in self.on_push

    def orphan(self, body: Body, reply: Body) -> None:
        """Nobody takes this reply: mail that it brings goes to ``on_orphan``."""
        if body.get("action") in DELIVERING and reply.get("messages"):
            self._on_orphan(body, reply)

    def _refused(self, reply: Body) -> None:
        """The broker could not read a frame, and does not say which: what is on the wire is answered with its error."""
        unsent = {body["id"] for body in self._outbox}
        for number in [n for n in self._waiting if n not in unsent]:
            self._answer(number, reply)

    def _answer(self, number: int, reply: Body) -> None:
        """Answer a request here; the broker's reply may still come. What its asker did before this one may have ended it."""
        if number in self._waiting:
            self._abandoned[number], on_reply, _timeout_s, _due_s = self._waiting.pop(number)
            on_reply({**reply, "id": number})

    def opened(self, now_s: float) -> None:
        """A new link is open: it gets all that has no answer, and no reply comes any more that was due on the old one."""
        self._silence_s = FIRST_SILENCE_S if self._heard else min(self._silence_s * 2, LAST_SILENCE_S)
        self._heard = False
        self._abandoned.clear()
        self._subscribes = {n: b for n, b in self._subscribes.items() if n in self._waiting or n in self.on_push}
        again = [b for n, b in self._subscribes.items() if n not in self._waiting]
        self._outbox = [
            *again,
            *(wait_left(body, now_s - (due_s - timeout_s)) for body, _, timeout_s, due_s in self._waiting.values()),
        ]

    def silent_s(self) -> float:
        """The second at which the link counts as dead, unless a frame comes before."""
        return self._passed_s + self._silence_s + self._longest_wait_s

    # time

    def deadline_s(self) -> float:
        """The second at which to call ``time_out``: when the next request is due, or sooner; infinite if there is none."""
        return self._due_s if self._waiting else math.inf

    def time_out(self, now_s: float) -> int:
        """Answer the requests that are due with the error ``timeout``; their number."""
        if now_s < self._due_s:
            return 0
        due = [(number, timeout_s) for number, (_, _, timeout_s, due_s) in self._waiting.items() if due_s <= now_s]
        for number, timeout_s in due:
            self._answer(number, IpcError("timeout", limit=timeout_s).to_wire())
        self._due_s = min((due_s for _, _, _, due_s in self._waiting.values()), default=math.inf)
        return len(due)

    def fail(self, error: IpcError) -> None:
        """No broker can be had: answer everything with the error."""
        waiting = [(number, on_reply) for number, (_, on_reply, _, _) in self._waiting.items()]
        self.forget()
        for number, on_reply in waiting:
            on_reply({"id": number, **error.to_wire()})

    def forget(self) -> None:
        """Drop all requests without answering them: the client closes."""
        self._waiting.clear()
        self._outbox.clear()
        self._abandoned.clear()
