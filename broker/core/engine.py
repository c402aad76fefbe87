"""The engine decides a batch, commits it, and only then hands out the replies.

Theory of operation. Memory holds the state, the disk holds the mail, and memory never runs ahead of the disk:

    requests --decide--> rows + memory changes + replies --commit--> replies may go out
                 |                                          |
          refused: undone alone                  failed: undone whole, then one by one

All requests that wait are decided in one transaction, so they share one sync of the disk. A handler changes memory through the
batch's journal, adds rows to the store and returns a reply. A refusal takes back what its request did. A commit that fails
takes back the whole batch; then each request is decided again alone, so that only those that can't be done are refused: a full
disk refuses sends and serves reads.

Two kinds of requests are not decided here and now where the caller gives a time budget: those for which a connection's time is
used up go to ``rest``, and reads of the archive go to ``aside``, to be run one at a time, one after each batch.
"""

import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from broker.core import chores, fast_sends, notices, owner_feed, sessions, watching
from broker.core.batch import (
    DOOR_LENGTH,
    Answers,
    Batch,
    Event,
    Frame,
    Incoming,
    Outgoing,
    TimeBudget,
    anybody,
    childless,
    no_cron,
    nobody,
    unseen,
)
from broker.core.handlers import CHORES, HANDLERS, MAILINGS, Handler
from broker.core.leases import tidy
from broker.core.state import Moment, Route, Session, State
from broker.core.storage import Store, StoreError, StoreLocked
from broker.core.values import MESSAGE_FIELDS
from broker.home.settings import Settings
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError
from broker.protocol.former_actions import FORMER_ACTIONS, of_today
from broker.protocol.rows import Access, Action

READ = {
    action.name: {"id", "action", "session_token", "door", "bound_name", "peer_uid", *(field.name for field in action.fields)}
    for action in ACTIONS.values()
}
"""The fields of each action that are read; a reply names the others as ``ignored``."""
Decided = tuple[list[Outgoing | Answers], list[Event]]


