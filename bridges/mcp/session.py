"""The session that an agent's host has with us: one session of Claude Code is one instance.

``sessions/mcp-*.json`` of the data folder keeps the token, by project folder and name, so that the next session of the same
project and name resumes it. A session holds a lock beside its file: a second session in the folder never takes up by itself
what is in use.

bridges.mcp.tool_evidence says what becomes of mail that the host was given. Requests go to the broker in the order in which
tools were called: nothing is awaited before one is sent.
"""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from bridges import host_sessions, saved_sessions
from bridges.host_sessions import Binding
from bridges.mail_evidence import HELD_S
from bridges.mcp.relayed_agent import Agent
from bridges.mcp.tool_evidence import Given
from bridges.session_renewal import renew
from broker.client.aio import AsyncConnection
from broker.home.data_folder import prepare_home
from broker.home.endpoints import socket_answers
from broker.home.locks import hold
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.actions import ACTIONS
from broker.protocol.errors import IpcError, RemoteError
from broker.protocol.essentials import DEFAULT_TIMEOUT_S, EVIDENCE, STORES
from broker.protocol.ids import auth_token, new_message_id

_REQUEST: ContextVar[str | None] = ContextVar("agent_ipc_mcp_request", default=None)
"""Key of the MCP request on whose behalf the present task runs."""


_NAMES_MAIL = ("to_message", "forward_id", "thread")
"""Fields by which a model shows that it has read a message."""


CURRENT: ContextVar["BridgeSession"] = ContextVar("agent_ipc_session")


def current() -> "BridgeSession":
    """The session on whose behalf a tool or resource runs."""
    return CURRENT.get()


class AgentNotRegistered(Exception):
    """No name has been taken yet in this session."""


