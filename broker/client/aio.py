"""The asyncio client, and the connection that doors share among many agents.

``AsyncConnection`` gathers the requests made in one turn of the event loop into one frame. When the broker goes away it
waits for it (or starts it), and sends again whatever has no answer yet, with the same ids.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

from broker.client.aio_links import AsyncLink, open_async_link
from broker.client.keyfile import Handshakes, KeyFile
from broker.client.pending import Calls
from broker.client.sync import DEFAULT_TIMEOUT_S, Mail
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.ids import auth_token
from broker.service.launcher import ensure_running

_SUBMIT_TIMEOUT_S = 20.0
_SWEEP_S = 1.0
_NOT_CARRIED = (OverflowError, TypeError, ValueError)
OnReply = Callable[[dict[str, Any]], bool]


class AsyncConnection:
    """Requests and replies over one connection, for any number of tasks of one event loop."""

    def __init__(self, settings: Settings, *, autostart: bool = True, door: str = "zmq", key_file: str | None = None) -> None:
        """With a key file (``settings.key_file`` unless given) the broker is that of another machine. Raises SettingsError."""
        self.settings = settings
        path = settings.key_file if key_file is None else key_file
        self._handshakes = Handshakes(KeyFile.load(path)) if path else None
        self.on_push: dict[int, Callable[[dict[str, Any]], None]] = {}
        """Receivers of pushes, by the id of their ``subscribe`` request."""
        self.on_orphan: Callable[[dict[str, Any], dict[str, Any]], None] | None = None
        """Called with (request, reply) for a reply that came after its task had gone: its mail must be given back."""
        self._autostart = autostart
        self._door = door
        self._ids = itertools.count(1)
        self._pending: dict[int, tuple[dict[str, Any], OnReply]] = {}
        self._futures: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._due: dict[int, float] = {}
        """When those of ``submit`` time out, soonest first: all may take equally long."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        """Of those that may take another time."""
        self._sweep: asyncio.TimerHandle | None = None
        self._abandoned: dict[int, dict[str, Any]] = {}
        self._subscribes: dict[int, dict[str, Any]] = {}
        """Requests that began subscriptions; a broker that was started anew has to be asked again."""
        self._outbox: list[dict[str, Any]] = []
        self._flush_planned = False
        self._link: AsyncLink | None = None
        self._opening: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False

    async def request(self, body: dict[str, Any], timeout_s: float = DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """The reply to one request, an error reply too. Raises IpcError ``timeout``."""
        number, future = self.begin(body)
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            raise IpcError("timeout", limit=timeout_s) from None
        finally:
            if self._pending.pop(number, None) is not None:
                self._abandoned[number] = body

    def begin(self, body: dict[str, Any]) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Queue a request; (its id on the wire, the future of its reply). Raises IpcError once the connection is closed."""
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        number = self._queue(dict(body), partial(_settle, future))
        self._futures[number] = future
        future.add_done_callback(lambda _done: self._futures.pop(number, None))
        return number, future

    def submit(self, body: dict[str, Any], on_reply: "OnReply", timeout_s: float | None = None) -> int:
        """Queue a request, whose map is then ours, and whose reply goes to ``on_reply``, without a task or future of its
        own; its id on the wire.

        ``on_reply`` gets the reply, also an error; after ``timeout_s`` (20 if None) it gets the error ``timeout``. It returns
        False if nobody is there any more to take what the reply brings. Raises IpcError once the connection is closed.
        """
        number = self._queue(body, on_reply)
        if timeout_s is not None:
            self._timers[number] = self._loop.call_later(timeout_s, self._time_out, number, timeout_s)
            return number
        self._due[number] = self._loop.time() + _SUBMIT_TIMEOUT_S
        if self._sweep is None:
            self._sweep = self._loop.call_later(_SWEEP_S, self._time_out_due)
        return number

    def _queue(self, body: dict[str, Any], on_reply: "OnReply") -> int:
        if self._closed:  # a task whose cancellation was lost in a finished wait must not wait here for ever
            raise IpcError("unavailable", detail="this connection is closed")
        number = next(self._ids)
        body["id"] = number
        if "door" not in body:
            body["door"] = self._door
        # a request without a token must not inherit that of another agent whose request shares its frame
        if "session_token" not in body:
            body["session_token"] = None
        self._pending[number] = (body, on_reply)
        self._outbox.append(body)
        if body.get("action") == "subscribe":
            self._subscribes[number] = body
        self._plan_flush()
        return number

    def end_pushes(self, number: int, late: Callable[[dict[str, Any]], None] | None = None) -> None:
        """A subscription ends: its pushes go to ``late`` or nowhere, and it is not begun anew at a broker started anew."""
        self._subscribes.pop(number, None)
        if late is None:
            self.on_push.pop(number, None)
        else:
            self.on_push[number] = late

    def _time_out(self, number: int, timeout_s: float) -> None:
        self._timers.pop(number, None)
        body, on_reply = self._pending.pop(number, (None, None))
        if body is not None and on_reply is not None:
            self._abandoned[number] = body
            on_reply({"id": number, **IpcError("timeout", limit=timeout_s).to_wire()})

    def _time_out_due(self) -> None:
        now_s = self._loop.time()
        while self._due:
            number, due_s = next(iter(self._due.items()))
            if due_s > now_s:
                break
            del self._due[number]
            self._time_out(number, _SUBMIT_TIMEOUT_S)
        self._sweep = self._loop.call_later(_SWEEP_S, self._time_out_due) if self._due else None

    async def close(self) -> None:
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
        self._flush()
        self._drop(linger_ms=500)
        for future in list(self._futures.values()):
            future.cancel()
        self._pending.clear()
        self._forget_timers()

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        if self._link is None:
            self._reopen()
            return
        outbox, self._outbox = self._outbox, []
        try:
            encoded = list(frames.frames(outbox))
        except _NOT_CARRIED:
            encoded = list(frames.frames([body for body in outbox if self._carries(body)]))
        for frame in encoded:
            if self._link is not None:  # a refusal ends it
                self._link.send(frame)

    def _carries(self, body: dict[str, Any]) -> bool:
        """Whether the wire can carry a request. What it can't, such as 2**70, is answered here, without harm to the others."""
        try:
            frames.encode([body])
        except _NOT_CARRIED as e:
            error = IpcError("bad_request", detail=f"The request can't be sent: {str(e)[:120]}")
            self._subscribes.pop(body["id"], None)
            self._deliver({"id": body["id"], **error.to_wire()})
            return False
        return True

    def _reopen(self) -> None:
        if self._opening is None and not self._closed:
            self._drop(linger_ms=0)
            self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        """Connect to a broker that answers, then send all that has no answer yet."""
        try:
            while True:
                try:
                    await self._loop.run_in_executor(None, self._find_broker)
                    self._link = await open_async_link(self.settings, self._handshakes, self)
                    break
                except IpcError as error:
                    self._fail(error)
                    if not self._pending:
                        return
        finally:
            self._opening = None
        self._abandoned.clear()  # their replies went the way of the old socket
        self._subscribes = {n: b for n, b in self._subscribes.items() if n in self.on_push}
        again = [b for n, b in self._subscribes.items() if n not in self._pending]
        self._outbox = [*again, *(body for body, _on_reply in self._pending.values())]
        self._flush()

    def _find_broker(self) -> None:
        if self._handshakes is not None:
            self._handshakes.key.wait_until_reachable()
            return
        if self._autostart:
            ensure_running(self.settings)
            return
        from broker.service.launcher import wait_for_broker

        wait_for_broker(self.settings)

    def _fail(self, error: IpcError) -> None:
        """No broker can be had: everyone who waits is told."""
        waiting, self._pending = self._pending, {}
        self._forget_timers()
        for body, on_reply in waiting.values():
            on_reply({"id": body["id"], **error.to_wire()})
        self._outbox.clear()

    def _forget_timers(self) -> None:
        self._due.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    # what the link tells

    def link_brought(self, frame: "bytes | memoryview") -> None:
        for reply in frames.decode(frame):
            self._deliver(reply)

    def link_lost(self) -> None:
        self._reopen()

    def link_refused(self, error: IpcError) -> None:
        """Trying again is of no use."""
        self._drop(linger_ms=0)
        self._fail(error)

    def _drop(self, linger_ms: int) -> None:
        if self._link is not None:
            self._link.close(linger_ms)
            self._link = None

    def _deliver(self, reply: dict[str, Any]) -> None:
        number = reply.get("id")
        if not isinstance(number, int):
            return
        if "push" in reply:
            receive = self.on_push.get(number)
            if receive is not None:
                receive(reply)
            return
        body, on_reply = self._pending.pop(number, (None, None))
        if self._due.pop(number, None) is None and number in self._timers:
            self._timers.pop(number).cancel()
        if on_reply is not None and on_reply(reply):
            return
        body = body or self._abandoned.pop(number, None)
        if number in self._subscribes and number in self.on_push and reply.get("unread"):
            # asked again of a broker that was started anew: what came before that was pushed to nobody
            told = {"unread": reply["unread"], "interrupt": 0, "from": [], "land": "tool"}
            self.on_push[number]({"push": "new", "id": number, **told})
        if body is not None and reply.get("messages") and self.on_orphan is not None:
            self.on_orphan(body, reply)


