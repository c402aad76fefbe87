"""``say``: a sentence, the requests that its reading needs, and those that it stands for, one after the other.

{"action": "say", "text": "msg fred: hi", "session_token": ...}
-> {"status": "ok", "done": true, "understood": {"intent": "send", ...}, "results": [{...}]}
-> {"status": "ok", "done": false, "understood": {...}, "question": "nessa isn't registered. Send anyway?"}
"""

from collections.abc import Callable
from typing import Any

from bridges.plain_words import SHARE_FILE, Plan, Said, Vocabulary, help_text, refuse, saying
from broker.protocol.errors import IpcError

LONGEST = 8_000
"""Characters: a sentence, whose echo must fit a legacy reply. Longer messages are for ``send``."""
Ask = Callable[[dict[str, Any], Callable[[dict[str, Any]], None]], None]
"""Make a request and call back with its reply."""


class Saying:
    """One sentence on its way."""

    def __init__(self, request: dict[str, Any], words: Vocabulary, ask: Ask, answer: Callable[[dict[str, Any]], None]) -> None:
        text, confirm = request.get("text"), request.get("confirm", False)
        if not isinstance(text, str) or not isinstance(confirm, bool):
            raise IpcError("bad_request", detail="say needs the field text, and confirm is a boolean")
        if len(text) > LONGEST:
            raise IpcError("too_large", what="A sentence", size=len(text), limit=LONGEST)
        self._confirm = confirm
        self._token = request.get("session_token")
        self._ask = ask
        self._answer = answer
        self._steps = saying(text, words, self._agree)
        self._agreed = False

    def go_on(self) -> None:
        """Make the first request; each reply leads to the next one."""
        self._make(next(self._steps))

    def _make(self, request: dict[str, Any]) -> None:
        self._ask({**request, "session_token": self._token}, self._replied)

    def _replied(self, reply: dict[str, Any]) -> None:
        if not self._agreed and reply.get("status") != "ok":  # what the reading needs can't be had
            self._answer(reply)
            return
        try:
            request = self._steps.send(reply)
        except StopIteration as end:
            self._end(end.value)
        else:
            self._make(request)

    def _agree(self, plan: Plan) -> bool:
        """Raises IpcError for what this door can't do."""
        if plan.problem is not None:
            raise IpcError("not_understood", problem=plan.problem)
        for request in plan.requests:
            if request["action"] in ("register", SHARE_FILE):
                raise refuse(request["action"])
        self._agreed = plan.question is None or (self._confirm and bool(plan.requests))
        return self._agreed

    def _end(self, said: Said) -> None:
        understood = said.plan.understood
        if said.replies is None:
            self._answer({"status": "ok", "done": False, "understood": understood, "question": said.plan.question})
            return
        results = list(said.replies)
        if said.plan.intent == "help":
            results.append({"status": "ok", "message": help_text()})
        self._answer({"status": "ok", "done": True, "understood": understood, "results": results})
