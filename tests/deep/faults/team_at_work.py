"""Six agents at work in simulated time: what their hooks tell, and each way in which one of them can stop.

Everything goes through the real engine. The broker's chores run at the moments at which they are due, as in its loop.
"""

import random
from collections.abc import Callable
from typing import Any

from broker.core.facts import Body
from tests.engine import HOUR, Core

NAMES = ("ann", "ben", "cleo", "dan", "eve", "fay")
PERSON = "pat"


class Team:
    """The agents, each with a process, and a person at a terminal."""

    def __init__(self, core: Core, seed: int) -> None:
        self.core = core
        self.rng = random.Random(seed)  # noqa: S311 (a seeded test)
        self.pids = {name: number for number, name in enumerate((*NAMES, PERSON), 100)}
        self.calls = 0
        core.processes.update(dict.fromkeys(self.pids.values(), True))
        core.register(*NAMES, PERSON)
        for name in (*NAMES, PERSON):
            session = core.engine.state.mailboxes[name].session
            assert session is not None
            session.body = Body("session", name, self.pids[name], "then", person=name == PERSON)
            core.store.save_session(session)
        core.store.commit()

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        core, end_s = self.core, self.core.mono_s + seconds
        while True:
            core.pass_time(min(end_s, max(core.mono_s, core.engine.state.chore_s)) - core.mono_s)
            core.engine.keep_house(core.now())
            if core.mono_s >= end_s:
                return

    def sleep(self, seconds: float) -> None:
        """The machine is suspended: its monotonic clock stands still."""
        self.core.wall_s += seconds

    def report(self, name: str, event: str, **fields: Any) -> None:
        reply = self.core.ask(name, "report", event=event, **fields)
        assert reply["status"] == "ok", reply

    def ask(self, who: str, action: str, /, **fields: Any) -> dict[str, Any]:
        reply = self.core.ask(who, action, **fields)
        assert reply["status"] == "ok", (action, reply)
        return reply

    def begin_call(self, name: str, tool: str = "Bash") -> str:
        self.calls += 1
        self.report(name, "tool_began", tool=tool, call=str(self.calls))
        return str(self.calls)

    def end_call(self, name: str, call: str, tool: str = "Bash") -> None:
        self.report(name, "tool_ended", tool=tool, call=call, digest=call, paths=[f"/r/{call}.py"])

    def alarms(self) -> set[tuple[str, str]]:
        rows = self.core.ask(PERSON, "alarms")["alarms"]
        return {(name, row["kind"]) for row in rows for name in (row["name"], row.get("other")) if name}

    def told(self, name: str) -> list[str]:
        """Notices of alarms that wait for an agent, acknowledged."""
        mail = self.core.check(name)
        if mail:
            self.core.ask(name, "ack", ids=[m["id"] for m in mail])
        return [m["message"]["content"] for m in mail if m["from"] == "system" and "⚠" in m["message"]["content"]]


Piece = Callable[[Team, str], None]


def short_turn(team: Team, name: str) -> None:
    team.report(name, "turn_began")
    for _ in range(team.rng.randrange(1, 5)):
        team.go_on(team.rng.uniform(1, 60))
        call = team.begin_call(name)
        team.go_on(team.rng.uniform(0.1, 90))
        team.end_call(name, call)
    team.go_on(team.rng.uniform(1, 30))
    team.report(name, "turn_ended")


def long_call(team: Team, name: str) -> None:
    team.report(name, "turn_began")
    call = team.begin_call(name)
    team.go_on(team.rng.uniform(600, 1750))
    team.end_call(name, call)
    team.report(name, "turn_ended")


def long_thought(team: Team, name: str) -> None:
    team.report(name, "turn_began")
    team.go_on(team.rng.uniform(300, 590))
    team.end_call(name, team.begin_call(name))
    team.go_on(team.rng.uniform(300, 590))
    team.report(name, "turn_ended")


def allowed_in_time(team: Team, name: str) -> None:
    team.report(name, "turn_began")
    call = team.begin_call(name)
    team.report(name, "permission", tool="Bash")
    team.go_on(team.rng.uniform(1, 115))
    team.end_call(name, call)
    team.report(name, "turn_ended")


def subagents(team: Team, name: str) -> None:
    """Its one call runs for an hour, and those that it called give signs."""
    team.report(name, "turn_began")
    call = team.begin_call(name, "Task")
    for _ in range(4):
        team.go_on(team.rng.uniform(600, 1200))
        team.report(name, "sign", tool="Read")
    team.end_call(name, call, "Task")
    team.report(name, "turn_ended")


def told_late(team: Team, name: str) -> None:
    """The hook that tells of a call's begin comes after that of its end, and after the turn's."""
    team.report(name, "turn_began")
    team.calls += 1
    team.end_call(name, str(team.calls))
    team.report(name, "turn_ended")
    team.go_on(0.2)
    team.report(name, "tool_began", tool="Bash", call=str(team.calls))


