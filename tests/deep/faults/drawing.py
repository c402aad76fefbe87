"""What simulated agents ask for: every action of the table, or a reason why not."""

import random
from collections.abc import Callable
from typing import Any

from broker.protocol.essentials import LANDINGS
from broker.protocol.owner_rows import OWNER_ROWS
from broker.protocol.permission_rows import PERMISSION_ROWS
from broker.protocol.site_rows import SITE_ROWS
from tests.deep.faults.company import RESOURCES

NAMES = ("ann", "bob", "cat", "dan", "eve")
MORE_NAMES = (*NAMES, "flo", "gus", "hal")
GROUPS = ("team", "crew", "staff")
OWNER = "owner"
OWNERS = ("import", "end_session")
"""Actions for which the owner's key is the token."""
_LANDS = (None, None, None, *LANDINGS)
_KEPT = 60


class Agent:
    """One agent: its token, what it has in flight, what it holds and has written."""

    def __init__(self, number: int) -> None:
        self.route = f"route{number}".encode()
        self.name = NAMES[number]
        self.token = ""
        self.ids: list[str] = []
        """Of mail that it was handed."""
        self.mine: list[str] = []
        """Client ids of what it wrote."""
        self.questions: list[str] = []
        """Ids of questions that it was asked."""
        self.groups: list[str] = []
        """That it knows of."""
        self.sent = 0
        self.unheard: dict[str, Any] | None = None
        """A send without reply, to be made again with the same id."""

    def next_id(self) -> str:
        self.sent += 1
        return f"{self.route.decode()}-{self.sent}"

    def hears(self, body: dict[str, Any]) -> None:
        """Take a reply or push in."""
        if body.get("code") in ("session_replaced", "session_ended", "session_expired", "unauthorized"):
            self.token = ""
        if "session_token" in body:
            self.token = body["session_token"]
            self.ids.clear()
        words = str(body.get("message", "")).split()
        if words[:1] == ["Unregistered"]:
            self.token = ""
        if words[:1] == ["Renamed"]:
            self.name = words[-1]
        elif words[:1] == ["Created"] or words[:1] == ["Joined"]:
            self.groups = [*self.groups[-3:], words[-1]]
        for message in body.get("messages", ()) if "direction" not in str(body.get("messages", ""))[:400] else ():
            self.ids.append(message["id"])
            if "question" in message:
                self.questions.append(message["id"])
        if self.unheard and (
            body.get("message_id") == self.unheard["message_id"]
            or ("status" in body and body["status"] == "error" and not body.get("retryable"))
        ):
            self.unheard = None
        del self.ids[:-_KEPT], self.mine[:-_KEPT], self.questions[:-5]

    def forgets(self, is_old: Callable[[str], bool]) -> None:
        """After a long time: ids that the broker may have forgotten, too."""
        self.unheard = None
        for ids in (self.ids, self.mine, self.questions):
            ids[:] = [i for i in ids if not is_old(i)]


Draw = Callable[[random.Random, Agent], dict[str, Any]]


def _one(rng: random.Random, ids: list[str]) -> str:
    """An id one has, or now and then one that is another's or nobody's."""
    if not ids or rng.random() < 0.1:
        newest = next((int(i) for i in reversed(ids) if i.isdigit()), 999_999_999)
        return rng.choice(("999999999", "nobody-1", str(newest + 1), str(newest + 7)))
    return rng.choice(ids)


def _name(rng: random.Random) -> str:
    return rng.choice(MORE_NAMES if rng.random() < 0.3 else NAMES)


def _to(rng: random.Random, agent: Agent) -> str:
    if rng.random() < 0.1:
        return rng.choice(agent.groups or NAMES)
    return rng.choice(GROUPS) if rng.random() < 0.001 else _name(rng)


def _writes(agent: Agent, action: str, **fields: Any) -> dict[str, Any]:
    client_id = agent.next_id()
    body = {"action": action, "message": {"content": client_id}, "message_id": client_id, **fields}
    agent.mine.append(client_id)
    agent.unheard = body
    return {k: v for k, v in body.items() if v is not None}


def _send(rng: random.Random, agent: Agent) -> dict[str, Any]:
    body = _writes(agent, "send", to_id=_to(rng, agent))
    if rng.random() < 0.004:
        body["message"] = {"content": f"{body['message_id']}. " + "x" * 11_000}
    if rng.random() < 0.15:
        if land := rng.choice(_LANDS):
            body["land"] = land
        if rng.random() < 0.3:
            body["ttl_s"] = rng.choice((1, 5, 60, 3600))
        if rng.random() < 0.3:
            body["thread"] = _one(rng, agent.ids)
        if rng.random() < 0.3:
            body["supersedes"] = _one(rng, agent.mine[-5:])
        if rng.random() < 0.1:
            body["person"] = True
    agent.unheard = body
    return dict(body)


