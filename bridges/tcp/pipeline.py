"""The requests of one connection, and their replies in the order of the requests.

    submitted --> held, while too much is on the way --> asked --> answered --> written

No request has a task. A reply comes as a call and fills its slot; all slots that are filled from the first on are written
together at the end of the loop's turn.
"""

import asyncio
import socket
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from bridges.peers import keep_asking
from bridges.tcp.fitting import ONE_SHOT_BYTES, fit
from bridges.tcp.guest import Guest
from bridges.tcp.json_requests import JsonUpstream, legacy_message, shown
from bridges.tcp.lifecycle import LifeEvent
from bridges.tcp.pace import FOR_ITSELF, LONG, PIPELINE, UNREAD_PUSHES_BYTES, Slot, Window
from bridges.tcp.runs import Run, is_plain
from bridges.tcp.wrong_proofs import WrongProofs
from bridges.upstream import DoorClient, Handed
from broker.protocol.actions import DELIVERING
from broker.protocol.errors import IpcError
from broker.protocol.json_text import parse, to_json

_WRITE_AT_ONCE = 256
"""Replies in one write; before the next one it is seen whether the client keeps up."""
_ONE_PACKET_BYTES = 1400


class Pipeline(Guest):
    """A connection's requests on their way to the broker and back."""

    def __init__(self, upstream: JsonUpstream) -> None:
        super().__init__(upstream)
        self._client = DoorClient(upstream)
        self._name = upstream.name_client()
        self._written = 0
        """Bytes of replies and pushes, in all."""
        self._slots: deque[Slot] = deque()
        self._checks: deque[Slot] = deque()
        """Checks in order; one is asked at a time."""
        self._checking = False
        """The first of them has been asked."""
        self._window = Window()
        self._wrong = WrongProofs()
        self._slow_timer: asyncio.TimerHandle | None = None
        self._flush_planned = False
        self._can_write = True
        self._is_asked = False
        """The kernel asks whether the client is there."""

    @abstractmethod
    def _limit_time(self) -> None:
        """Begin the time limit of the present state anew."""

    # requests

    def _submit(self, raw: bytes, request: dict[str, Any] | None, taken: int = 0) -> None:
        """Start a request; ``taken`` bytes of replies and pushes had reached the client when it came."""
        slot = Slot(len(raw), taken)
        self._asked_bytes += len(raw)
        self._slots.append(slot)
        if len(self._slots) == PIPELINE:
            self._pace_down()
        if self._window.holds:
            self._window.hold(slot, raw, request)
        else:
            self._guarded(slot, self._start, raw, request)

    def _submit_all(self, lines: list[bytes], taken: int) -> None:
        """Start the requests of a lasting connection that came together: plain ones in runs, each other one by itself.

        Plain is what the broker gets as it came, and the client as it comes back: nearly all load.
        """
        window, slots, run = self._window, self._slots, Run(self._passed_back)
        window.came = len(lines)
        for raw in lines:
            request = None
            if window.is_open or not window.holds:
                try:
                    request = parse(raw)
                except IpcError:  # which is said in its turn
                    pass
                else:
                    if is_plain(request):
                        slot = Slot(len(raw), taken)
                        slots.append(slot)
                        window.begins_plainly(slot, len(slots))
                        if len(slots) == PIPELINE:
                            self._pace_down()
                        run.add(slot, request)
                        continue
            self._ask_run(run)
            self._submit(raw, request, taken)
            run = Run(self._passed_back)
        self._ask_run(run)
        window.came = 0

    def _ask_run(self, run: Run) -> None:
        if run.slots:
            self._asked_bytes += run.size_bytes
            try:
                run.ask(self._up, bulk=self._window.bulk)
            except IpcError as error:
                for slot in run.slots:
                    self._answer(slot, error.to_wire())

    def _guarded(self, slot: Slot, work: Callable[..., None], *arguments: Any) -> bool:
        """Do something for a request; what goes wrong becomes its reply. True: mail that came has been seen to."""
        try:
            work(slot, *arguments)
        except IpcError as error:
            self._answer(slot, error.to_wire())
        except Exception as error:  # the one broad catch of this process: the client gets a reference, the log the rest
            self._answer(slot, IpcError("internal", ref=self._up.note_fault(error)).to_wire())
        return True

    def _begin_held(self) -> None:
        for slot, raw, request in self._window.next():
            self._guarded(slot, self._start, raw, request)

    def _begin_blind(self) -> None:
        """The client has left: run what it had sent, unless that brings something to the client alone."""
        for slot, raw, request in self._window.rest():
            self._guarded(slot, self._start_blind, raw, request)

    def _start_blind(self, slot: Slot, raw: bytes, request: dict[str, Any] | None) -> None:
        slot.request = request = parse(raw) if request is None else request
        if request.get("action") not in FOR_ITSELF:
            self._ask(slot)

    def _start(self, slot: Slot, raw: bytes, request: dict[str, Any] | None) -> None:
        slot.request = request = parse(raw) if request is None else request
        if not self._window.begins(slot, raw, len(self._slots)):
            return
        action = request.get("action")
        if action == "check":
            self._checks.append(slot)
            if len(self._checks) == 1:
                self._next_check()
        elif isinstance(action, str) and action in LONG:
            self._window.long.append(slot)
            if action == "say":
                from bridges.tcp.say import Saying  # with the parser, which few connections need

                Saying(request, self._up.words, partial(self._ask_for, slot), partial(self._answer, slot)).go_on()
            else:
                self._ask(slot)
        elif action == "subscribe":
            self._subscribe(slot)
        elif action == "unsubscribe":
            self._client.unsubscribe(self._body(request), partial(self._guarded, slot, self._listened))
        else:
            if action == "release":
                self._client.disown(request)
            self._ask(slot)

    def _keep_asking(self) -> None:
        if not self._is_asked:
            self._is_asked = True
            keep_asking(self._stream.socket)

    def _body(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._up.body(request, self._peer, self._name)

    def _passed_back(self, slot: Slot, reply: dict[str, Any]) -> None:
        """The reply to a plain request."""
        if not self._proven or reply["status"] != "ok":
            self._answer(slot, shown(reply, delivers=False))
            return
        del reply["id"]
        slot.reply = {"status": "ok", **reply, **slot.request}
        self._asked_bytes -= slot.size_bytes
        self._window.answered(slot)
        if not self._flush_planned:
            self._plan_flush()

    def _ask(self, slot: Slot) -> None:
        self._ask_for(slot, slot.request, partial(self._answer, slot))

    def _ask_for(self, slot: Slot, request: dict[str, Any], then: Callable[[dict[str, Any]], None]) -> None:
        """Make a request, or one that a sentence stands for; mail that its reply brings is the slot's."""
        body = self._body(request)
        action, token = body["action"], body.get("session_token")
        if body.get("wait_s"):
            self._keep_asking()
        if action == "check" and not self._life.is_lasting:
            self._up.limit_mail(body, ONE_SHOT_BYTES // (1 if request is slot.request else 2))

        def replied(slot: Slot, reply: dict[str, Any]) -> None:
            reply = shown(reply, delivers=action in DELIVERING)
            if reply["status"] == "ok" and action in DELIVERING:
                slot.mail += (self._client.hand(token, [m["id"] for m in reply["messages"]]),)
                if self._stream.is_closing:
                    self._client.settle(acknowledge=False)
            elif reply["status"] == "ok" and action in ("ack", "touch"):
                self._client.disown(request)
            then(reply)

        self._client.ask(body, partial(self._guarded, slot, replied), bulk=self._window.bulk)

    def _next_check(self) -> None:
        """Go on with the checks, unless their client does not take what it has been given."""
        if self._checks and not self._checking and self._can_write:
            self._checking = True
            self._guarded(self._checks[0], self._check)

    def _check(self, slot: Slot) -> None:
        """Ask for mail, after acknowledging what the client had taken before it asked: a check that was sent before the reply
        to another had come says nothing about the mail of that one."""
        self._client.taken(slot.request.get("session_token"), slot.taken)
        self._ask(slot)

    def _subscribe(self, slot: Slot) -> None:
        if not self._life.is_lasting:
            raise IpcError("bad_request", detail="subscribe needs a lasting connection: end the request with a newline")
        token, echo = slot.request.get("session_token"), slot.request.get("id")
        self._keep_asking()

        def receive(push: dict[str, Any]) -> None:
            push.pop("id", None)
            if echo is not None:
                push["id"] = echo
            mail = self._client.hand(token, [m["id"] for m in push.get("messages", ())], pushed=True)
            for message in push.get("messages", ()):
                legacy_message(message)
            self._flush()  # its subscribe's reply comes before it
            self._write([to_json(push)], [mail])
            if not self._can_write and self._stream.unsent_bytes > UNREAD_PUSHES_BYTES:
                self.drop()

        self._client.subscribe(self._body(slot.request), echo, receive, partial(self._guarded, slot, self._listened))

    def _listened(self, slot: Slot, reply: dict[str, Any]) -> None:
        self._limit_time()  # silence is what a subscriber does
        self._answer(slot, shown(reply, delivers=False))

    # replies

    def _answer(self, slot: Slot, reply: dict[str, Any]) -> None:
        request = slot.request
        if "id" in request:
            reply["id"] = request["id"]
        if not self._life.is_lasting:
            self._fit(slot, reply)
        slot.reply, slot.due_s = reply, self._wrong.due_s(reply, self._up.now_s())
        self._asked_bytes -= slot.size_bytes
        self._window.answered(slot)
        if not self._proven and reply.get("status") == "ok":
            self._prove()
            if self._life.is_lasting:
                self._limit_time()
        if self._checks and slot is self._checks[0]:
            self._checks.popleft()
            self._checking = False
            if self._checks:
                self._up.loop.call_soon(self._next_check)
        self._plan_flush()

    def _fit(self, slot: Slot, reply: dict[str, Any]) -> None:
        """Make of a reply what a one-shot client can take; mail that is not in it any more has been shown to nobody."""
        fit(reply, ONE_SHOT_BYTES)
        for mail in slot.mail:
            self._client.keep(mail, {m["id"] for part in (reply, *reply.get("results", ())) for m in part.get("messages", ())})

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._up.plan_flush(self._flush)

    def _flush(self) -> None:
        """Write the replies that are there, up to the first that is not."""
        self._flush_planned = False
        slots, before = self._slots, len(self._slots)
        texts: list[bytes] = []
        mail: list[Handed] = []
        first_long = self._window.first_long
        while slots and slots[0].reply is not None and self._can_write:
            if slots[0].due_s and self._waits_until(slots[0].due_s):
                break
            slot = slots.popleft()
            texts.append(to_json(slot.reply))
            mail += slot.mail
            if slot is first_long:
                self._window.long.popleft()
                first_long = self._window.first_long
            elif len(texts) < _WRITE_AT_ONCE:
                continue
            self._write(texts, mail)
            texts, mail = [], []
        self._write(texts, mail)
        self._begin_held()
        if self._window.goes_on(before, len(slots)):
            self._pace_up()
        if before != len(slots):
            self._count()
            if not slots and not self._life.is_over:
                self.report(LifeEvent.ALL_WRITTEN)

    def _waits_until(self, due_s: float) -> bool:
        """False if the time has come; else the replies are written when it has."""
        if due_s <= self._up.now_s():
            return False
        if self._slow_timer is not None:
            self._slow_timer.cancel()
        self._slow_timer = self._up.loop.call_at(due_s, self._plan_flush)
        return True

    def _write(self, texts: list[bytes], mail: list[Handed]) -> None:
        """Write replies or pushes; ``mail`` is what they bring."""
        if not texts or self._stream.is_closing:
            return
        if self._life.is_lasting:
            texts.append(b"")
        elif len(texts[0]) > _ONE_PACKET_BYTES:
            self._send_at_once()  # the last packet must not wait for the client's ACK
        data = b"\n".join(texts)
        self._written += len(data)
        for handed in mail:
            handed.end = self._written
        self._stream.write(data)

    def _send_at_once(self) -> None:
        self._stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