def conversation(team: Team, name: str) -> None:
    """A question, its answer and thanks, while both work."""
    peer = team.rng.choice([one for one in NAMES if one != name])
    number = team.ask(name, "ask", to_id=peer, message={"content": "which branch?"})["number"]
    team.go_on(team.rng.uniform(1, 60))
    team.report(peer, "turn_began")
    team.end_call(peer, team.begin_call(peer))
    answer = team.ask(peer, "reply", to_message=number, message={"content": "main"})["number"]
    team.report(peer, "turn_ended")
    thanks = team.ask(name, "reply", to_message=answer, message={"content": "thanks"})["number"]
    team.ask(peer, "reply", to_message=thanks, message={"content": "you are welcome"})


def claim_and_release(team: Team, name: str) -> None:
    team.ask(name, "claim", resource=f"/r/{name}/**", ttl_s=3000)
    short_turn(team, name)
    team.ask(name, "claim_release")


def suspended(team: Team, name: str) -> None:
    """The machine sleeps for a night in the middle of a turn."""
    team.report(name, "turn_began")
    team.go_on(team.rng.uniform(1, 300))
    team.sleep(8 * HOUR)
    team.go_on(team.rng.uniform(1, 280))
    team.end_call(name, team.begin_call(name))
    team.report(name, "turn_ended")


def session_again(team: Team, name: str) -> None:
    """A host ends a session and begins another at once, with a claim held."""
    team.ask(name, "claim", resource=f"/r/{name}.md", ttl_s=600)
    team.report(name, "ended")
    team.go_on(team.rng.uniform(0.1, 5))
    team.report(name, "began")
    team.ask(name, "claim_release")


def idle_night(team: Team, _name: str) -> None:
    team.go_on(8 * HOUR)


HEALTHY: tuple[Piece, ...] = (
    short_turn,
    long_call,
    long_thought,
    allowed_in_time,
    subagents,
    told_late,
    conversation,
    claim_and_release,
    suspended,
    session_again,
)


def hangs(team: Team, name: str) -> tuple[str, float]:
    short_turn(team, name)
    team.report(name, "turn_began")
    return "silent", 600


def hangs_in_a_call(team: Team, name: str) -> tuple[str, float]:
    team.report(name, "turn_began")
    team.begin_call(name)
    return "tool", 1800


def hangs_after_a_call(team: Team, name: str) -> tuple[str, float]:
    """Its host told nothing of the end of a call that was refused."""
    team.report(name, "turn_began")
    team.begin_call(name)
    team.go_on(30)
    team.end_call(name, team.begin_call(name))
    return "silent", 600


def waits_for_permission(team: Team, name: str) -> tuple[str, float]:
    team.report(name, "turn_began")
    call = team.begin_call(name)
    team.report(name, "permission", tool="Bash")
    team.go_on(0.3)
    team.report(name, "tool_began", tool="Bash", call=call)  # told again, late
    return "permission", 120


def waits_for_an_answer(team: Team, name: str) -> tuple[str, float]:
    team.report(name, "turn_began")
    team.report(name, "answer", tool="AskUserQuestion")
    return "answer", 120


def killed_with(team: Team, name: str, debt: str) -> tuple[str, float]:
    other = NAMES[NAMES.index(name) - 1]
    team.report(name, "turn_began")
    if debt == "question":
        team.ask(other, "ask", to_id=name, message={"content": "which branch?"}, deadline_s=7200)
    elif debt == "claim":
        team.ask(name, "claim", resource=f"/r/{name}", ttl_s=7200)
    else:
        team.ask(other, "send", to_id=name, message={"content": "stop"}, land="interrupt")
    team.core.processes[team.pids[name]] = False
    return "dead", 10


def ends_with_a_claim(team: Team, name: str) -> tuple[str, float]:
    team.ask(name, "claim", resource=f"/r/{name}", ttl_s=7200)
    team.report(name, "ended")
    return "dead", 10


def asked_when_dead(team: Team, name: str) -> tuple[str, float]:
    team.report(name, "ended")
    team.go_on(500)
    team.ask(NAMES[NAMES.index(name) - 1], "ask", to_id=name, message={"content": "are you there?"}, deadline_s=7200)
    return "dead", 10


def repeats_a_call(team: Team, name: str) -> tuple[str, float]:
    team.report(name, "turn_began")
    for _ in range(5):
        call = team.begin_call(name)
        team.report(name, "tool_ended", tool="Bash", call=call, digest="the same")
    return "repeats", 0


def answers_without_end(team: Team, name: str) -> tuple[str, float]:
    other = NAMES[NAMES.index(name) - 1]
    number = team.ask(name, "send", to_id=other, message={"content": "hello, how are you?"})["number"]
    for who in (other, name) * 5:
        number = team.ask(who, "reply", to_message=number, message={"content": "fine, and how are you?"})["number"]
        team.go_on(3)
    return "loop", 0


FAULTS: tuple[Callable[[Team, str], tuple[str, float]], ...] = (
    hangs,
    hangs_in_a_call,
    hangs_after_a_call,
    waits_for_permission,
    waits_for_an_answer,
    lambda team, name: killed_with(team, name, "question"),
    lambda team, name: killed_with(team, name, "claim"),
    lambda team, name: killed_with(team, name, "urgent"),
    ends_with_a_claim,
    asked_when_dead,
    repeats_a_call,
    answers_without_end,
)
"""Each makes one agent stop, and says which rule holds, and how many seconds later."""
