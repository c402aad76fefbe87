"""The loop of the broker process. The whole hot path is in this file:

    sockets -> decode -> decide -> append -> commit -> reply

Theory of operation. There is one thread. It takes all requests that wait, decides them, commits them in one transaction, and
answers after the commit; the replies of one connection share a frame. The loop sleeps in ``select`` until a frame, a signal or
the next deadline, so an idle broker runs no code. What hears the supervisor is given to ``serve``; it needs no service.
"""

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from broker.core import presence, schedules, sessions, site_table, wakes
from broker.core.batch import Answers, Batch, Frame, Incoming, Outgoing
from broker.core.engine import Decided, Engine
from broker.core.leases import begin_connection, end_connection, next_deadline, return_undelivered
from broker.core.state import Route, Session
from broker.core.storage import StoreDamaged, StoreError
from broker.core.terms import Terms
from broker.home.endpoints import check_endpoint, endpoint
from broker.home.files import owner_key
from broker.home.logs import Log
from broker.home.paths import wire_socket
from broker.home.process_table import is_alive, youngest_child_s
from broker.home.settings import Settings
from broker.home.watched_files import Ground, note
from broker.protocol import frames
from broker.protocol.errors import IpcError
from broker.server.clock import Clock, reading
from broker.server.cron import next_cron
from broker.server.fairness import LIMIT, SLOW_LIMIT, Backlog, ConnectionBudget, SlowLane
from broker.server.persons import Persons
from broker.server.router_door import RouterDoor
from broker.server.unix_socket import LineGroup, SocketPeer, StreamDoor
from broker.server.upkeep import Sweeper
from broker.store import SqliteStore, is_damage
from broker.store.recovery import last_repair
from broker.version import VERSION

_BATCH_REQUESTS = 2048
"""Most requests of one transaction: enough to share a sync among many, few enough to answer soon."""
_WARNINGS = frozenset({"chores_postponed", "storage_full", "storage_locked", "session_replaced"})