def _settle(future: "asyncio.Future[dict[str, Any]]", reply: dict[str, Any]) -> bool:
    if future.done():
        return False
    future.set_result(reply)
    return True


class AsyncClient(Calls[Awaitable[dict[str, Any]]]):
    """An agent in asyncio: the same calls as ``broker.Client``."""

    def __init__(self, connection: AsyncConnection, name: str, token: str, queued: int = 0) -> None:
        self._connection = connection
        self.name = name
        self.token = token
        self.queued = queued
        self._unacked: list[str] = []
        connection.on_orphan = self._give_back

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.ack()
        finally:
            await self.close()

    async def close(self) -> None:
        await self._connection.close()

    def _give_back(self, _request: dict[str, Any], reply: dict[str, Any]) -> None:
        """A check was cancelled while its reply was under way: the mail goes back."""
        ids = [m["id"] for m in reply["messages"]]
        self._connection.begin({"action": "release", "session_token": self.token, "ids": ids})

    async def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Any action of the table, as this session. Raises RemoteError."""
        reply = await self._connection.request({"action": action, "session_token": self.token, **fields}, timeout_s)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    async def ask(
        self,
        to: str,
        content: str,
        data: Any = None,
        *,
        wait: float = 60.0,
        deadline_s: float | None = None,
        message_id: str | None = None,
    ) -> Mail | None:
        """Ask and wait up to ``wait`` seconds for the answer; None if it has not come: then it arrives as mail."""
        fields = {"to_id": to, "wait_s": wait, "deadline_s": deadline_s, "timeout_s": wait + DEFAULT_TIMEOUT_S}
        reply = await self._write("ask", content, data, message_id, **fields)
        answer = [Mail.from_wire(m) for m in reply["messages"]]
        self._unacked += [m.id for m in answer]
        return answer[0] if answer else None

    async def check(self, wait: float = 0.0, limit: int = 100) -> list[Mail]:
        """New mail, waiting up to ``wait`` seconds. Acknowledges what the previous check returned."""
        await self.ack()
        reply = await self.request("check", wait_s=wait, limit=limit, timeout_s=wait + DEFAULT_TIMEOUT_S)
        mail = [Mail.from_wire(m) for m in reply["messages"]]
        self._unacked = [m.id for m in mail]
        return mail

    async def ack(self) -> int:
        """Acknowledge what the last check returned."""
        if not self._unacked:
            return 0
        ids, self._unacked = self._unacked, []
        return int((await self.request("ack", ids=ids))["acked"])

    async def list(self) -> list[dict[str, str]]:
        """Registered instances: ``id`` and ``last_seen`` (UTC, ISO 8601)."""
        instances: list[dict[str, str]] = (await self.request("list"))["instances"]
        return instances

    async def rename(self, new_name: str) -> str:
        """Take another name; returns the broker's sentence."""
        reply = await self.request("rename", old_id=self.name, new_id=new_name)
        self.name = new_name
        return str(reply["message"])


async def connect_async(
    name: str, *, token: str | None = None, settings: Settings | None = None, key_file: str | None = None
) -> AsyncClient:
    """Register ``name`` (or resume the session of ``token``); starts the service if there is none.

    With ``key_file`` (default $IPC_KEY_FILE) the service is that of another machine. Raises IpcError, SettingsError.
    """
    settings = settings or Settings.load()
    connection = AsyncConnection(settings, key_file=key_file)
    if token is not None:
        body: dict[str, Any] = {"action": "whoami", "session_token": token}
    else:
        proof = "" if connection._handshakes else auth_token(name, settings.shared_secret)  # which is this machine's
        body = {"action": "register", "instance_id": name, "auth_token": proof}
    reply = await connection.request(body)
    if reply.get("status") != "ok":
        await connection.close()
        raise RemoteError(reply)
    if token is not None:
        return AsyncClient(connection, reply["instance_id"], token, reply["queued"])
    return AsyncClient(connection, name, reply["session_token"], reply["queued"])
