"""The core over a real store, without processes: time is passed in."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from broker.core import sessions
from broker.core.batch import Event, Incoming, Outgoing
from broker.core.engine import Engine
from broker.core.standing import Kind, standing
from broker.core.state import Moment
from broker.core.terms import Terms
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.server.upkeep import Sweeper
from broker.store import SqliteStore, open_store

OWNER = "owner-key"


@dataclass
class Core:
    """An engine whose clock is set by the test. Each name has its own route and token."""

    home: Path
    env: dict[str, str] = field(default_factory=lambda: {"IPC_WAKE_PAUSE": "0"})
    """Settings. Unless they say otherwise mail wakes an agent as soon as its turn is over."""
    wall_s: float = 1_800_000_000.0
    mono_s: float = 1000.0
    terms: Terms | None = None
    """What the wall clock is held against; without one it is right."""
    tokens: dict[str, str] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    processes: dict[int, bool | None] = field(default_factory=dict)
    """Whether a process lives; None for one that can't be seen."""

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        settings = Settings.load(env={"IPC_HOME": str(self.home), **self.env})
        self.store: SqliteStore = open_store(settings)
        self.engine = Engine(self.store.load(), self.store, settings, sessions.token_hash(OWNER))
        self.engine.is_alive = lambda pid, _started: self.processes.get(pid)

    def restart(self) -> None:
        """As after kill -9: nothing of memory is left."""
        self.store.close()
        self.open()

    def pass_time(self, seconds: float) -> None:
        self.wall_s += seconds
        self.mono_s += seconds

    def now(self) -> Moment:
        return Moment(self.wall_s, self.mono_s, *(self.terms.read(self.wall_s, self.mono_s) if self.terms else ()))

    def batch(self, *bodies: dict[str, Any], name: str | None = None) -> list[dict[str, Any]]:
        """Run the requests as one batch; the replies in order, pushes and later replies go to ``late``."""
        requests = []
        for number, body in enumerate(bodies):
            who = body.pop("as_", name)
            body = {"id": number, **body}
            requests.append(
                Incoming((who or "?").encode(), body, body.get("session_token", self.tokens.get(who or "")), "test")
            )
        out, events = self.engine.run(requests, self.now())
        self.events += events
        asked = {(r.route, r.body["id"]) for r in requests}
        mine = [o.body for o in out if "push" not in o.body and (o.route, o.body["id"]) in asked]
        self.late += [o.body for o in out if o.body not in mine]
        return mine

    def keep_house(self) -> list[dict[str, Any]]:
        """Do the chores that are due, as the server does between batches; the pushes and replies that come of it."""
        out, events = self.engine.keep_house(self.now())
        self.events += events
        return [o.body for o in out if isinstance(o, Outgoing)]

    def ask(self, who: str | None, action: str, **fields: Any) -> dict[str, Any]:
        replies = self.batch({"as_": who, "action": action, **fields})
        return replies[0] if replies else {}

    def register(self, *names: str) -> None:
        for name in names:
            reply = self.ask(name, "register", instance_id=name)
            assert reply["status"] == "ok", reply
            self.tokens[name] = reply["session_token"]

    def send(self, who: str, to: str, content: str = "hello", **fields: Any) -> dict[str, Any]:
        return self.ask(who, "send", to_id=to, message={"content": content}, **fields)

    def check(self, who: str, **fields: Any) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = self.ask(who, "check", **fields)["messages"]
        return messages

    def contents(self, who: str) -> list[str]:
        return [m["message"]["content"] for m in self.check(who)]


HOUR = 3600.0
DAY = 24 * HOUR


def go_on(core: Core, seconds: float) -> None:
    """Let time pass, with the broker's chores at the moments at which they are due."""
    end_s = core.mono_s + seconds
    while True:
        due_s = core.engine.state.chore_s
        step_s = min(end_s, max(core.mono_s, due_s)) - core.mono_s
        core.pass_time(step_s)
        core.engine.keep_house(core.now())
        if core.mono_s >= end_s:
            return


def own(core: Core, action: str, **fields: Any) -> dict[str, Any]:
    """The reply to a request of the owner of the data folder, from the page."""
    return core.ask("page", action, session_token=OWNER, **fields)


def small(core: Core, **env: int) -> None:
    """The same data folder with other limits."""
    core.env.update({f"IPC_{name.upper()}": str(value) for name, value in env.items()})
    core.restart()


def kind(core: Core, name: str) -> Kind:
    return standing(core.engine.state, name, core.wall_s).kind


def sweep(core: Core) -> None:
    sweeper = Sweeper(core.engine, core.store, Log("test"))
    sweeper.step(Moment(core.wall_s, core.mono_s))


def one(core: Core, who: str, **fields: object) -> dict[str, Any]:
    """The one message that waits, acknowledged."""
    (message,) = core.check(who, **fields)
    core.ask(who, "ack", ids=[message["id"]])
    return message


@pytest.fixture
def core(home: Path) -> Iterator[Core]:
    core = Core(home)
    yield core
    core.store.close()


@pytest.fixture
def pair(core: Core) -> Core:
    core.register("fred", "claude")
    return core


@pytest.fixture
def team(core: Core) -> Core:
    core.register("fred", "claude", "bob")
    return core
