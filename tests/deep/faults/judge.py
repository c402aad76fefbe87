"""Every reply of the engine held against the model, which is brought up to date by it.

The engine decides a batch in attempts: what time ended, then each request in turn, then mail to those who wait. An attempt
that was committed is judged in the same order. A waiting ``ask`` has stored its question though no reply says so yet, so the
model decides for itself what each request does; the reply must be what the model says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from broker.core.batch import Answers, Frame, Incoming, Outgoing, TimeBudget
from broker.core.engine import Decided, Engine
from broker.core.state import Moment
from broker.protocol.actions import ACTIONS
from broker.protocol.rows import Access
from tests.deep.faults.company import Company
from tests.deep.faults.model import DIGEST, LANDS, TURN, Box, Wait, Wrong

Key = tuple[bytes, Any]


@dataclass(slots=True)
class Attempt:
    """One committed attempt of the engine."""

    requests: list[Incoming]
    out: list[Outgoing]
    sure: bool
    """That mail was handed out is on the disk, too."""


def flat(out: Sequence[Outgoing | Answers]) -> list[Outgoing]:
    """Replies one by one."""
    replies: list[Outgoing] = []
    for one in out:
        replies += [one] if isinstance(one, Outgoing) else [Outgoing(one.route, body) for body in one.bodies]
    return replies


class WatchedEngine(Engine):
    """The engine, which also says what it decided together."""

    attempts: list[Attempt]

    def _attempt(
        self,
        work: Sequence[Frame | Incoming],
        now: Moment,
        pace: TimeBudget | None = None,
        *,
        marks: bool = True,
    ) -> Decided:
        out, events = Engine._attempt(self, work, now, pace, marks=marks)
        requests = [r for part in work for r in (part.requests() if isinstance(part, Frame) else (part,))]
        self.attempts.append(Attempt(requests, flat(out), marks))
        return out, events


@dataclass(slots=True)
class Call:
    """One request, its agent's mailbox, and the reply that came at once, if one did."""

    key: Key
    body: dict[str, Any]
    box: Box
    reply: dict[str, Any] | None

    @property
    def code(self) -> str | None:
        return None if self.reply is None else self.reply.get("code")

    def told(self) -> dict[str, Any]:
        """The reply; there must be one."""
        if self.reply is None:
            raise Wrong(f"{self.body} of {self.box.name} was not answered")
        return self.reply

    def refused(self, expected: str | None) -> bool:
        """Whether it was refused, which it must be exactly if a code is expected."""
        if self.code != expected:
            raise Wrong(f"{self.body} of {self.box.name} was answered {self.reply}, expected: {expected or 'ok'}")
        return expected is not None

    def must_say(self, **fields: Any) -> None:
        """The reply must have these; None is for what must not be there."""
        told = {k: self.told().get(k) for k in fields}
        if told != fields:
            raise Wrong(f"{self.body} of {self.box.name} was answered {self.reply}, expected: {fields}")


Handler = Callable[["Judge", Call], None]


