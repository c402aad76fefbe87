"""One simulated site: the real engine over the real store, with two agents, whose process and disk the simulation can spoil."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

from broker.core.batch import Incoming
from broker.core.engine import Engine
from broker.core.sessions import token_hash
from broker.core.state import Moment
from broker.core.storage import StoreFull
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.server.upkeep import Sweeper
from broker.store import SqliteStore, open_store
from tests.deep.faults.judge import flat
from tests.deep.faults.link_carriers import Network
from tests.deep.faults.model import Wrong

OWNER = "owner"
AGENTS = ("ann", "bob")
_ENV = {
    "IPC_DURABILITY": "normal",
    "IPC_RATE_LIMIT": "0",
    "IPC_WAKE_PAUSE": "0",
    "IPC_PAIR_LIMIT": "0",
    "IPC_MAILBOX_LIMIT": "80",
}
_BEGAN_S = 1_800_000_000.0


class Death(BaseException):
    """The process is killed here."""


class Arrival(NamedTuple):
    """One letter of another site that the store has."""

    source: str
    text: str


class Site:
    """``ask`` is for its door, ``act`` for its agents."""

    def __init__(self, name: str, home: Path, network: Network) -> None:
        self.name = name
        self._network = network
        self._rng = random.Random(network.rng.random())  # noqa: S311 (a seeded test)
        home.mkdir(mode=0o700)
        self._settings = Settings.load(env={"IPC_HOME": str(home), "IPC_SITE": name, **_ENV})
        self._file = home / "ipc.db"
        self._tokens: dict[str, str] = {}
        self._requests = 0
        self._mood = ""
        self._open()
        for agent in AGENTS:
            self._tokens[agent] = self.act(agent, "register", instance_id=agent)["session_token"]
        self._newest = 0

    # the process

    def _open(self) -> None:
        self._store: SqliteStore = open_store(self._settings)
        self._commit = self._store.commit
        self._store.commit = self._faulty_commit  # type: ignore[method-assign]
        make_token = lambda: f"{self._rng.getrandbits(128):032x}"  # noqa: E731
        self.engine = Engine(self._store.load(), self._store, self._settings, token_hash(OWNER), make_token=make_token)
        self.engine.make_reference = self._fault_in_a_request
        self._sweeper = Sweeper(self.engine, self._store, Log("simulation"))

    def _fault_in_a_request(self, error: BaseException, request: Incoming) -> str:
        raise Wrong(f"{self.name}: {request.body} raised {error!r}") from error

    def _faulty_commit(self, *, marks: bool = True) -> None:
        if self._mood == "full":
            raise StoreFull("simulated")
        if self._mood == "killed before commit":
            self._store._flush()
            raise Death
        self._commit(marks=marks)
        if self._mood == "killed after commit":
            raise Death

    def close(self) -> None:
        self._store.close()

    def restart(self) -> None:
        """As after kill -9."""
        self._store.rollback()
        self._store.close()
        self._open()

    def copy(self) -> bytes:
        """The database as it is now."""
        return self._store._sql.serialize()

    def set_back(self, copy: bytes) -> None:
        """Somebody puts an older copy of the database there."""
        self._store.close()
        for path in self._file.parent.glob("ipc.db*"):
            path.unlink()
        self._file.write_bytes(copy)
        self._open()
        self._newest = self._store._sql.execute("SELECT ifnull(max(id), 0) FROM message").fetchone()[0]

    # requests

    @property
    def _now(self) -> Moment:
        return Moment(_BEGAN_S + self._network.now_s, 1000.0 + self._network.now_s)

    def _run(self, route: str, token: str | None, body: dict[str, Any], mood: str = "") -> dict[str, Any] | None:
        """The reply; None if the process died before it could be sent."""
        self._requests += 1
        self._mood = mood
        request = Incoming(route.encode(), {"id": self._requests, **body}, token, "simulation")
        try:
            out = flat(self.engine.run([request], self._now)[0])
        except Death:
            self._mood = ""
            self.restart()
            return None
        finally:
            self._mood = ""
        return next(one.body for one in out if one.body.get("id") == self._requests and "push" not in one.body)

    def ask(self, action: str, mood: str = "", **fields: Any) -> dict[str, Any] | None:
        return self._run("door", OWNER, {"action": action, **fields}, mood)

    def act(self, agent: str, action: str, mood: str = "", **fields: Any) -> dict[str, Any]:
        reply = self._run(agent, self._tokens.get(agent), {"action": action, **fields}, mood)
        return reply or {"status": "error", "code": "killed"}

    def read(self, agent: str, limit: int) -> list[dict[str, Any]]:
        """Check, and acknowledge what came."""
        messages: list[dict[str, Any]] = self.act(agent, "check", limit=limit).get("messages", [])
        if messages:
            self.act(agent, "ack", ids=[m["id"] for m in messages])
        return messages

    def keep_house(self) -> None:
        """What the server does between batches."""
        self.engine.keep_house(self._now)
        self._sweeper.step(self._now)

    # what lies there

    def arrivals(self) -> Iterator[Arrival]:
        """Letters of other sites that came since this was asked last, in the order in which they were stored."""
        sql = "SELECT id, sender, content FROM message WHERE id > ? ORDER BY id"
        for number, sender, content in self._store._sql.execute(sql, (self._newest,)).fetchall():
            self._newest = number
            if "@" in sender and not sender.startswith("*"):  # under that name what was refused is remembered
                yield Arrival(sender.partition("@")[2], content)

    def outbox(self, to: str) -> set[str]:
        """Texts that wait for another site's mark."""
        sql = "SELECT m.content FROM outbox o JOIN message m ON m.id = o.message_id WHERE o.site = ?"
        return {text for (text,) in self._store._sql.execute(sql, (to,))}

    def held(self) -> set[str]:
        """Texts that came before what they follow."""
        bodies = [msgpack.unpackb(body) for (body,) in self._store._sql.execute("SELECT body FROM held")]
        return {body["content"] for body in bodies if body["k"] == "mail"}

    def waiting(self) -> tuple[int, int]:
        """(rows in the outbox, rows held)."""
        outbox, held = self._store._sql.execute("SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM held)").fetchone()
        return int(outbox), int(held)

    def place(self, stream: str) -> dict[str, Any]:
        found = self.engine.state.link.streams.get(stream)
        return found._asdict() if found is not None else {"cursor": 0, "born": ""}

    def known(self) -> dict[str, tuple[str, int]]:
        """By source the epoch that is read, and how far."""
        return {one.site: (one.epoch, one.high) for one in self.engine.state.link.inbound.values()}
