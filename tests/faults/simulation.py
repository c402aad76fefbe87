"""The engine in a simulated world: clock, network and disk are a seed's.

Agents make requests; the network batches, repeats and loses them, and loses replies; the disk refuses at the first write
or at the commit; the process dies before a commit or after it, and starts again from the disk; time passes by milliseconds
or by days, and the clock is set back. Every reply is held against the model, and now and then all mailboxes are compared.

``python -m tests.faults.simulation --steps N --seed S``. The same seed takes the same steps.
"""

import argparse
import json
import logging
import os
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from broker.core.engine import Engine
from broker.core.port import StoreError, StoreFull
from broker.core.state import Moment
from broker.core.turn import Incoming, Outgoing
from broker.errors import IpcError
from broker.logs import Log
from broker.server import Server
from broker.settings import Settings
from broker.store import SqliteStore, open_store
from broker.sweep import Sweeper
from tests.faults import report
from tests.faults.model import Box, Model, Wrong

NAMES = ("ann", "bob", "cat", "dan", "eve")
MORE_NAMES = (*NAMES, "flo", "gus", "hal")
_EXPECTED = {
    *("rate_limited", "mailbox_full", "storage_full", "name_taken", "name_forwarding", "rename_too_soon"),
    *("session_replaced", "session_expired", "unauthorized", "spoofed_sender"),
}


class Death(BaseException):
    """The process is killed here."""


class Agent:
    """One agent: its token, what it has in flight and what it holds."""

    def __init__(self, number: int) -> None:
        self.route = f"route{number}".encode()
        self.name = NAMES[number]
        self.token = ""
        self.ids: list[str] = []
        self.sent = 0
        self.unheard: dict[str, Any] | None = None
        """A send without reply, to be made again with the same id."""
        self.box: Box | None = None
        """Where its session belongs, as the model has it."""


