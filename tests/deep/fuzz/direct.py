"""The real engine and store behind a door's own code, asked by a call in place of a socket."""

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridges.mcp.relayed_agent import Agent
from bridges.mcp.session import BridgeSession
from broker.core.batch import Answers, Incoming
from broker.core.engine import Engine
from broker.core.sessions import token_hash
from broker.core.state import Moment
from broker.home.settings import Settings
from broker.protocol import frames
from broker.protocol.errors import CATALOGUE, IpcError, RemoteError
from broker.store import open_store


class Found(AssertionError):
    """An input did what no input may."""


def short(body: dict[str, Any]) -> str:
    return str({k: f"{v!r:.100}" for k, v in body.items()})


class Direct:
    """One data folder's engine. Whatever it is asked and answers goes through the wire's encoding."""

    def __init__(self, home: Path) -> None:
        env = {"IPC_HOME": str(home), "IPC_DURABILITY": "normal", "IPC_RATE_LIMIT": "0", "IPC_MESSAGE_LIMIT": "100000"}
        self.settings = Settings.load(env=env)
        self.store = open_store(self.settings)
        self.engine = Engine(self.store.load(), self.store, self.settings, token_hash("owner"), make_reference=self._fault)
        for name in ("ping", "status"):  # the process's own, which there is none of here
            self.engine.handlers[name] = lambda *_: {"version": "0", "uptime_s": 0, "instances": [], "queued": 0}
        self.clock_s = 1_800_000_000.0

    def _fault(self, error: BaseException, request: Incoming) -> str:
        raise Found(f"{error!r} came of {short(request.body)}") from error

    def ask(self, body: dict[str, Any], route: bytes = b"r") -> list[dict[str, Any]]:
        """What comes of one request; a wait is over at once."""
        request = frames.decode(frames.encode([body]))[0]
        out, _ = self.engine.run([Incoming(route, request, request.get("session_token"), "fuzz")], self._now())
        if not out:
            self.clock_s += 3601
            out, _ = self.engine.run([], self._now())
        told = [one for o in out for one in (o.bodies if isinstance(o, Answers) else [o.body])]
        for one in told:
            if one.get("status") == "error" and one["code"] not in CATALOGUE:
                raise Found(f"{one} came of {short(body)}")
        return frames.decode(frames.encode(told)) if told else []

    def _now(self) -> Moment:
        return Moment(self.clock_s, self.clock_s)

    def close(self) -> None:
        self.store.close()


class DirectBroker:
    """What the JSON door calls of its connection to the broker."""

    def __init__(self, direct: Direct) -> None:
        self._direct = direct
        self._ids = itertools.count(1)
        self.on_push: dict[int, Callable[[dict[str, Any]], None]] = {}
        self.on_orphan: Any = None
        self.after_frame: Any = None
        self.in_flight = 0

    def submit(self, body: dict[str, Any], on_reply: Callable[[dict[str, Any]], bool], _timeout_s: float) -> int:
        number = next(self._ids)
        asyncio.get_running_loop().call_soon(self._ask, {**body, "id": number}, on_reply)
        return number

    def submit_run(self, bodies: list[dict[str, Any]], on_reply: Callable[[dict[str, Any]], bool], timeout_s: float) -> int:
        first, *_ = [self.submit(body, on_reply, timeout_s) for body in bodies]
        return first

    def end_pushes(self, number: int, late: Callable[[dict[str, Any]], None] | None = None) -> None:
        self.on_push.pop(number, None)
        if late is not None:
            self.on_push[number] = late

    def _ask(self, body: dict[str, Any], on_reply: Callable[[dict[str, Any]], bool]) -> None:
        for reply in self._direct.ask(body):
            if "push" in reply:
                self.on_push.get(reply["id"], lambda _push: None)(reply)
            elif reply["id"] == body["id"]:
                on_reply(reply)


class DirectSession(BridgeSession):
    """An agent's MCP session whose requests are calls."""

    def __init__(self, direct: Direct, agent: Agent) -> None:
        super().__init__(direct.settings, agent, autostart=False)
        self._direct = direct

    async def _ask(self, body: dict[str, Any], timeout_s: float = 0) -> dict[str, Any]:
        try:
            frames.encode([body])
        except (OverflowError, ValueError, TypeError) as e:  # as the connection answers what it can't carry
            raise IpcError("bad_request", detail=str(e)) from None
        reply = next(r for r in self._direct.ask({**body, "id": 1}) if "push" not in r)
        if reply["status"] != "ok":
            raise RemoteError(reply)
        return reply
