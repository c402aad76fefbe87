"""The engine in a simulated world: clock, network and disk are a seed's.

Agents make requests; the network batches, repeats and loses them, and loses replies; the disk refuses at the first write
or at the commit; the process dies before a commit or after it, and starts again from the disk; time passes by milliseconds
or by days, and the clock is set back; connections end with mail on lease. Requests come in frames that the real backlog
cuts, through the fast lane, or one by one. Every reply is held against the model, and now and then all there is in memory
is compared.

``python -m tests.deep.faults.simulation --steps N --seed S``. The same seed takes the same steps; what goes wrong is told with
the seed, the step, and the last things that were done.
"""

import argparse
import json
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from broker.core.batch import Frame, Incoming, Outgoing
from broker.core.leases import begin_connection, end_connection
from broker.core.sessions import token_hash
from broker.core.state import Moment
from broker.core.storage import StoreError, StoreFull
from broker.home.logs import Log
from broker.home.settings import Settings
from broker.protocol.errors import IpcError
from broker.server.fairness import Backlog
from broker.server.loop import Server
from broker.server.upkeep import Sweeper
from broker.store import SqliteStore, open_store
from tests.deep.faults import judge_company, judge_mail, report
from tests.deep.faults.company import Company
from tests.deep.faults.compare import compare
from tests.deep.faults.drawing import NAMES, OWNER, OWNERS, Agent, burst, draw
from tests.deep.faults.judge import Judge, WatchedEngine, flat
from tests.deep.faults.model import Box, Wrong

HANDLERS = {**judge_mail.HANDLERS, **judge_company.HANDLERS}
_ENV = {
    "IPC_DURABILITY": "normal",
    "IPC_MAILBOX_LIMIT": "60",
    "IPC_RATE_LIMIT": "20",
    "IPC_RATE_BURST": "15",
    "IPC_PAIR_LIMIT": "3",
    "IPC_ATTEMPT_LIMIT": "1000000",  # the model can't tell how many marks of hand-outs a full disk dropped
}
_KINDS = (
    ("batch", "time", "long time", "clock set back", "connection ends", "sweep", "fold", "death"),
    (90, 14, 0.3, 0.3, 2, 2, 3, 0.5),
)
_MOODS = ("", "full", "full at commit", "killed before commit", "killed after commit"), (94, 2, 2, 1, 1)
_OLD_S = 20 * 86_400.0
_TAIL = 12
"""Steps that are told with a failure."""


class Death(BaseException):
    """The process is killed here."""