class Judge:
    """Holds attempts against the model. ``wall_s`` and ``mono_s`` are the attempt's time."""

    def __init__(self, model: Company, handlers: dict[str, Handler]) -> None:
        self.model = model
        self.handlers = handlers
        self.wall_s = self.mono_s = 0.0
        self.sure = True
        self.asking: set[Box] = set()
        """Mailboxes of the sessions that this turn's requests come from."""
        self.out: list[Outgoing] = []
        self.late: set[int] = set()
        """Positions in ``out`` of what has not been judged."""
        self.large: Callable[[int], str] = lambda _number: ""
        """The stored text of a message whose text went to a file."""
        self.waits: Callable[[Box, int], bool] = lambda _box, _number: False
        """Whether the engine's mailbox still has a message."""

    @property
    def now(self) -> tuple[float, float]:
        return self.wall_s, self.mono_s

    def attempt(self, attempt: Attempt, now: Moment) -> None:
        self.wall_s, self.mono_s, self.sure = now.wall_s, now.mono_s, attempt.sure
        self.out = attempt.out
        self.late = set(range(len(self.out)))
        at = {(o.route, o.body["id"]): i for i, o in enumerate(self.out) if "push" not in o.body}
        self.model.leases_end(self.mono_s)
        self._ended()
        for request in attempt.requests:
            key = (request.route, request.body["id"])
            self._decide(key, request, at.get(key))
        for position in sorted(self.late):
            self._handed_out(self.out[position])

    def lost(self, request: Incoming) -> None:
        """A request that the disk refused: it was decided in vain, and so its agent was seen."""
        self.model.counts[f"{request.body['action']} storage_full"] += 1
        if ACTIONS[request.body["action"]].access is Access.SESSION and not self.model.refusal(request.token, self.wall_s):
            self._seen(str(request.token))

    def _seen(self, token: str) -> Box:
        session = self.model.sessions[token]
        session.seen_s = session.box.seen_s = self.wall_s
        return session.box

    # time

    def _ended(self) -> None:
        """Waits that are over are answered before anything else."""
        due = {
            w.key: (box, w)
            for box in self.model.boxes
            if box.waits or box.asks
            for w in (*box.waits, *box.asks)
            if w.deadline_s <= self.mono_s
        }
        for box, wait in due.values():
            (box.waits if wait.letter is None else box.asks).remove(wait)
        for position, one in enumerate(self.out) if due else ():
            found = due.pop((one.route, one.body["id"]), None)
            if found is None:
                continue
            box, wait = found
            self.late.discard(position)
            if wait.letter is None:
                self.model.hands_out(box, wait, one.body["messages"], self.now, sure=self.sure)
            elif one.body["state"] != "open" or one.body["messages"]:
                raise Wrong(f"a wait for an answer ended with {one.body}")
            self.model.counts["waits ended"] += 1
        if due:
            raise Wrong(f"waits are over and were not answered: {[k for k in due]}")

    # requests

    def _decide(self, key: Key, request: Incoming, position: int | None) -> None:
        body = request.body
        reply = None if position is None else self.out[position].body
        action = ACTIONS[body["action"]]
        if action.access is Access.SESSION:
            expected = self.model.refusal(request.token, self.wall_s)
            if expected is not None:
                if reply is None or reply.get("code") != expected:
                    raise Wrong(f"{body} was answered {reply}, its token is {expected}")
                self._take(position, body, expected)
                return
            box = self._seen(str(request.token))
        else:
            box = Box(0, "")
        if reply is not None and reply.get("code") == "rate_limited" and action.sends:
            self._take(position, body, "rate_limited")
            return
        call = Call(key, body, box, reply)
        if position is not None and self._comes_at_once(call):
            self._take(position, body, str(call.code or "ok"))
        else:
            call.reply = None
            self.model.counts[f"{body['action']} waits"] += 1
        self.handlers[body["action"]](self, call)

    def _take(self, position: int | None, body: dict[str, Any], what: str) -> None:
        assert position is not None
        self.late.discard(position)
        self.model.counts[f"{body['action']} {what}"] += 1

    def _comes_at_once(self, call: Call) -> bool:
        """Whether the reply in this attempt is the request's own, and not what its wait brought later."""
        body, model = call.body, self.model
        if not body.get("wait_s") or call.reply is None:
            return True
        if call.code in ("session_replaced", "session_ended"):
            return False  # the session was good when it asked
        if body["action"] == "check":
            shown = {m["id"] for m in call.reply.get("messages", ())}
            return call.code is not None or bool(model.free(call.box, body_land(body), self.wall_s, shown))
        if call.code is not None:
            return True
        known = model.known(call.box, body["message_id"], self.wall_s)
        return known is not None and known[0].question is not None and known[0].question.answer is not None

    def waits_for(self, box: Box, wait: Wait) -> None:
        (box.waits if wait.letter is None else box.asks).append(wait)

    # mail to those who wait

    def _handed_out(self, one: Outgoing) -> None:
        body, key = one.body, (one.route, one.body["id"])
        if body.get("push") == "mail":
            self._pushed(key, body)
        elif body.get("push") == "new":
            self._told(key, body)
        else:
            self._waited(key, body)

    def _pushed(self, key: Key, body: dict[str, Any]) -> None:
        for box in self.model.boxes:
            wait = box.subscription
            if wait is not None and wait.key == key:
                room = Wait(key, limit=wait.limit - box.held())
                self.model.hands_out(box, room, body["messages"], self.now, sure=self.sure)
                self.model.counts["pushed"] += len(body["messages"])
                return
        raise Wrong(f"a push with the id of no subscription: {body}")

    def _told(self, key: Key, body: dict[str, Any]) -> None:
        for box in self.model.boxes:
            if any(w.key == key for w in box.watchers):
                if body["unread"] != box.free() or not box.free(TURN):
                    raise Wrong(f"{box.name} was told {body}")
                self.model.counts["told"] += 1
                return
        raise Wrong(f"word of mail for nobody: {body}")

    def _waited(self, key: Key, body: dict[str, Any]) -> None:
        for box in self.model.boxes:
            for wait in (*box.waits, *box.asks):
                if wait.key == key:
                    self._wait_brought(box, wait, body)
                    return
        raise Wrong(f"a reply that nobody waits for: {key} {body}")

    def _wait_brought(self, box: Box, wait: Wait, body: dict[str, Any]) -> None:
        if wait.letter is None:
            box.waits.remove(wait)
            if not body["messages"]:
                raise Wrong(f"a wait of {box.name} ended early with nothing")
            self.model.hands_out(box, wait, body["messages"], self.now, sure=self.sure)
            return
        box.asks.remove(wait)
        self.answers(box, wait, body)

    def answers(self, box: Box, wait: Wait, body: dict[str, Any]) -> None:
        """The reply to an ``ask`` whose question has its answer: the answer itself, unless someone holds it or it is gone."""
        question = wait.letter.question if wait.letter is not None else None
        if question is None or question.answer is None or body.get("state") != "answered":
            raise Wrong(f"{box.name} was told of an answer that nobody gave: {body}")
        if body["message_id"] != wait.fields["message_id"]:
            raise Wrong(f"{box.name} was answered {body}, expected: {wait.fields}")
        entry = box.entry(question.answer)
        free = entry is not None and entry.held_until_s is None and entry.letter.expires_s > self.wall_s
        self.model.gives(box, wait, [entry] if free and entry else [], body["messages"], self.now, sure=self.sure)
        self.model.counts["answers handed out"] += len(body["messages"])

    def replaced(self, box: Box) -> None:
        """All who wait on a mailbox must have been told that its session is over."""
        listeners = [*box.watchers, *([box.subscription] if box.subscription else [])]
        pushes = {w.key for w in listeners}
        told = pushes | {w.key for w in (*box.waits, *box.asks)}
        for position in sorted(self.late):
            one = self.out[position]
            if one.body.get("code") in ("session_replaced", "session_ended") and (one.route, one.body["id"]) in told:
                told.discard((one.route, one.body["id"]))
                self.late.discard(position)
        if told:
            raise Wrong(f"{box.name} was taken over and these were not told: {told}")


def body_land(body: dict[str, Any]) -> int:
    return LANDS.index(body.get("land") or LANDS[DIGEST])