class Server:
    """The sockets, the engine behind them, and the loop."""

    def __init__(self, settings: Settings, store: SqliteStore, log: Log) -> None:
        self.settings = settings
        self.log = log
        self.store = store
        self.ground = Ground(settings)
        self.terms = Terms.begin(store.last_reading(), reading(), settings.clock_hold_s)
        self.clock = Clock(self.terms)
        self.started = self.clock()
        self.engine = Engine(
            state=store.load(),
            store=store,
            settings=settings,
            owner_hash=sessions.token_hash(owner_key(settings.home)),
            make_reference=self._note_fault,
            is_alive=is_alive,
            youngest_child_s=youngest_child_s,
            next_cron=next_cron,
        )
        self.engine.handlers["ping"] = self._ping
        self.engine.handlers["status"] = self._status
        self.sweeper = Sweeper(self.engine, store, log)
        self.bad_frames = 0
        self.refused = 0
        self._backlog = Backlog()
        self._slow = SlowLane()
        self._selector = selectors.DefaultSelector()
        self._router = RouterDoor(self._selector)
        self._stream = StreamDoor(self._selector)
        self._persons = self.engine.is_person = Persons(self.engine.state, self._stream.process_of)
        self.engine.may_decide = self._persons.may_decide
        self._wake_read, self._wake_write = socket.socketpair()
        self._parent_pipe = -1
        self._heard_parent: Callable[[int], bool] = bool
        self._running = True
        self._jumps = 0

    # life

    def open(self) -> None:
        """Bind the sockets. The caller holds the lock of the data folder. Raises OSError."""
        check_endpoint(self.settings)
        address, path = endpoint(self.settings), wire_socket(str(self.settings.home))
        self._router.open(self.settings, address)
        if address.startswith("ipc://"):
            self.ground.keep(address.removeprefix("ipc://"), partial(self._router.listen, self.settings))
        self._stream.open(self.settings, path)  # last: who finds this one finds the other, too
        self.ground.keep(path, partial(self._stream.reopen, self.settings, path))
        self.log.info("broker_started", endpoint=address, pid=os.getpid(), messages=self._queued())

    def stop(self) -> None:
        """Leave the loop after the present batch. For signal handlers: the signal itself ends the wait."""
        self._running = False

    def close(self) -> None:
        with contextlib.suppress(StoreDamaged):  # then there is nothing to be saved here
            self.sweeper.flush_activity(force=True)
            self._note_clock()
            self._note_stop()
        self._stream.close()
        self._router.close()
        self._selector.close()
        self.store.close()
        self.log.info("broker_stopped", requests=self._backlog.taken)

    def serve(self, parent_pipe: int | None = None, heard_parent: Callable[[int], bool] = bool) -> None:
        """Run until ``stop``, SIGTERM, SIGINT or the end of ``parent_pipe``.

        ``heard_parent`` answers what the supervisor asks through that pipe; it returns False when the supervisor is gone.
        """
        self._wake_write.setblocking(False)
        signal.set_wakeup_fd(self._wake_write.fileno())  # a signal just before select would not end it otherwise
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, lambda *_: self.stop())
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        if parent_pipe is not None:
            self._parent_pipe, self._heard_parent = parent_pipe, heard_parent
            self._selector.register(parent_pipe, selectors.EVENT_READ)
        while self._running:
            self.step()

    def step(self) -> None:
        """Wait until there is something to do, and do it."""
        peers: list[SocketPeer] = []
        routed = self._router.waits()
        for key, mask in self._selector.select(0 if routed else self._timeout_s()):
            source = key.data
            if type(source) is SocketPeer:
                if mask & selectors.EVENT_WRITE:
                    self._stream.flush(source)
                if mask & selectors.EVENT_READ:
                    peers.append(source)
            elif source is self._router:
                self._router.begin()
                routed = True
            elif source is self._router.monitor:
                self._router.hear()
            elif source is self._stream:
                for route in self._stream.accept(time.monotonic()):
                    begin_connection(self.engine.state, route)
            elif key.fd == self._parent_pipe:
                self._beat()
        self.batch(peers, routed)

    def _beat(self) -> None:
        """Answer the supervisor and check the data folder; stop if the supervisor is gone. Raises GroundGone, StoreGone."""
        if not self._heard_parent(self._parent_pipe):
            self._running = False
            return
        self.store.check_names()
        note(self.log, self.ground.look())

    def _timeout_s(self) -> float:
        if self._stream.departed or self._router.departed or self._slow or self._backlog.has_work(self._stream.is_full):
            return 0
        state = self.engine.state
        soonest_s = min(next_deadline(state), state.chore_s, self.sweeper.next_s, self._stream.listen_again_s)
        return max(0.0, soonest_s - time.monotonic() + 0.001)

    # the hot path

    def batch(self, peers: Sequence[SocketPeer] = (), routed: bool = True) -> None:
        """Take what waits, commit it, answer. ``peers`` can be read; ``routed`` says that the router may have frames."""
        taken = self._receive(peers, routed)
        if self._stream.ending:  # those with nothing left to answer: mail of this batch is not for their waits any more
            asking = {frame.route for frame in taken}
            self._stream.end(lambda route: route in asking or self._is_asking(route))
        if self._stream.departed or self._router.departed:
            self._see_off()
        now = self.clock()
        self._answer(self.engine.run(taken, now, ConnectionBudget(self._backlog.pace_s)))
        if self.engine.rest:
            self._backlog.put_back(self.engine.rest)
        for session, request in self.engine.aside:
            if not self._slow.add(session, request):
                self._overloaded(request.route, [request.body], SLOW_LIMIT)
        if self._slow:
            now = self.clock()
            self._answer(self.engine.run([self._slow.take()], now))
        self._stream.end(self._is_asking)
        if now.mono_s >= self.engine.state.chore_s:
            self._answer(self.engine.keep_house(now))
        self.sweeper.step(now, busy=bool(taken))
        if self.terms.changed:
            self._note_clock()

    def _is_asking(self, route: Route) -> bool:
        """True if requests of a connection have not been run yet."""
        return route in self._backlog or route in self._slow

    def _note_clock(self) -> None:
        """Log jumps of the wall clock, and save the clocks for the next start."""
        for step_s in self.terms.jumps:
            self.log.warning("clock_jumped", by_s=round(step_s, 1), ahead_s=round(self.terms.at.ahead_s, 1))
            self._jumps += 1
            self.engine.state.chore_at(schedules.CHORE, time.monotonic())  # appointments follow the wall clock
        self.terms.jumps.clear()
        self.terms.changed = False
        try:
            self.store.save_reading(self.terms.at)
        except StoreError as e:  # the next start counts from an earlier one
            self.log.warning("clock_not_written", detail=str(e))

    def _note_stop(self) -> None:
        try:
            self.store.save_stop(self.clock().term_s)
        except StoreError as e:  # what agents did before the stop is counted on
            self.log.warning("stop_not_written", detail=str(e))

    def _answer(self, decided: Decided) -> None:
        out, events = decided
        self._send(out)
        for event in events:
            if event.name.endswith("_refused"):
                self.log.refusal(event.name, **event.fields)
            elif event.name in _WARNINGS:
                self.log.warning(event.name, **event.fields)
            else:
                self.log.info(event.name, **event.fields)

    def _overloaded(self, route: Route, bodies: list[dict[str, Any]], limit: int) -> None:
        """Refuse requests of a connection that has more than ``limit`` waiting."""
        self.refused += len(bodies)
        refusal = IpcError("overloaded", limit=limit, retry_after_s=0.1).to_wire()
        self._send([Answers(route, [{"id": body.get("id"), **refusal} for body in bodies])])

    def _receive(self, peers: Sequence[SocketPeer], routed: bool) -> list[Frame]:
        """Read what has come, and take each connection's share of what waits."""
        for peer in peers:
            if self._backlog.is_behind(peer.route):
                continue
            try:
                for raw in self._stream.read(peer):
                    self._take_in(peer.route, raw, peer.codec)
            except (frames.FrameError, IpcError) as e:
                self._refuse(peer.route, e)
                self._stream.drop(peer)  # where the next request begins is not known
        left = self._backlog.read_at_once if routed else 0
        while left > 0 and (message := self._router.read()) is not None:
            route, whole = message
            if whole is not None:
                left -= self._take_in(route, whole, frames)
            else:
                self._refuse(route, frames.FrameError("a message has one frame"))
                left -= 1
        for route in self._router.arrived:
            begin_connection(self.engine.state, route)
        self._router.arrived.clear()
        now_s = time.monotonic()
        if self._stream.listen_again_s <= now_s:
            self._stream.listen_again()
        return self._backlog.take(_BATCH_REQUESTS, now_s, self._stream.is_full)

    def _take_in(self, route: Route, raw: bytes | memoryview | LineGroup, codec: Any) -> int:
        """Queue or refuse the requests of a frame or of lines. Returns how many they are."""
        try:
            bodies: list[dict[str, Any]] = codec.decode(raw)
        except (frames.FrameError, IpcError) as e:
            self._refuse(route, e)
            return 1
        if bodies and not self._backlog.add(Frame(route, bodies), len(raw)):
            self._overloaded(route, bodies, LIMIT)
        return len(bodies)

    def _refuse(self, route: Route, error: frames.FrameError | IpcError) -> None:
        self.bad_frames += 1
        told = error if isinstance(error, IpcError) else IpcError("bad_request", detail=f"Bad frame: {error}")
        self._send([Answers(route, [{"id": None, **told.to_wire()}])])

    def _send(self, out: list[Outgoing | Answers]) -> None:
        """Send the replies, those of one connection in one frame. Mail that can't be delivered goes back to its mailbox."""
        by_route: dict[bytes, list[Outgoing | Answers]] = {}
        for reply in out:
            by_route.setdefault(reply.route, []).append(reply)
        for route, replies in by_route.items():
            bodies: list[dict[str, Any]] = []
            mail: list[Outgoing] = []
            for reply in replies:
                some = reply.bodies if isinstance(reply, Answers) else [reply.body]
                if len(bodies) + len(some) > frames.FRAME_REQUESTS:
                    self._send_frame(route, bodies, mail)
                    bodies, mail = [], []
                bodies += some
                if isinstance(reply, Outgoing):
                    mail.append(reply)
            self._send_frame(route, bodies, mail)

    def _send_frame(self, route: bytes, bodies: list[dict[str, Any]], mail: list[Outgoing]) -> None:
        door = self._stream if route in self._stream else self._router
        if not door.send(route, bodies):
            self.log.info("reply_undeliverable", replies=len(bodies))
            self._give_back(mail)

    def _give_back(self, replies: list[Outgoing]) -> None:
        """Return the mail of replies that nobody will read, and stop pushing to their connection.

        Nobody was shown it, so it was not handed out. A client that has gone may have left any number of requests behind.
        """
        for reply in replies:
            if reply.mailbox is not None:
                return_undelivered(self.engine.state, reply.mailbox, reply.route, reply.mail_ids)
                self.store.unmark_delivered(reply.mailbox.id, list(reply.mail_ids))

    def _see_off(self) -> None:
        """Forget connections that have ended. Mail that they held goes back to its mailbox."""
        for departed in (self._stream.departed, self._router.departed):
            for route in departed:
                end_connection(self.engine.state, route)
                self._persons.forget(route)
            departed.clear()

    def _note_fault(self, error: BaseException, request: Incoming) -> str:
        """Log a fault of one request; the reference for its client. Raises StoreDamaged if the database is the cause."""
        if isinstance(error, StoreDamaged) or is_damage(error):
            raise StoreDamaged(str(error)) from error
        action = str(request.body.get("action"))[:64]
        return self.log.exception(error, door=request.door, request=request.body.get("id"), action=action)

    # what the process tells of itself

    def _ping(self, _batch: Batch, _session: Session | None, _request: Incoming) -> dict[str, Any]:
        return {"pid": os.getpid(), "version": VERSION, "protocol": frames.VERSION}

    def _status(self, batch: Batch, _session: Session | None, request: Incoming) -> dict[str, Any]:
        state = batch.state
        claimed = [m for m in state.mailboxes.values() if m.claimed]
        settings = self.settings
        return {
            "pid": os.getpid(),
            "version": VERSION,
            "protocol": frames.VERSION,
            "uptime_s": round(batch.now.mono_s - self.started.mono_s, 1),
            "endpoint": endpoint(settings),
            "instances": [
                {**presence.describe(batch, m), "queued": m.queued, **wakes.described(batch, m)}
                for m in sorted(claimed, key=lambda m: m.name)
            ],
            "unclaimed": len(state.mailboxes) - state.registered - sum(state.link.boxes.values()),
            "queued": sum(m.queued for m in state.mailboxes.values() if not m.site),
            "leased": sum(len(m.leased) for m in state.mailboxes.values()),
            "requests": self._backlog.taken,
            "repaired": last_repair(settings),
            "clock": {"jumps": self._jumps, "ahead_s": round(batch.now.ahead_s, 1), "held_s": round(batch.now.held_s, 1)},
            "bad_frames": self.bad_frames,
            "bounces_dropped": state.dropped_bounces,
            "overloaded": self.refused,
            "limits": {
                "mailbox_limit": settings.mailbox_limit,
                "message_limit_bytes": settings.message_limit_bytes,
                "rate_limit": settings.rate_limit,
                "rate_burst": settings.rate_burst,
                "storage_limit_mib": settings.storage_limit_mib,
                "connection_limit": settings.connection_limit,
                "pair_limit": settings.pair_limit,
                "hop_limit": settings.hop_limit,
                "wake_limit": settings.wake_limit,
                "pair_wake_limit": settings.pair_wake_limit,
            },
            **self.store.stats(),
            **({"sites": site_table.sites(batch, None, request)} if settings.site else {}),
        }

    def _queued(self) -> int:
        return sum(m.queued for m in self.engine.state.mailboxes.values())


__all__ = ["Server"]