class BridgeSession:
    """The connection, name and token of one session. The token is never shown to the model."""

    def __init__(self, settings: Settings, agent: Agent, *, autostart: bool = True, log: Log | None = None) -> None:
        self._settings = settings
        self.log = log or Log("mcp")
        self.agent = agent
        self._autostart = autostart
        self._connection: AsyncConnection | None = None
        self._token: str | None = None
        self._lock_fd: int | None = None
        self.given = Given(str(settings.home), lambda: agent.binding(settings.home), self._begin)
        self._watch: tuple[int, str] | None = None
        """Number and token of the subscription."""
        self._renewing = asyncio.Lock()
        self._rejoining: asyncio.Task[None] | None = None
        self.name: str | None = None
        self.on_arrival: Callable[[dict[str, Any]], None] | None = None
        """Called with the broker's push about new mail, which holds no mail."""
        self.on_wake: Callable[[dict[str, Any]], None] | None = None
        """Called with the broker's push that asks for a notice."""
        self.ways: Callable[[], dict[str, Any]] = dict
        """Returns the fields of ``subscribe`` that arm this process's ways."""
        self.on_autocheck: Callable[[int], None] | None = None
        """Called with the minutes between automatic checks; 0 for none."""
        self.on_name: Callable[[], None] | None = None
        """Called when the session has a name, or a new one."""
        self.on_watching: Callable[[], None] | None = None
        """Called when the broker tells this process of mail."""
        self._unreleased = False
        """What the process before this one had only fetched is on lease yet."""
        self._lock_path = ""

    def begin_request(self, key: str) -> None:
        """Let what the present task asks from here on belong to this request of the host."""
        _REQUEST.set(key)
        self.given.begin(key)

    def state(self) -> dict[str, Any]:
        """What the next process must know to go on for this one."""
        return {"name": self.name, "shown": self.given.state()} if self.name is not None else dict(self.agent.state)

    def rest(self) -> dict[str, Any]:
        """What a relay must do for the session while no process serves it: what to subscribe to, the lock to hold."""
        watch = {"action": "subscribe", "session_token": self._token, "notify": True, **self.ways()}
        return {"watch": watch, "lock": self._lock_path} if self._token is not None else {}

    async def register(self, name: str, *, force: bool = False) -> dict[str, Any]:
        """Resume this project's session of that name, or register it anew, with ``force`` also one that another holds.

        Returns the broker's reply.
        """
        if self._token is None and self.agent.state.get("name"):
            with contextlib.suppress(AgentNotRegistered, RemoteError):
                await self._resume()
        if self._token is not None:
            self._settle()
        prepare_home(self._settings)
        path = self._path(name)
        token = saved_sessions.read_json(path).get("token")
        if token and self._may_resume(name, path, token):
            with contextlib.suppress(RemoteError):
                found = await self._ask({"action": "whoami", "session_token": token})
                if found["instance_id"] == name:
                    self._take(name, token)
                    # mail that a process that was killed had fetched and nobody acknowledged
                    await self._ask({"action": "release", "session_token": token})
                    return {"message": f"Resumed {name}", "queued": found["queued"]}
        secret = "" if self._settings.key_file else self._settings.shared_secret  # this machine's secret stays on it
        proof = auth_token(name, secret)
        fields = {"instance_id": name, "auth_token": proof, "force": force, "body": self.agent.body(self._settings.home)}
        reply = await self._ask({"action": "register", **{k: v for k, v in fields.items() if v is not None}})
        self._take(name, reply["session_token"])
        return reply

    def _may_resume(self, name: str, path: str, token: str) -> bool:
        """Whether the stored session is this agent's to go on with, and not that of another one that runs in the folder."""
        if name == self.name:
            return True
        own = self.agent.binding(self._settings.home)
        others = [b for b in host_sessions.all_of(str(self._settings.home)) if own is None or b.session != own.session]
        return not saved_sessions.in_use(path) and not any(b.token == token and (b.live() or b.elsewhere()) for b in others)

    async def request(self, action: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, **fields: Any) -> dict[str, Any]:
        """Make a request as this session. It is evidence for mail shown before. Raises AgentNotRegistered, IpcError."""
        if self._token is None:
            await self._resume()
        fields = {k: v for k, v in fields.items() if v is not None}
        self._settle(next((fields[k] for k in _NAMES_MAIL if k in fields), None))
        if action == "list":
            for gone in host_sessions.lost(str(self._settings.home)):
                with contextlib.suppress(RemoteError):  # the name may be another's by now
                    await self._ask(gone)
        if action in STORES:
            fields["message_id"] = self._message_id(action, fields)
        if action == "rename" and fields["new_id"] == self.name:
            return {"message": f"The name is {self.name}"}  # sent again after a process died in the middle of it
        reply = await self._ask({"action": action, "session_token": self._token, **fields}, timeout_s)
        mail = reply.get("messages")
        if mail and ACTIONS[action].delivers:
            reply["messages"] = await self.given.fetched(_REQUEST.get() or "", mail)
        if action == "rename":
            saved_sessions.follow(str(self._settings.home), str(self._token), fields["new_id"])
            self._take(fields["new_id"], str(self._token))
        elif "autocheck" in reply and self.on_autocheck is not None:
            self.on_autocheck(reply.get("minutes", 0))
        return reply

    async def registered(self) -> bool:
        """Whether the session has a name, after taking up one that may be taken up unasked."""
        if self._token is None:
            try:
                await self._resume()
            except AgentNotRegistered:
                return False
        return True

    def may_join(self) -> bool:
        """Whether a name may be taken up before the host asks for anything: not if that would start the service."""
        return socket_answers(self._settings)

    async def count(self) -> dict[str, Any] | None:
        """How much mail waits; None without a name. Acknowledges nothing."""
        if self._token is None:
            return None
        return await self._ask({"action": "count", "session_token": self._token})

    async def say_reach(self, ways: list[str]) -> None:
        """Say by which ways mail reaches this instance, and learn how often automatic checks are wanted."""
        if self._token is not None:
            fields = {"session_token": self._token, "reach": ways, "body": self.agent.body(self._settings.home)}
            await self._ask({"action": "presence", **{k: v for k, v in fields.items() if v is not None}})
            found = await self._ask({"action": "autocheck", "session_token": self._token})
            if self.on_autocheck is not None:
                self.on_autocheck(found.get("minutes", 0))

    @property
    def home(self) -> Path:
        return self._settings.home

    async def status(self) -> dict[str, Any]:
        return await self._ask({"action": "status"})

    def left_out(self, ids: list[str]) -> None:
        """Give back mail that the present request fetched and does not show."""
        self.given.left_out(_REQUEST.get() or "", ids)

    async def close(self, *, orderly: bool, going_on: bool = False) -> None:
        """End the session. ``orderly``: the host has taken what it was shown. ``going_on``: another process of ours goes on."""
        if self._token is None and not going_on and self.agent.state.get("name"):
            with contextlib.suppress(IpcError, AgentNotRegistered):
                await self._resume()  # for the mail that the process before this one had shown
        if self._connection is not None:
            with contextlib.suppress(IpcError):
                await self.given.close(orderly=orderly, going_on=going_on)
                if self._token is not None:
                    self._release_fetched()
                    await self._ask({"action": "ping"})  # its answer comes after what was begun before
            await self._connection.close()
        if self._lock_fd is not None:
            os.close(self._lock_fd)

    def _message_id(self, action: str, fields: dict[str, Any]) -> str:
        """An id that is the same for the same message in the same request of the host, which is then stored once."""
        key = _REQUEST.get()
        if key is None or not self.agent.relay:
            return new_message_id()
        said = json.dumps([self.agent.relay, key, action, fields], sort_keys=True, ensure_ascii=False)
        return "mcp-" + hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:40]

    def _begin(self, action: str, ids: list[str]) -> None:
        """Begin what ``tool_evidence.Ask`` says. Mail of a token that was refused is free anyway."""
        if self._connection is not None and self._token is not None:
            more: dict[str, Any] = {"lease_s": HELD_S} if action == "touch" else {}
            if action == "unseen":
                action, more = "release", {"unseen": True}
            elif action in EVIDENCE:
                action, more = "ack", {"evidence": action}
            self._connection.begin({"action": action, "session_token": self._token, "ids": ids, **more})

    async def _resume(self) -> None:
        """Take up a session without being asked. Raises AgentNotRegistered if none fits.

        That is the session of the process before this one, of the host's hooks, of the configured name, or the only one.
        """
        if self.agent.state.get("name"):
            await self._go_on(str(self.agent.state["name"]), list(self.agent.state.get("shown") or ()))
            return
        binding = self.agent.binding(self._settings.home)
        if binding is not None and await self._join(binding):
            return
        if self.agent.wanted is not None:
            await self.register(self.agent.wanted)
            return
        names = self._free_names()
        if len(names) != 1:
            raise AgentNotRegistered
        await self.register(names[0])

    async def _go_on(self, name: str, shown: list[Any]) -> None:
        """Be what the process before this one was. What it had shown is settled with the host's next request, or its end."""
        stored = saved_sessions.find(str(self._settings.home), self.agent.project, name)
        if saved_sessions.is_anothers(stored, self.agent.body(self._settings.home)):
            raise AgentNotRegistered
        token = stored.get("token")
        found = await self._ask({"action": "whoami", "session_token": token})
        self._take(found["instance_id"], str(token))  # another name than before, if that process died in the middle of a rename
        self.given.restore(shown)
        self._unreleased = not self.agent.state.get("rested")

    def _settle(self, named: object = ()) -> None:
        """Take a request of the host as evidence for what was shown before."""
        self.given.settle(named)
        self._release_fetched()

    def _release_fetched(self) -> None:
        """Release what the process before this one had only fetched; call it when what was shown is acknowledged."""
        if self._unreleased and self._connection is not None:
            self._unreleased = False
            self._connection.begin({"action": "release", "session_token": self._token})

    async def _join(self, binding: Binding) -> bool:
        """Be the instance that the host's hooks registered. False if it is lost."""
        name, token = binding.name, binding.token
        try:
            name = (await self._ask({"action": "whoami", "session_token": token}))["instance_id"]
        except RemoteError:
            try:
                name, token = await self._renewed(name, token)
            except RemoteError:
                return False
        self._take(name, token)
        return True

    async def _ask(self, body: dict[str, Any], timeout_s: float = DEFAULT_TIMEOUT_S) -> dict[str, Any]:
        if self._connection is None:
            self._connection = AsyncConnection(self._settings, autostart=self._autostart, door="mcp", link="zeromq")
            self._connection.on_orphan = self._give_back
        reply = await self._connection.request(body, timeout_s)
        if reply.get("status") == "ok":
            return reply
        error, token = RemoteError(reply), body.get("session_token")
        if error.kind.http != 401 or token is None or token != self._token:
            raise error
        await self._renew(token)
        return await self._ask({**body, "session_token": self._token}, timeout_s)

    async def _renew(self, token: str) -> None:
        """Go on with the session as the host's hooks or another process of ours renewed it, or register it again.

        Raises the refusal if the name is another's.
        """
        async with self._renewing:
            if self._token == token:
                self._take(*await self._renewed(str(self.name), token))

    async def _renewed(self, name: str, token: str) -> tuple[str, str]:
        """(present name, token) for a token that was refused."""
        binding = self.agent.binding(self._settings.home)
        path = self._path(name) if binding is None else host_sessions.path_of(str(self._settings.home), binding.session)
        body = self.agent.body(self._settings.home)
        renewed = await asyncio.to_thread(renew, self._settings, name, token, path, door="mcp", body=body)
        found = await self._ask({"action": "whoami", "session_token": renewed})
        return str(found["instance_id"]), renewed

    def _give_back(self, request: dict[str, Any], reply: dict[str, Any]) -> None:
        """Release the mail in the reply to a ``check`` that was cancelled. Nobody saw it."""
        if self._connection is not None:
            ids = [m["id"] for m in reply["messages"]]
            self._connection.begin({"action": "release", "session_token": request["session_token"], "ids": ids})

    # the file

    def _path(self, name: str) -> str:
        return saved_sessions.path_of(str(self._settings.home), self.agent.project, name)

    def _take(self, name: str, token: str) -> None:
        """Be this instance, also for the next process of the project and for the host's hooks."""
        self.name, self._token = name, token
        home = str(self._settings.home)
        path = saved_sessions.store(home, self.agent.project, name, token, body=self.agent.body(self._settings.home))
        binding = self.agent.binding(self._settings.home)
        if binding is not None:
            host_sessions.rebind(home, binding.session, name, token)
        if self._lock_fd is not None:
            os.close(self._lock_fd)
        self._lock_path = saved_sessions.lock_path(path)
        self._lock_fd = hold(self._lock_path)  # a relay that rested holds it
        self.watch_mail()
        if self.on_name is not None:
            self.on_name()

    def watch_mail(self) -> None:
        """Have the broker tell of mail for the present name, and arm the ways by which this process can wake the host.

        After a broker's death the connection asks again.
        """
        connection = self._connection
        if connection is None:
            return
        if self._watch is not None:
            number, token = self._watch
            connection.end_pushes(number)
            connection.begin({"action": "unsubscribe", "session_token": token, "subscription": number})
        subscription = {"action": "subscribe", "session_token": self._token, "notify": True, **self.ways()}
        number, reply = connection.begin(subscription)
        reply.add_done_callback(self._subscribed)
        self._watch = number, str(self._token)
        connection.on_push[number] = self._told

    def _subscribed(self, reply: "asyncio.Future[dict[str, Any]]") -> None:
        """Take mail that came before the subscription for new."""
        if not reply.cancelled() and self.on_watching is not None:
            self.on_watching()
        if not reply.cancelled() and reply.result().get("unread") and self.on_arrival is not None:
            self.on_arrival(reply.result())

    async def say_woken(self, way: str, result: str) -> None:
        """Answer a push ``wake``."""
        await self._ask({"action": "way", "session_token": self._token, "way": way, "result": result})

    def _told(self, push: dict[str, Any]) -> None:
        if push.get("push") == "new" and self.on_arrival is not None:
            self.on_arrival(push)
        elif push.get("push") == "wake" and self.on_wake is not None:
            self.on_wake(push)
        elif push.get("push") == "session_replaced" and self._token is not None:
            self._rejoining = asyncio.get_running_loop().create_task(self._rejoin(self._token))

    async def _rejoin(self, token: str) -> None:
        """Take up the session that was registered again, if a hook or command of the same agent did it."""
        with contextlib.suppress(IpcError):
            await self._renew(token)

    def _free_names(self) -> list[str]:
        """Names of this project's stored sessions that no living process uses."""
        found = saved_sessions.of_project(str(self._settings.home), self.agent.project)
        return sorted(name for name, path in found if not saved_sessions.in_use(path))