class World:
    """One seed's world. ``step`` does one thing and raises Wrong if the engine's answer can't be."""

    def __init__(self, seed: str, home: Path) -> None:
        self.rng = random.Random(seed)  # noqa: S311 (a seeded test)
        self.settings = Settings.load(env={"IPC_HOME": str(home), **_ENV})
        self.wall_s, self.mono_s = 1_800_000_000.0, 1000.0
        self._latest_s = self.wall_s
        self.model = Company(self.settings)
        self.judge = Judge(self.model, HANDLERS)
        self.judge.large = self._large_content
        self.judge.waits = self._still_waits
        self.agents = [Agent(i) for i in range(len(NAMES))]
        self.tried: Counter[str] = Counter()
        self.tail: deque[str] = deque(maxlen=_TAIL)
        self.steps = 0
        self._request_id = 0
        self._fault: Callable[[], None] | None = None
        self._open()

    # the process

    def _open(self) -> None:
        self.store: SqliteStore = open_store(self.settings)
        self._commit = self.store.commit
        self.store.commit = self._faulty_commit  # type: ignore[method-assign]
        self.engine = WatchedEngine(
            self.store.load(), self.store, self.settings, token_hash(OWNER), make_token=lambda: f"{self.rng.random()}"
        )
        self.engine.is_person = lambda _route: True
        self.engine.make_reference = self._fault_in_a_request
        self.engine.attempts = []
        self.sweeper = Sweeper(self.engine, self.store, Log("simulation"))
        for agent in self.agents:
            begin_connection(self.engine.state, agent.route)

    def _fault_in_a_request(self, error: BaseException, request: Incoming) -> str:
        raise Wrong(f"{request.body} raised {error!r}") from error

    def _faulty_commit(self, *, marks: bool = True) -> None:
        if self._fault is not None:
            self._fault()
        self._commit(marks=marks)

    def _refuse(self) -> None:
        store = self.store
        if store._messages or store._ordinary or store._statements or store._open:
            store._flush()
            raise StoreFull("simulated")

    def _die(self) -> None:
        self.store._flush()
        raise Death

    def restart(self) -> None:
        self.store.rollback()
        self.store.close()
        self._open()
        self._fault = None
        self.model.restarts()
        state = self.engine.state
        for box in self.model.boxes:  # when it was last seen is written half a minute late
            box.seen_s = self._earlier(box.name, state.mailboxes[box.name].last_seen_s, box.seen_s)
        for token, session in list(self.model.sessions.items()):
            session.seen_s = self._earlier(session.box.name, state.sessions[token_hash(token)].last_seen_s, session.seen_s)
        for box in self.model.boxes:  # the store tells apart by hash what was made at the same moment
            kept = [token for token in box.ended if token in self.model.sessions]
            box.ended = sorted(kept, key=lambda token: (self.model.sessions[token].made_s, token_hash(token)))
        self.compare(thoroughly=True)

    def _earlier(self, name: str, found_s: float, known_s: float) -> float:
        if found_s > known_s and found_s > self._latest_s:  # the clock may have been set back since it was written
            raise Wrong(f"{name} was last seen at {found_s}, which has not come yet")
        return found_s

    @property
    def now(self) -> Moment:
        return Moment(self.wall_s, self.mono_s)

    # one step

    def step(self) -> None:
        kind = self.rng.choices(*_KINDS)[0]
        self.steps += 1
        self.tried[kind] += 1
        if kind != "batch":
            self.tail.append(f"step {self.steps}: {kind}")
        if kind == "batch":
            self.batch()
        elif kind == "time":
            self._pass(self.rng.choice((0.001, 0.1, 1.0, 31.0)))
        elif kind == "long time":
            self._pass(self.rng.choice((3600.0, 90_000.0, 8 * 86_400.0)))
            for agent in self.agents:
                agent.forgets(self._is_old)
        elif kind == "clock set back":
            self.wall_s -= self.rng.choice((1.0, 3000.0))
        elif kind == "connection ends":
            self._end_connection(self.rng.choice(self.agents).route)
        elif kind == "sweep":
            self.sweep()
        elif kind == "fold":
            self.store.fold(self.rng.randint(1, 20))
        else:
            self.restart()

    def _pass(self, seconds: float) -> None:
        self.wall_s += seconds
        self._latest_s = max(self._latest_s, self.wall_s)
        self.mono_s += seconds

    def _is_old(self, text: str) -> bool:
        letter = self.model.letters.get(int(text)) if text.isdigit() else None
        return letter is None or letter.created_s < self.wall_s - _OLD_S

    # batches

    def batch(self) -> None:
        """Some agents' requests, as frames that the backlog cuts or one by one, under one of the disk's moods."""
        rng = self.rng
        chosen = [rng.choice(self.agents) for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 9)))]
        made: dict[bytes, list[dict[str, Any]]] = {}
        tokens = {a.route: a.token for a in self.agents}
        singles: list[Incoming] = []
        for agent in chosen:
            for body in self._requests(agent):
                made.setdefault(agent.route, []).append(body)
                token = OWNER if body["action"] in OWNERS else tokens[agent.route]
                singles.append(Incoming(agent.route, body, token, "simulation"))
        self.steps += len(singles)
        mood = rng.choices(*_MOODS)[0]
        if mood:
            self.tried[f"disk {mood}" if "full" in mood else mood] += 1
        if rng.random() < 0.5:
            self.tried["one by one"] += 1
            self._run(singles, mood)
        else:
            self._run_frames(made, tokens, mood)
        if self.steps % 50 == 0:
            self.compare()

    def _run_frames(self, made: dict[bytes, list[dict[str, Any]]], tokens: dict[bytes, str], mood: str) -> None:
        backlog = Backlog()
        for route, bodies in made.items():
            token: str | None = None
            for body in bodies:  # named where it changes, as clients do
                wanted = OWNER if body["action"] in OWNERS else tokens[route]
                if wanted != token:
                    body["session_token"] = token = wanted
            bodies[0].setdefault("door", "simulation")
            backlog.add(Frame(route, bodies), 0)
        limit = self.rng.choice((2, 5, 2048, 2048))
        self.tried["frames"] += 1
        life = self.engine
        while backlog and life is self.engine:
            self._run(backlog.take(limit, self.mono_s), mood)
            mood = ""
        if not made:
            self._run([], mood)

    def _run(self, work: list[Frame] | list[Incoming], mood: str) -> None:
        """One turn of the server, and the next where there is more to do."""
        self.tail.append(f"step {self.steps}: {mood or 'good disk'}, {self.now}, {_short(work)}")
        self.engine.attempts.clear()
        if mood == "full":
            self.store._sql.execute("PRAGMA query_only = 1")
        elif mood == "full at commit":
            self._fault = self._refuse
        elif mood == "killed before commit":
            self._fault = self._die
        try:
            out = flat(self.engine.run(work, self.now)[0])
        except Death:
            self.restart()
            return
        finally:
            self._fault = None
            self.store._sql.execute("PRAGMA query_only = 0")
        self._judge(work, out)
        if mood == "killed after commit":
            self.restart()
            return
        for reply in out:
            self._deliver(reply)
        if mood or self.engine.state.given_back:  # the server's next turn comes at once
            self._run([], "")

    def _judge(self, work: list[Frame] | list[Incoming], out: list[Outgoing]) -> None:
        """Hold what was committed against the model, and what a full disk refused, in the order of the requests."""
        self.judge.wall_s = self.wall_s
        told = {(o.route, o.body["id"]) for o in out if o.body.get("code") == "storage_full"}
        attempts = iter(self.engine.attempts)
        requests = [r for part in work for r in (part.requests() if isinstance(part, Frame) else (part,))]
        sessions = self.model.sessions
        self.judge.asking = {sessions[r.token].box for r in requests if r.token in sessions}
        for request in requests if told else ():
            if (request.route, request.body["id"]) in told:
                self.judge.lost(request)
            else:
                self.judge.attempt(next(attempts), self.now)
        for attempt in attempts:
            self.judge.attempt(attempt, self.now)

    def _requests(self, agent: Agent) -> list[dict[str, Any]]:
        """The agent's next request, perhaps twice as an impatient client's retry, or a burst of sends."""
        if agent.token and self.rng.random() < 0.04:
            made = burst(self.rng, agent)
        else:
            made = [draw(self.rng, agent, self.agents)]
            if "message_id" in made[0] and self.rng.random() < 0.05:
                made.append(dict(made[0]))
        for body in made:
            self._request_id += 1
            body["id"] = self._request_id
        return made

    def _large_content(self, number: int) -> str:
        row = self.store._sql.execute("SELECT content FROM message WHERE id = ?", (number,)).fetchone()
        if row is None or len(row[0]) > 2000:
            raise Wrong(f"the large message {number} was stored as {row}")
        return str(row[0])

    def _still_waits(self, box: Box, number: int) -> bool:
        return number in self.store.queued_ids(self.engine.state.mailboxes[box.name].id)

    # the network

    def _deliver(self, out: Outgoing) -> None:
        """The network brings the reply, loses it, or finds the connection gone."""
        agent = next(a for a in self.agents if a.route == out.route)
        if self.rng.random() < 0.03:
            self.tried["reply lost"] += 1
        elif out.mail_ids and self.rng.random() < 0.03:
            self.tried["reply undeliverable"] += 1
            self._give_back(out)
        else:
            agent.hears(out.body)

    def _end_connection(self, route: bytes) -> None:
        """The agent comes again by a new one, which has the same name here."""
        end_connection(self.engine.state, route)
        self.model.connection_ends(route)
        begin_connection(self.engine.state, route)
        if self.engine.state.given_back:
            self._run([], "")

    def _give_back(self, out: Outgoing) -> None:
        """As the server does when a connection is gone, with its own code."""
        server = SimpleNamespace(
            engine=self.engine, store=self.store, settings=self.settings, clock=lambda: self.now, log=Log("simulation")
        )
        assert out.mailbox is not None
        box = self.model.names[out.mailbox.name]
        Server._give_back(server, [out])  # type: ignore[arg-type]
        self.model.releases(box, [str(i) for i in out.mail_ids])
        self.model.unshown(box, {int(m["id"]) for m in out.body["messages"] if not m.get("redelivered")})
        box.drop_route(out.route)

    # between batches

    def sweep(self) -> None:
        self.sweeper._next_s = None
        self.sweeper.step(self.now)
        self.model.swept(self.engine.state, token_hash, self.wall_s)
        self._sweep_mail()

    def _sweep_mail(self) -> None:
        for box in self.model.boxes:
            self.model.sweeps(box, self._queued(box), self.wall_s)

    def _queued(self, box: Box) -> set[int]:
        return set(self.store.queued_ids(self.engine.state.mailboxes[box.name].id))

    def compare(self, *, thoroughly: bool = False) -> None:
        """All there is in the engine's memory against the model's; thoroughly: what the disk has, too."""
        self.tried["all compared"] += 1
        compare(self.engine.state, self.model, self.wall_s)
        for box in self.model.boxes if thoroughly else ():
            if self._queued(box) != {e.letter.number for e in box.unread}:
                raise Wrong(f"{box.name} has {self._queued(box)} on the disk, the model {box.unread}")


