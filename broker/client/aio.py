"""The asyncio client, and the connection that doors share among many agents.

``AsyncConnection`` gathers the requests made in one turn of the event loop into one frame. When the broker goes away it
waits for it (or starts it), and sends again whatever has no answer yet, with the same ids. What is in flight, when it is
sent again and when it times out is decided in ``broker.client.pending``; here are the event loop, its clock and its timer.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any

from broker.client.address import BrokerAddress
from broker.client.links import AsyncLink, Way
from broker.client.mail import Mail
from broker.client.methods import Methods, Steps
from broker.client.own_body import registration
from broker.client.pending import OnReply, Pending
from broker.client.unix_link import open_async_link
from broker.home.settings import Settings
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S
from broker.service.launcher import wait_for_broker


class AsyncConnection:
    """Requests and replies over one connection, for any number of tasks of one event loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        autostart: bool = True,
        door: str = "zmq",
        key_file: str | None = None,
        link: Way = "unix",
    ) -> None:
        """With a key file (``settings.key_file`` unless given) the broker is that of another machine. Raises SettingsError."""
        self.settings = settings
        self._address = BrokerAddress(settings, key_file, link, autostart)
        self.on_orphan: Callable[[dict[str, Any], dict[str, Any]], None] | None = None
        """Gets (request, reply) of a reply with mail whose asker has gone. The mail is on lease and must be given back."""
        self._pending = Pending(door, self._orphan)
        self.after_frame: Callable[[], None] | None = None
        """Called when the replies of a frame have been taken."""
        self.on_link: Callable[[bool], None] | None = None
        """Called with True when a link is open, with False when it was lost."""
        self.on_push = self._pending.on_push
        """Receivers of pushes, by the id of their ``subscribe`` request."""
        self.end_pushes = self._pending.end_pushes
        self._futures: set[asyncio.Future[dict[str, Any]]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._flush_planned = False
        self._link: AsyncLink | None = None
        self._opening: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @property
    def is_remote(self) -> bool:
        """Whether the broker is another machine's."""
        return self._address.is_remote

    # requests

    async def request(self, body: dict[str, Any], timeout_s: float = DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        """The reply to one request, an error reply too. Raises IpcError ``timeout``."""
        number, future = self.begin(body, timeout_s)
        try:
            reply = await future
        except asyncio.CancelledError:
            self._pending.abandon(number)
            if not future.cancelled():  # the reply was here already
                self._pending.orphan(body, future.result())
            raise
        if reply.get("code") == "timeout":
            raise IpcError("timeout", limit=timeout_s)
        return reply

    def begin(self, body: dict[str, Any], timeout_s: float = DEFAULT_TIMEOUT_S) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Queue a request; (its id on the wire, the future of its reply, which may be the error ``timeout``).

        Raises IpcError once the connection is closed.
        """
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        number = self.submit(dict(body), partial(_settle, future), timeout_s)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return number, future

    def submit(self, body: dict[str, Any], on_reply: OnReply, timeout_s: float) -> int:
        """Queue a request without a task or future of its own; its id on the wire. The map is the connection's from now on.

        ``on_reply`` gets the reply, also an error; after ``timeout_s`` seconds it gets the error ``timeout``. It
        returns False if nobody is there any more to take what the reply brings. Raises IpcError once the connection is closed.
        """
        now_s = self._begins()
        number = self._pending.begin(body, on_reply, timeout_s, now_s)
        self._begun(now_s, timeout_s)
        return number

    def submit_run(self, bodies: list[dict[str, Any]], on_reply: OnReply, timeout_s: float) -> int:
        """The same for requests that come together, see ``Pending.begin_run``: one ``on_reply`` gets all replies."""
        now_s = self._begins()
        first = self._pending.begin_run(bodies, on_reply, timeout_s, now_s)
        self._begun(now_s, timeout_s)
        return first

    def _begins(self) -> float:
        if self._closed:  # a task that missed its cancellation must not wait here for ever
            raise IpcError("unavailable", detail="this connection is closed")
        return self._loop.time()

    def _begun(self, now_s: float, timeout_s: float) -> None:
        if self._timer is None or now_s + timeout_s < self._timer.when():
            self._set_timer(now_s + timeout_s)
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def _set_timer(self, due_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if due_s == math.inf else self._loop.call_at(due_s, self._time_out)

    def _time_out(self) -> None:
        self._pending.time_out(self._loop.time())
        self._set_timer(self._pending.deadline_s())

    def _orphan(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        if self.on_orphan is not None:
            self.on_orphan(request, reply)

    async def close(self) -> None:
        """End the connection; what was sent has 0.5 s to get out, and futures are cancelled."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._opening
        self._flush()
        self._drop(linger_ms=500)
        for future in list(self._futures):
            future.cancel()
        self._pending.forget()
        self._set_timer(math.inf)

    @property
    def in_flight(self) -> int:
        """Requests without an answer."""
        return self._pending.in_flight

    def hurry(self) -> None:
        """Send what is queued now, and not at the end of the loop's turn."""
        if self._flush_planned:
            self._flush()

    # the link

    def _flush(self) -> None:
        self._flush_planned = False
        if self._link is None:
            self._reopen()
            return
        for frame in self._pending.outgoing(self._loop.time()):
            self._link.send(frame)

    def _reopen(self) -> None:
        if self._opening is None and not self._closed:
            self._drop(linger_ms=0)
            self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        """Connect to a broker that answers, then send all that has no answer yet."""
        try:
            while True:
                try:
                    await self._loop.run_in_executor(None, self._address.find, wait_for_broker)
                    self._link = await self._open_link()
                    break
                except IpcError as error:
                    self._pending.fail(error)  # everyone who waits is told
                    if not self._pending.in_flight:
                        return
        finally:
            self._opening = None
        self._pending.opened(self._loop.time())
        self._flush()
        if self.on_link is not None:
            self.on_link(True)

    async def _open_link(self) -> AsyncLink:
        """A link to a broker that is known to run. Raises IpcError."""
        if path := self._address.unix_socket():
            with contextlib.suppress(OSError):  # a broker of version 0.3
                return await open_async_link(path, self)
        from broker.client.zeromq_link import AsyncZmqLink  # whose import costs 30 ms

        return AsyncZmqLink(*self._address.zeromq(), self)

    def _drop(self, linger_ms: int) -> None:
        if self._link is not None:
            self._link.close(linger_ms)
            self._link = None

    # what the link tells (broker.client.links.LinkOwner)

    def link_brought(self, frame: "bytes | memoryview") -> None:
        self._pending.incoming(frame, self._loop.time())
        if self.after_frame is not None:
            self.after_frame()

    def link_lost(self) -> None:
        self._reopen()
        if self.on_link is not None:
            self.on_link(False)

    def link_refused(self, error: IpcError) -> None:
        self._drop(linger_ms=0)
        self._pending.fail(error)


def _settle(future: "asyncio.Future[dict[str, Any]]", reply: dict[str, Any]) -> bool:
    if future.done():
        return False
    future.set_result(reply)
    return True


class AsyncClient(
    Methods[
        Awaitable[dict[str, Any]],
        Awaitable[list[Mail]],
        Awaitable[Mail | None],
        Awaitable[int],
        Awaitable[str],
        Awaitable[list[dict[str, str]]],
    ]
):
    """An agent in asyncio: the same methods as ``broker.Client``, to be awaited. Use it as an async context manager."""

    def __init__(self, connection: AsyncConnection, name: str, token: str, queued: int = 0) -> None:
        super().__init__(name, token, queued)
        self._connection = connection
        connection.on_orphan = self._give_back

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Acknowledge what was read, unless an exception left the block: then the mail comes back."""
        try:
            if kind is None:
                await self.ack()
        finally:
            await self.close()

    async def close(self) -> None:
        """End the connection. Mail that was not acknowledged comes back."""
        await self._connection.close()

    def _give_back(self, _request: dict[str, Any], reply: dict[str, Any]) -> None:
        """Return the mail of a check that was cancelled while its reply was under way."""
        ids = [m["id"] for m in reply["messages"]]
        self._connection.begin({"action": "release", "session_token": self.token, "ids": ids})

    async def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Any action of the table, as this session. Raises RemoteError."""
        reply = await self._connection.request({"action": action, "session_token": self.token, **fields}, timeout_s)
        if reply.get("status") != "ok":
            raise RemoteError(reply)
        return reply

    async def _run(self, steps: Steps) -> Any:
        try:
            fields = next(steps)
            while True:
                fields = steps.send(await self.request(**fields))
        except StopIteration as end:
            return end.value

    async def listen(self) -> AsyncIterator[Mail]:
        """Mail without end, one message at a time. A batch is acknowledged when the next one is fetched."""
        while True:
            for mail in await self.check(wait=60.0):
                yield mail


async def connect_async(
    name: str,
    *,
    token: str | None = None,
    force: bool = False,
    body: dict[str, Any] | None = None,
    settings: Settings | None = None,
    key_file: str | None = None,
    link: Way = "unix",
) -> AsyncClient:
    """Register ``name`` (or resume the session of ``token``); starts the service if there is none.

    The name is this process's until it ends (or that of ``body``). One that another holds raises ``name_held``; ``force``
    takes it. With ``key_file`` (default $IPC_KEY_FILE) the service is that of another machine. ``link`` is the way to this
    machine's broker, ``unix`` or ``zeromq``. Raises IpcError, SettingsError.
    """
    settings = settings or Settings.load()
    connection = AsyncConnection(settings, key_file=key_file, link=link)
    if token is not None:
        request: dict[str, Any] = {"action": "whoami", "session_token": token}
    else:
        request = registration(name, settings, force=force, body=body, remote=connection.is_remote)
    reply = await connection.request(request)
    if reply.get("status") != "ok":
        await connection.close()
        raise RemoteError(reply)
    if token is not None:
        return AsyncClient(connection, reply["instance_id"], token, reply["queued"])
    return AsyncClient(connection, name, reply["session_token"], reply["queued"])