@dataclass(slots=True)
class Engine:
    """The broker's rules over a store. ``run`` takes what came in and returns what may go out."""

    state: State
    store: Store
    settings: Settings
    owner_hash: bytes
    handlers: dict[str, Handler] = field(default_factory=lambda: dict(HANDLERS))
    make_token: Callable[[], str] = lambda: secrets.token_urlsafe(32)  # 256 bit
    make_reference: Callable[[BaseException, Incoming], str] = lambda _error, _request: secrets.token_hex(4)
    """Log an unexpected exception and return the reference that the client is given."""
    is_alive: Callable[[int, str], bool | None] = unseen
    """Whether the process of that id and start lives; None where that can't be seen."""
    is_person: Callable[[Route], bool] = nobody
    """Whether a person types at the other end of a connection."""
    youngest_child_s: Callable[[int], float | None] = childless
    """Seconds since the last living child of a process began; None if it has none, or where that can't be seen."""
    may_decide: Callable[[Route], bool] = anybody
    """Whether a connection may decide about a permission, beside having the owner's key."""
    next_cron: Callable[[str, float], float] = no_cron
    """The first Unix time after another that cron fields name, or ``inf``. Raises ``bad_request``, ``no_cron``."""
    rest: list[Frame] = field(default_factory=list)
    """Frames that the last run had no time for, and in ``aside`` the reads of the archive. The caller runs them later."""
    aside: list[tuple[Session | None, Incoming]] = field(default_factory=list)

    def run(self, work: Sequence[Frame | Incoming], now: Moment, budget: TimeBudget | None = None) -> Decided:
        """Decide and commit a batch. What is returned is committed.

        With a time budget part of the work may be left in ``rest`` and ``aside``; without one all of it is decided.
        """
        self.rest, self.aside = [], []
        try:
            return self._attempt(work, now, budget)
        except StoreError:
            if not work:
                return self._time_alone(now)
            return self._one_by_one(work, now)

    def tell_all(self, text: str, now: Moment) -> None:
        """Store a notice from ``system`` for everyone registered. Raises StoreError."""
        self._commit(self._batch(now), lambda batch: notices.notify_all(batch, text))

    def keep_house(self, now: Moment) -> Decided:
        """Do the chores that are due, in transactions of their own. What is returned is committed."""
        out: list[Outgoing | Answers] = []
        events: list[Event] = []
        for some in (CHORES, MAILINGS):
            if not chores.are_due(self.state, some, now):
                continue
            batch = self._batch(now)
            try:
                self._commit(batch, partial(self._do_chores, some))
            except StoreError as e:
                chores.postpone(batch, some)
                events.append(Event("chores_postponed", {"detail": str(e)}))
            else:
                out += batch.out
                events += batch.events
        return out, events

    def _batch(self, now: Moment, budget: TimeBudget | None = None) -> Batch:
        facts = self.is_alive, self.is_person, self.youngest_child_s, self.may_decide, self.next_cron
        return Batch(self.state, self.store, self.settings, now, self.make_token, budget, *facts)

    def _commit(self, batch: Batch, decide: Callable[[Batch], object], *, marks: bool = True) -> None:
        """Commit what is decided, or take all of it back, on disk and in memory."""
        try:
            decide(batch)
            self.store.commit(marks=marks)
        except BaseException:
            self.store.rollback()
            batch.journal.rollback()
            raise
        batch.journal.commit()

    def _time_alone(self, now: Moment) -> Decided:
        """Hand returned mail to those who wait, without its redelivered mark: nothing can be written.

        Without this an ended lease would be tried again each millisecond for as long as the disk is full.
        """
        try:
            return self._attempt([], now, marks=False)
        except StoreError:
            return [], []  # the next batch finds the same work

    def _one_by_one(self, work: Sequence[Frame | Incoming], now: Moment) -> Decided:
        out: list[Outgoing | Answers] = []
        events: list[Event] = []
        for part in work:
            for request in part.requests() if isinstance(part, Frame) else (part,):
                try:
                    some, told = self._attempt([request], now)
                except StoreError as first:
                    some, told = self._without_marks(request, now, first)
                out += some
                events += told
        return out, events

    def _without_marks(self, request: Incoming, now: Moment, first: StoreError) -> Decided:
        """Serve a read though nothing can be written: its leases are in memory, only the redelivered mark is lost."""
        try:
            return self._attempt([request], now, marks=False)
        except StoreError:
            code = "storage_locked" if isinstance(first, StoreLocked) else "storage_full"
            error = IpcError(code, detail=str(first))
            told = {"door": request.door, "request": request.body.get("id"), "action": request.body.get("action")}
            event = Event(code, {**told, "detail": str(first)})
            return [answer(request, error.to_wire())], [event]

    def _attempt(
        self,
        work: Sequence[Frame | Incoming],
        now: Moment,
        budget: TimeBudget | None = None,
        *,
        marks: bool = True,
    ) -> Decided:
        batch = self._batch(now, budget)
        tidy(self.state)
        self._commit(batch, partial(self._decide_all, work), marks=marks)
        self.rest, self.aside = batch.rest, batch.aside
        return batch.out, batch.events

    def _do_chores(self, some: Mapping[str, chores.Chore], batch: Batch) -> None:
        chores.do(batch, some)
        if batch.woken:
            watching.hand_out(batch)
        owner_feed.tell(batch)

    def _decide_all(self, work: Sequence[Frame | Incoming], batch: Batch) -> None:
        watching.expire(batch)
        for part in work:
            if isinstance(part, Frame):
                self._decide_frame(batch, part)
            else:
                self._decide(batch, part)
        if batch.woken:
            watching.hand_out(batch)
        owner_feed.tell(batch)

    def _decide_frame(self, batch: Batch, frame: Frame) -> None:
        """Decide runs of ordinary sends by the fast lane and all else one by one, until the connection's time is used up."""
        bodies, position, budget = frame.bodies, 0, batch.budget
        token, door = frame.token, frame.door
        if budget is not None and not budget.enter(frame.route):
            batch.rest.append(frame)
            return
        while position < len(bodies):
            body = bodies[position]
            token, door = body.get("session_token", token), body.get("door", door)
            taken = fast_sends.take_run(batch, frame, position, token, door)
            if not taken:
                self._decide(batch, Incoming(frame.route, body, token, str(door)[:DOOR_LENGTH]))
            position += taken or 1
            if not taken and budget is not None and position < len(bodies) and budget.over():
                batch.rest.append(frame.cut(position)[1])
                return

    def _decide(self, batch: Batch, request: Incoming) -> None:
        """Decide one request. A refusal is its reply, and what the request had done is taken back."""
        batch.request = request
        mark, rows = batch.journal.mark(), len(batch.out)
        saved = self.store.savepoint()
        try:
            reply = self._handle(batch, request)
        except IpcError as error:
            batch.journal.rollback(mark)
            self.store.restore(saved)
            del batch.out[rows:]
            if error.code == "unauthorized" and request.token:
                batch.event("token_refused", action=str(request.body.get("action"))[:64])
            reply = error.to_wire()
        except StoreError:
            raise
        except Exception as error:  # the one broad catch of this process: a fault in one request is not the others'
            batch.journal.rollback(mark)
            self.store.restore(saved)
            del batch.out[rows:]
            reply = IpcError("internal", ref=self.make_reference(error, request)).to_wire()
        if reply is not None:
            batch.out.append(answer(request, reply))

    def _handle(self, batch: Batch, request: Incoming) -> dict[str, Any] | None:
        name = request.body.get("action")
        if isinstance(name, str) and name in FORMER_ACTIONS:
            return self._handle(batch, request._replace(body=of_today(request.body)))
        action = ACTIONS.get(name) if isinstance(name, str) else None
        if action is None:
            raise IpcError("unknown_action", action=str(name)[:64], known=", ".join(ACTIONS))
        session: Session | None = None
        if action.access is Access.SESSION:
            session = sessions.authenticate(batch, request.token)
        elif action.access is Access.OWNER and not self._is_owner(request.token):
            raise IpcError("unauthorized")
        action.check(request.body)
        if request.body.get("bound_name") is not None:
            sessions.check_bound(batch, session, request)
        if action.slow and batch.budget is not None:
            batch.aside.append((session, bare(request, action)))
            return None
        batch.ignored = ignored(action, request.body)
        reply = self.handlers[action.name](batch, session, request)
        return None if reply is None else {"status": "ok", **reply, **batch.ignored}

    def _is_owner(self, token: object) -> bool:
        return isinstance(token, str) and hmac.compare_digest(sessions.token_hash(token), self.owner_hash)


def ignored(action: Action, body: dict[str, Any]) -> dict[str, Any]:
    """The reply's ``ignored``: at most 8 names of fields that are not read, such as misspelt ones."""
    message = body.get("message")
    inside = message if isinstance(message, dict) else {}
    if MESSAGE_FIELDS.issuperset(inside) and READ[action.name].issuperset(body):
        return {}
    names = [str(name)[:32] for name in body if name not in READ[action.name]]
    names += [f"message.{str(name)[:32]}" for name in inside if name not in MESSAGE_FIELDS]
    return {"ignored": sorted(names)[:8]}


def bare(request: Incoming, action: Action) -> Incoming:
    """The request with the fields of its action alone, whose size is bounded: it may wait for long."""
    known = {"id", "action", *(field.name for field in action.fields)}
    return request._replace(body={name: value for name, value in request.body.items() if name in known})


def answer(request: Incoming, reply: dict[str, Any]) -> Outgoing:
    return Outgoing(request.route, {"id": request.body.get("id"), **reply})