def _short(work: list[Frame] | list[Incoming]) -> str:
    parts = [(p.route.decode(), p.bodies if isinstance(p, Frame) else p.body) for p in work]
    return str(parts).replace("x" * 11_000, "x…")


def run(seed: str, steps: int) -> dict[str, Any]:
    """So many steps; the counts, and the first wrong answer if there was one."""
    shared = "/dev/shm"  # noqa: S108 (a private folder is made in it)
    home = Path(tempfile.mkdtemp(prefix="ipc-", dir=shared if os.path.isdir(shared) else None))
    began_s = time.monotonic()
    problem = None
    world = World(seed, home)
    try:
        while world.steps < steps:
            world.step()
    except (Wrong, StoreError, IpcError, LookupError) as e:
        told = "\n".join(world.tail)
        problem = (
            f"seed {seed}, step {world.steps}: {e!r}\nThe last steps, --seed {seed} --steps {world.steps} repeats them:\n{told}"
        )
        if os.environ.get("RAISE"):
            raise
    finally:
        world.store.close()
        shutil.rmtree(home)
    return {
        "seed": seed,
        "steps": world.steps,
        "seconds": round(time.monotonic() - began_s, 1),
        "faults": dict(sorted(world.tried.items())),
        "counts": dict(sorted(world.model.counts.items())),
        "problem": problem,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.deep.faults.simulation", description="The engine in a simulated world."
    )
    parser.add_argument("--steps", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    found = run(options.seed, options.steps)
    print(json.dumps({k: v for k, v in found.items() if k != "problem"}, indent=1, ensure_ascii=False))
    if found["problem"]:
        print(found["problem"])
    if options.json:
        report.keep(options.json, "simulation", found)
    return 1 if found["problem"] else 0


if __name__ == "__main__":
    sys.exit(main())
