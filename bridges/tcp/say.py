"""``say``: a sentence, the requests that its reading needs, and those that it stands for, one after the other.

{"action": "say", "text": "msg fred: hi", "session_token": ...}
-> {"status": "ok", "done": true, "understood": {"intent": "send", ...}, "results": [{...}]}
-> {"status": "ok", "done": false, "understood": {...}, "question": "nessa isn't registered. Send anyway?"}
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import nlparse
from bridges.plain_words import CONTEXT, SHARE_FILE, help_text, read_context, refuse, understand
from broker.protocol.errors import IpcError

LONGEST = 8_000
"""Characters: a sentence, whose echo must fit a legacy reply. Longer messages are for ``send``."""
Ask = Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], None]
"""Make a request and call back with its reply."""


class Saying:
    """One sentence on its way."""

    def __init__(
        self, request: dict[str, Any], words: nlparse.Vocabulary, ask: Ask, answer: Callable[[dict[str, Any]], None]
    ) -> None:
        text, confirm = request.get("text"), request.get("confirm", False)
        if not isinstance(text, str) or not isinstance(confirm, bool):
            raise IpcError("bad_request", detail="say needs the field text, and confirm is a boolean")
        if len(text) > LONGEST:
            raise IpcError("too_large", what="A sentence", size=len(text), limit=LONGEST)
        self._text, self._confirm = text, confirm
        self._token = request.get("session_token")
        self._words = words
        self._ask = ask
        self._answer = answer
        self._replies: list[dict[str, Any]] = []
        self._todo: deque[dict[str, Any]] = deque(CONTEXT)
        self._understood: dict[str, Any] | None = None

    def go_on(self) -> None:
        """Make the next request, or say what came of all."""
        if self._todo:
            self._ask({**self._todo.popleft(), "session_token": self._token}, self._replied)
        elif self._understood is None:
            self._read()
        else:
            self._answer({"status": "ok", "done": True, "understood": self._understood, "results": self._replies})

    def _replied(self, reply: dict[str, Any]) -> None:
        if self._understood is None and reply.get("status") != "ok":
            self._answer(reply)
            return
        self._replies.append(reply)
        self.go_on()

    def _read(self) -> None:
        plan = understand(self._text, read_context(self._replies), self._words)
        if plan.problem is not None:
            raise IpcError("not_understood", problem=plan.problem)
        for request in plan.requests:
            if request["action"] in ("register", SHARE_FILE):
                raise refuse(request["action"])
        if plan.question is not None and not (self._confirm and plan.requests):
            self._answer({"status": "ok", "done": False, "understood": plan.understood, "question": plan.question})
            return
        self._understood, self._replies = plan.understood, []
        written = ("send", "ask")
        self._todo.extend({**request, "person": True} if request["action"] in written else request for request in plan.requests)
        if plan.intent == "help":
            self._replies.append({"status": "ok", "message": help_text()})
        self.go_on()