class World:
    """One seed's world. ``step`` does one thing and raises Wrong if the engine's answer can't be."""

    def __init__(self, seed: str, home: Path) -> None:
        self.rng = random.Random(seed)  # noqa: S311 (a seeded test)
        env = {"IPC_HOME": str(home), "IPC_DURABILITY": "normal", "IPC_MAILBOX_LIMIT": "60", "IPC_RATE_LIMIT": "200"}
        self.settings = Settings.load(env={**env, "IPC_RATE_BURST": "300"})
        self.wall_s, self.mono_s = 1_800_000_000.0, 1000.0
        self.model = Model(self.settings.lease_s, self.settings.unread_ttl_s, self.settings.dedupe_s)
        self.agents = [Agent(i) for i in range(len(NAMES))]
        self.waiting: dict[tuple[bytes, Any], tuple[dict[str, Any], Box | None]] = {}
        self.subscribed: dict[bytes, tuple[Any, int, Box]] = {}
        self.tried: Counter[str] = Counter()
        self.steps = 0
        self._request_id = 0
        self._fault: Callable[[], None] | None = None
        self._open()

    # the process

    def _open(self) -> None:
        self.store: SqliteStore = open_store(self.settings)
        self._commit = self.store.commit
        self.store.commit = self._faulty_commit  # type: ignore[method-assign]
        self.engine = Engine(self.store.load(), self.store, self.settings, b"", make_token=lambda: f"{self.rng.random()}")
        self.engine.make_reference = self._fault_in_a_request
        self.sweeper = Sweeper(self.engine, self.store, Log("simulation"))

    def _fault_in_a_request(self, error: BaseException, request: Incoming) -> str:
        raise Wrong(f"{request.body} raised {error!r}") from error

    def _faulty_commit(self, *, marks: bool = True) -> None:
        if self._fault is not None:
            self._fault()
        self._commit(marks=marks)

    def restart(self) -> None:
        self.store.rollback()
        self.store.close()
        self._open()
        self.model.restarts()
        self.waiting.clear()
        self.subscribed.clear()
        self._fault = None
        self.compare()

    @property
    def now(self) -> Moment:
        return Moment(self.wall_s, self.mono_s)

    # one step

    def step(self) -> None:
        kind = self.rng.choices(("batch", "time", "long time", "clock set back", "sweep", "death"), (90, 14, 0.3, 0.3, 2, 0.5))[
            0
        ]
        self.steps += 1
        self.tried[kind] += 1
        if kind == "batch":
            self.batch()
        elif kind == "time":
            self._pass(self.rng.choice((0.001, 0.1, 1.0, 31.0)))
        elif kind == "long time":
            self._pass(self.rng.choice((3600.0, 90_000.0, 8 * 86_400.0)))
        elif kind == "clock set back":
            self.wall_s -= self.rng.choice((1.0, 3000.0))
        elif kind == "sweep":
            self.sweep()
        else:
            self.restart()

    def _pass(self, seconds: float) -> None:
        self.wall_s += seconds
        self.mono_s += seconds

    def batch(self) -> None:
        """Some agents' requests in one batch, under one of the disk's moods."""
        chosen = [self.rng.choice(self.agents) for _ in range(self.rng.choice((0, 1, 1, 2, 3, 5, 9)))]
        requests = [r for agent in chosen for r in self._requests(agent)]
        self.steps += len(requests)
        mood = self.rng.choices(
            ("", "full", "full at commit", "killed before commit", "killed after commit"), (94, 2, 2, 1, 1)
        )[0]
        if mood:
            self.tried[f"disk {mood}" if "full" in mood else mood] += 1
        boxes = {a.route: a.box for a in self.agents}
        for request in requests:
            key = (request.route, request.body["id"])
            self.waiting[key] = (request.body, boxes[request.route])
        self.model.leases_end(self.mono_s)
        if mood == "full":
            self.store._sql.execute("PRAGMA query_only = 1")
        elif mood == "full at commit":
            self._fault = self._refuse
        elif mood == "killed before commit":
            self._fault = self._die
        try:
            out, _events = self.engine.run(requests, self.now)
        except Death:
            self.restart()
            return
        finally:
            self._fault = None
            self.store._sql.execute("PRAGMA query_only = 0")
        for reply in out:
            self._judge(reply, sure=not mood)
        if mood == "killed after commit":
            self.restart()
            return
        for reply in out:
            self._deliver(reply)
        while mood or self.engine.state.given_back:  # the server's next turn comes at once
            mood = ""
            out, _events = self.engine.run([], self.now)
            for reply in out:
                self._judge(reply, sure=True)
            for reply in out:
                self._deliver(reply)
        if self.steps % 50 == 0:
            self.compare()

    def _refuse(self) -> None:
        if self.store._messages or self.store._statements or self.store._open:
            self.store._flush()
            raise StoreFull("simulated")

    def _die(self) -> None:
        self.store._flush()
        raise Death

    # requests

    def _requests(self, agent: Agent) -> list[Incoming]:
        """The agent's next request, perhaps twice as an impatient client's retry."""
        body = self._body(agent)
        self._request_id += 1
        body["id"] = self._request_id
        made = [Incoming(agent.route, body, agent.token, "simulation")]
        if body["action"] in ("send", "broadcast") and self.rng.random() < 0.05:
            self._request_id += 1
            made.append(Incoming(agent.route, {**body, "id": self._request_id}, agent.token, "simulation"))
        return made

    def _body(self, agent: Agent) -> dict[str, Any]:
        if not agent.token or self.rng.random() < 0.002:
            return {"action": "register", "instance_id": agent.name}
        if agent.unheard is not None and self.rng.random() < 0.6:
            return dict(agent.unheard)
        action = self.rng.choices(
            ("send", "broadcast", "check", "ack", "release", "subscribe", "unsubscribe", "rename", "list", "forge"),
            (40, 3, 25, 22, 3, 1, 1, 0.3, 1, 1),
        )[0]
        if action in ("send", "broadcast"):
            agent.sent += 1
            text = f"{agent.route.decode()}-{agent.sent}"
            body: dict[str, Any] = {"action": action, "message": {"content": text}, "message_id": text}
            if self.rng.random() < 0.004:
                body["message"]["content"] += ". " + "x" * 11_000
            if action == "send":
                body["to_id"] = self.rng.choice(MORE_NAMES if self.rng.random() < 0.3 else NAMES)
            agent.unheard = body
            return dict(body)
        if action == "check":
            return {"action": "check", "limit": self.rng.randint(1, 40), "wait_s": self.rng.choice((0, 0, 0, 5.0))}
        if action == "ack":
            ids = self.rng.sample(agent.ids, self.rng.randint(0, len(agent.ids)))
            return {"action": "ack", "ids": ids}
        if action == "release":
            return {"action": "release"} if self.rng.random() < 0.5 else {"action": "release", "ids": agent.ids[:3]}
        if action == "subscribe":
            return {"action": "subscribe", "window": self.rng.randint(1, 20)}
        if action == "rename":
            return {"action": "rename", "new_id": self.rng.choice(MORE_NAMES)}
        if action == "forge":
            other = self.rng.choice([a for a in self.agents if a is not agent])
            message = {"content": "forged"}
            return {"action": "send", "from_id": other.name, "to_id": agent.name, "message": message, "message_id": "forged"}
        return {"action": action}

    # replies

    def _judge(self, out: Outgoing, *, sure: bool) -> None:
        """Bring the model up to what this reply says was committed."""
        body = out.body
        if "push" in body:
            self._judge_push(out, sure=sure)
            return
        request, box = self.waiting.pop((out.route, body["id"]))
        action = request["action"]
        self.model.counts[f"{action} {body.get('code', 'ok')}"] += 1
        if body["status"] != "ok":
            if body["code"] not in _EXPECTED:
                raise Wrong(f"{request} was answered {body}")
            return
        if action == "register":
            box = self.model.box(request["instance_id"])
            box.claimed = True
            self.model.releases(box, None)
            self.subscribed = {r: s for r, s in self.subscribed.items() if s[2] is not box}
            if body["queued"] != len(box.unread):
                raise Wrong(f"{box.name} registered with {body['queued']} of {len(box.unread)}")
            return
        assert box is not None
        if action in ("send", "broadcast"):
            self._judge_send(request, box, body)
        elif action == "check":
            self.model.hands_out(box, request["limit"], body["messages"], (self.wall_s, self.mono_s), sure)
        elif action == "ack":
            self.model.acks(box, request["ids"], body["acked"])
        elif action == "release":
            self.model.releases(box, request.get("ids"))
        elif action == "subscribe":
            self.subscribed = {r: s for r, s in self.subscribed.items() if s[2] is not box}
            self.subscribed[out.route] = (body["id"], request["window"], box)
        elif action == "unsubscribe":
            self.subscribed = {r: s for r, s in self.subscribed.items() if s[2] is not box}
        elif action == "rename":
            self._judge_rename(request, box)

    def _judge_send(self, request: dict[str, Any], box: Box, body: dict[str, Any]) -> None:
        if request.get("from_id", box.name) != box.name and not self._was(box, request["from_id"]):
            raise Wrong(f"{box.name} wrote as {request['from_id']}")
        if not self.model.sends(box, request["message_id"], body, self.wall_s):
            return
        content = request["message"]["content"]
        if len(content) > 10_240:
            content = next(self._large_content(request["message_id"]))
        if request["action"] == "broadcast":
            room = [b for b in self.model.boxes if b.claimed and b is not box]
            full = body.get("mailbox_full", [])
            to = [b for b in room if b.name not in full]
            if len(to) != body["count"]:
                raise Wrong(f"{body} for {len(to)} of {len(room)}")
        else:
            words = body["message"].split()
            to = [self.model.box(words[-1] if "forwarded" in words else request["to_id"])]
        self.model.store(to, box.name, content, self.wall_s)

    def _large_content(self, client_id: str) -> Any:
        for row in self.store._sql.execute("SELECT content FROM message WHERE client_id = ?", (client_id,)):
            yield row[0]

    def _was(self, box: Box, name: str) -> bool:
        forward = self.engine.state.forwards.get(name)
        return forward is not None and forward.mailbox.name == box.name

    def _judge_rename(self, request: dict[str, Any], box: Box) -> None:
        old, new = box.name, request["new_id"]
        if old == new:
            return
        other = self.model.names.get(new)
        if other is not None and other.claimed:
            raise Wrong(f"{old} took the name {new} that is another's")
        self.model.renames(box, new)
        others = [b for b in self.model.boxes if b.claimed and b is not box]
        self.model.store(others, "system", f"📝 {old} renamed to {new}", self.wall_s)

    def _judge_push(self, out: Outgoing, *, sure: bool) -> None:
        if out.body["push"] != "mail":
            self.subscribed.pop(out.route, None)
            return
        request_id, window, box = self.subscribed[out.route]
        if out.body["id"] != request_id:
            raise Wrong(f"a push with the id of no subscription: {out.body}")
        room = window - box.held()
        self.model.hands_out(box, room, out.body["messages"], (self.wall_s, self.mono_s), sure)

    def _deliver(self, out: Outgoing) -> None:
        """The network brings the reply, loses it, or finds the connection gone."""
        agent = next(a for a in self.agents if a.route == out.route)
        if self.rng.random() < 0.03:
            self.tried["reply lost"] += 1
            return
        if out.mail_ids and self.rng.random() < 0.03:
            self.tried["reply undeliverable"] += 1
            self._give_back(out)
            return
        body = out.body
        if body.get("code") in ("session_replaced", "session_expired", "unauthorized"):
            agent.token = ""
        if "session_token" in body:
            agent.token = body["session_token"]
            agent.ids.clear()
        if body.get("message", "").startswith("Renamed "):
            agent.name = body["message"].split()[-1]
        agent.ids.extend(m["id"] for m in body.get("messages", ()))
        del agent.ids[:-60]
        if agent.unheard and (body.get("message_id") == agent.unheard["message_id"] or not body.get("retryable", True)):
            agent.unheard = None
        session = self.engine.state.sessions.get(_hash(agent.token)) if agent.token else None
        agent.box = self.model.names.get(session.mailbox.name) if session else None

    def _give_back(self, out: Outgoing) -> None:
        """As the server does when a connection is gone, with its own code."""
        server = SimpleNamespace(
            engine=self.engine, store=self.store, settings=self.settings, clock=lambda: self.now, log=Log("simulation")
        )
        assert out.mailbox is not None
        box = self.model.names[out.mailbox.name]
        Server._give_back(server, [out])  # type: ignore[arg-type]
        self.model.releases(box, [str(i) for i in out.mail_ids])
        if out.mailbox.subscription is None:
            self.subscribed = {r: s for r, s in self.subscribed.items() if s[2] is not box}
        for key in [k for k, (_, b) in self.waiting.items() if k[0] == out.route and b is box]:
            del self.waiting[key]

    # between batches

    def sweep(self) -> None:
        self.sweeper._next_s = None
        self.sweeper.step(self.now)
        for box in list(self.model.boxes):
            mailbox = self.engine.state.mailboxes.get(box.name)
            self.model.sweeps(box, mailbox.queued if mailbox else 0, self.wall_s)
            box.claimed = mailbox.claimed if mailbox else False
            if mailbox is None:
                self.model.boxes.remove(box)
                del self.model.names[box.name]
        for agent in self.agents:
            if agent.token and _hash(agent.token) not in self.engine.state.sessions:
                agent.box = None

    def compare(self) -> None:
        """All mailboxes of the engine against the model's."""
        self.tried["all compared"] += 1
        for box in self.model.boxes:
            mailbox = self.engine.state.mailboxes[box.name]
            found = (mailbox.queued, len(mailbox.leased), mailbox.claimed)
            if found != (len(box.unread), box.held(), box.claimed):
                raise Wrong(f"{box.name}: the engine has {found}, the model {(len(box.unread), box.held(), box.claimed)}")
            free = [e for e in box.unread if e.held_until_s is None and e.expires_s > self.wall_s]
            if free and mailbox.waiters:
                raise Wrong(f"{box.name} has {len(free)} free messages and someone who waits for mail: {mailbox}, {self.now}")
        known = {b.name for b in self.model.boxes}
        if extra := [n for n, m in self.engine.state.mailboxes.items() if n not in known and m.queued]:
            raise Wrong(f"mailboxes that should not be: {extra}")


def _hash(token: str) -> bytes:
    from broker.core.accounts import token_hash

    return token_hash(token)


def run(seed: str, steps: int) -> dict[str, Any]:
    """So many steps; the counts, and the first wrong answer if there was one."""
    logging.getLogger("agent_ipc.simulation").setLevel(logging.CRITICAL)
    shared = "/dev/shm"  # noqa: S108 (a private folder is made in it)
    home = Path(tempfile.mkdtemp(prefix="ipc-", dir=shared if os.path.isdir(shared) else None))
    began_s = time.monotonic()
    problem = None
    world = World(seed, home)
    try:
        while world.steps < steps:
            world.step()
    except (Wrong, StoreError, IpcError, LookupError) as e:
        problem = f"step {world.steps}: {e!r}"
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
    parser = argparse.ArgumentParser(prog="python -m tests.faults.simulation", description="The engine in a simulated world.")
    parser.add_argument("--steps", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    found = run(options.seed, options.steps)
    print(json.dumps(found, indent=1, ensure_ascii=False))
    if options.json:
        report.keep(options.json, "simulation", found)
    return 1 if found["problem"] else 0


if __name__ == "__main__":
    sys.exit(main())