def _broadcast(_rng: random.Random, agent: Agent) -> dict[str, Any]:
    return _writes(agent, "broadcast")


def _reply(rng: random.Random, agent: Agent) -> dict[str, Any]:
    first = _one(rng, agent.questions if agent.questions and rng.random() < 0.6 else [*agent.ids, *agent.mine[-2:]])
    return _writes(agent, "reply", to_message=first, auto=True if rng.random() < 0.2 else None)


def _ask(rng: random.Random, agent: Agent) -> dict[str, Any]:
    return _writes(
        agent, "ask", to_id=_to(rng, agent), wait_s=rng.choice((0, 5.0, 40.0, 40.0)), deadline_s=rng.choice((1, 30, None))
    )


def _forward(rng: random.Random, agent: Agent) -> dict[str, Any]:
    body = _writes(agent, "forward", to_id=_to(rng, agent), forward_id=_one(rng, agent.ids), note=rng.choice((None, "look")))
    body.pop("message")
    agent.unheard = body
    return dict(body)


def _check(rng: random.Random, _agent: Agent) -> dict[str, Any]:
    body = {"action": "check", "limit": rng.randint(1, 40), "wait_s": rng.choice((0, 0, 0, 5.0))}
    if rng.random() < 0.2:
        body["land"] = rng.choice(LANDINGS)
    if rng.random() < 0.1:
        body["max_bytes"] = rng.choice((1, 40))
    return body


def _ack(rng: random.Random, agent: Agent) -> dict[str, Any]:
    return {"action": "ack", "ids": rng.sample(agent.ids, rng.randint(0, len(agent.ids)))}


def _release(rng: random.Random, agent: Agent) -> dict[str, Any]:
    return {"action": "release"} if rng.random() < 0.5 else {"action": "release", "ids": agent.ids[:3]}


def _touch(rng: random.Random, agent: Agent) -> dict[str, Any]:
    return {"action": "touch", "ids": agent.ids[:3], "lease_s": rng.choice((1, 60, 3600, None))}


def _subscribe(rng: random.Random, _agent: Agent) -> dict[str, Any]:
    if rng.random() < 0.3:
        return {"action": "subscribe", "notify": True}
    return {"action": "subscribe", "window": rng.randint(1, 20)}


def _receipts(rng: random.Random, agent: Agent) -> dict[str, Any]:
    return {"action": "receipts", "ids": [_one(rng, agent.mine) for _ in range(rng.randint(1, 3))]}


def _presence(rng: random.Random, _agent: Agent) -> dict[str, Any]:
    body: dict[str, Any] = {"action": "presence"}
    if rng.random() < 0.7:
        body["state"] = rng.choice(("working", "idle", "gone"))
    if rng.random() < 0.4:
        body["note"] = rng.choice(("the parser", "tests", ""))
    if rng.random() < 0.3:
        body["reach"] = rng.choice(([], ["hook"], ["hook", "push"]))
    return body


def _claim(rng: random.Random, _agent: Agent) -> dict[str, Any]:
    body: dict[str, Any] = {"action": "claim", "resource": rng.choice(RESOURCES), "ttl_s": rng.choice((1, 60, 3600))}
    return {**body, "note": rng.choice(("fix", ""))} if rng.random() < 0.5 else body


def _maybe_resource(action: str) -> Draw:
    return lambda rng, _agent: {"action": action, **({"resource": rng.choice(RESOURCES)} if rng.random() < 0.5 else {})}


def _history(rng: random.Random, agent: Agent) -> dict[str, Any]:
    return {"action": "history", "limit": rng.randint(1, 5), **({"peer": agent.name} if rng.random() < 0.2 else {})}


def _import(rng: random.Random, agent: Agent) -> dict[str, Any]:
    body = _writes(
        agent, "import", to_id=_to(rng, agent), from_id=rng.choice((*NAMES, "old")), timestamp=rng.choice((1.5, 7e9))
    )
    agent.mine.pop()
    agent.unheard = None
    return body


def _plain(action: str, **choices: tuple[Any, ...]) -> Draw:
    """An action with some of these fields."""
    return lambda rng, _agent: {"action": action, **{k: rng.choice(v) for k, v in choices.items()}}


DRAWN: dict[str, tuple[float, Draw]] = {
    "send": (36, _send),
    "broadcast": (2, _broadcast),
    "reply": (7, _reply),
    "ask": (4, _ask),
    "forward": (1.5, _forward),
    "withdraw": (1.5, lambda rng, agent: {"action": "withdraw", "withdraw_id": _one(rng, agent.mine[-10:])}),
    "receipts": (1, _receipts),
    "asks": (0.7, _plain("asks", state=("open", "answered", "stale", None))),
    "check": (25, _check),
    "ack": (22, _ack),
    "release": (3, _release),
    "touch": (1, _touch),
    "count": (1, _plain("count")),
    "subscribe": (1, _subscribe),
    "unsubscribe": (1, _plain("unsubscribe")),
    "history": (0.5, _history),
    "search": (0.3, lambda _rng, agent: {"action": "search", "query": f"{agent.route.decode()}-{agent.sent}", "limit": 5}),
    "list": (1, _plain("list")),
    "presence": (1, _presence),
    "rename": (0.4, _plain("rename", new_id=(*MORE_NAMES, *MORE_NAMES, "team"))),
    "whoami": (0.5, _plain("whoami")),
    "groups": (0.7, _plain("groups")),
    "group_create": (0.7, _plain("group_create", group=(*GROUPS, *GROUPS, "ann"))),
    "group_join": (1, _plain("group_join", group=GROUPS)),
    "group_leave": (0.5, _plain("group_leave", group=GROUPS)),
    "block": (0.3, _plain("block", name=MORE_NAMES, mode=("block", "mute"))),
    "unblock": (0.5, _plain("unblock", name=MORE_NAMES)),
    "blocks": (0.4, _plain("blocks")),
    "claim": (2, _claim),
    "claim_release": (0.7, _maybe_resource("claim_release")),
    "claims": (0.7, _maybe_resource("claims")),
    "autocheck": (0.8, _plain("autocheck", minutes=(0, 1, 60, None))),
    "import": (0.4, _import),
    "unregister": (0.2, _plain("unregister")),
    "end_session": (0.2, _plain("end_session", name=MORE_NAMES)),
}
"""Action to how often it is drawn and how. ``register`` is what an agent without a token does, and others now and then."""

NOT_DRAWN = {
    "way": "answers a push of the table of ways, which has a state machine of its own (tests/core/test_wakes_machine.py)",
    **dict.fromkeys(
        ("report", "watch_agent", "unwatch_agent", "watches", "alarms"),
        "of the radar, which has a simulation of its own (tests/deep/faults/test_healthy_work.py)",
    ),
    **dict.fromkeys(
        (row.name for row in PERMISSION_ROWS),
        "touches no mail and no disk; has a state machine of its own (tests/core/test_permissions.py)",
    ),
    **dict.fromkeys(
        ("schedule", "schedules", "schedule_drop"),
        "of times to come, which have a state machine of their own (tests/core/test_schedules_machine.py)",
    ),
    "dead": "reads what ended; tests/core/test_dead_letters.py has its tables, tests/deep/faults/test_dead_mail.py its kills",
    "dead_send": "likewise",
    "dead_drop": "likewise",
    **dict.fromkeys(
        (row.name for row in SITE_ROWS),
        "of mail between sites, which has a simulation of its own (tests/deep/faults/link_simulation.py)",
    ),
    "post": "comes from outside; tests/core/test_posts.py has its rules, tests/answers its kills",
    **dict.fromkeys(
        (row.name for row in OWNER_ROWS),
        "the owner's; tests/core/test_owner_mail.py, test_owner_view.py, test_pauses.py, test_resumes.py have its tables",
    ),
    "keep": "decides what the sweep of read mail leaves, which the model does not follow (tests/core/test_retention.py)",
    "ping": "says the process's id and version; the server's, not the core's (tests/server, tests/e2e)",
    "status": "sums up the process, no state of its own; the server's, not the core's (tests/cli)",
}
"""Actions that the simulation leaves out, with the reason."""

_KINDS = list(DRAWN)
_WEIGHTS = [weight for weight, _ in DRAWN.values()]


def draw(rng: random.Random, agent: Agent, others: list[Agent]) -> dict[str, Any]:
    """The agent's next request, without id and token."""
    if not agent.token or rng.random() < 0.002:
        return {"action": "register", "instance_id": agent.name, **({"force": True} if rng.random() < 0.5 else {})}
    if agent.unheard is not None and rng.random() < 0.6:
        return dict(agent.unheard)
    if rng.random() < 0.01:
        other = rng.choice([a for a in others if a is not agent])
        message = {"content": "forged"}
        return {"action": "send", "from_id": other.name, "to_id": agent.name, "message": message, "message_id": "forged"}
    if agent.questions and rng.random() < 0.15:
        return _writes(agent, "reply", to_message=agent.questions[-1])
    kind = rng.choices(_KINDS, _WEIGHTS)[0]
    body = DRAWN[kind][1](rng, agent)
    return {k: v for k, v in body.items() if v is not None}


def burst(rng: random.Random, agent: Agent) -> list[dict[str, Any]]:
    """Plain sends one after another, as the fast lane takes them."""
    to = [_name(rng) for _ in range(rng.choice((1, 2)))]
    bodies = [_writes(agent, "send", to_id=rng.choice(to)) for _ in range(rng.randint(2, 12))]
    agent.unheard = bodies[-1]
    return [dict(b) for b in bodies]
