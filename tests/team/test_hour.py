"""What a team's hour costs its models by the rules of 0.3.0 and by today's. Nothing comes later than its class allows.

    python -m tests.team.test_hour

prints the numbers.
"""

import sys
import tempfile
from math import inf
from pathlib import Path

import pytest

from broker.core.ways import GATHER_S
from tests.engine import Core
from tests.team.hour import AGENTS, MESSAGES, SEED, Hour, Line, Turn, an_hour
from tests.team.replay import NOTICED_S, Arrival, Counts, Replay
from tests.team.rules import Of030, Rules, Today

HOST_WORDS = 146 * 4
"""Characters that Claude Code writes itself around a notice (``python -m bench.hosts tokens``: 146 tokens of 4)."""
SLACK_S = NOTICED_S + GATHER_S + 0.1
"""From the moment at which a wake is due to the mail in the model's context."""


def replayed(rules: Rules, hour: Hour, names: tuple[str, ...] = AGENTS) -> Replay:
    """The whole hour, and what comes of it later."""
    with tempfile.TemporaryDirectory(prefix="ipc-") as home:
        # no sync; and the script writes more than the guard against loops lets a pair exchange
        core = Core(Path(home), {"IPC_DURABILITY": "normal", "IPC_PAIR_LIMIT": "0"})
        replay = Replay(core, rules, hour, names)
        replay.run()
        core.store.close()
    return replay


def fewer(before: float, now: float) -> float:
    """By how much, in percent."""
    return 100 * (1 - now / before)


def around(counts: Counts) -> int:
    """Characters of ours beside the mail's own texts."""
    return counts.injected - counts.own


def with_hosts_words(counts: Counts) -> int:
    return around(counts) + counts.wakes * HOST_WORDS


@pytest.fixture(scope="module")
def both() -> tuple[Replay, Replay]:
    return replayed(Of030(), an_hour()), replayed(Today(), an_hour())


@pytest.mark.deep
def test_the_hour_costs_a_third_of_the_wakes_and_of_what_stands_around_the_mail(both: tuple[Replay, Replay]) -> None:
    before, now = (replay.counts for replay in both)
    assert len(both[0].sent) == MESSAGES
    assert fewer(before.wakes, now.wakes) >= 70
    assert fewer(around(before), around(now)) >= 60
    assert fewer(with_hosts_words(before), with_hosts_words(now)) >= 60


@pytest.mark.deep
def test_all_mail_of_the_hour_is_read_but_thanks_for_thanks_that_no_turn_came_after(both: tuple[Replay, Replay]) -> None:
    assert [a for a in both[0].counts.arrivals if a.in_context_s == inf] == []
    left = [a for a in both[1].counts.arrivals if a.in_context_s == inf]
    assert {a.line.kind for a in left} <= {"thanks"} and len(left) <= 3
    assert len(both[1].sent) >= MESSAGES - len(left)


@pytest.mark.deep
def test_nothing_comes_later_than_its_class_allows(both: tuple[Replay, Replay]) -> None:
    now = both[1]
    late = [
        (a, by_s)
        for a in now.counts.arrivals
        if a.in_context_s < inf and a.in_context_s > (by_s := allowed_s(now, a)) + SLACK_S
    ]
    assert late == []


def allowed_s(replay: Replay, a: Arrival) -> float:
    """By when the message must be in its reader's context."""
    agent, settings = replay.agents[a.reader], replay.core.engine.settings
    idle_s = a.stored_s + settings.wake_pause_s
    ends_s = agent.ends[a.turn] if a.working else a.stored_s
    if a.land == "interrupt":
        return min((s for s in agent.stops if s >= a.stored_s), default=inf) if a.working else a.stored_s
    if a.land == "tool" and a.working:
        return min((s for s in agent.tools(a.turn) if s >= a.stored_s), default=ends_s)
    if a.land == "turn" and a.working:
        return ends_s
    if a.land == "digest":
        due_s = inf if a.line.kind == "thanks" else max(a.stored_s + settings.digest_s, ends_s)
        return min(due_s, agent.ends.get(a.turn + 1, inf))
    return idle_s


@pytest.mark.deep
@pytest.mark.parametrize("seed", ["another team", "a third"])
def test_other_hours_cost_as_much_less(seed: str) -> None:
    before, now = (replayed(rules, an_hour(seed)).counts for rules in (Of030(), Today()))
    assert fewer(before.wakes, now.wakes) >= 65
    assert fewer(around(before), around(now)) >= 55


# polite models


class Polite(Hour):
    """Two agents that thank for whatever they read."""

    def after(self, number: int) -> list[Line]:
        read = self.lines[number]
        if all(line.cause != number for line in self.lines) and len(self.lines) < 200:
            thanks = Line(len(self.lines), "thanks", read.to, read.sender, f"Thank you! ({number})", cause=number, delay_s=4.0)
            thanks.replies = True
            self.lines.append(thanks)
        return super().after(number)


def a_task_and_thanks() -> Polite:
    task = Line(0, "task", "ann", "bob", "Please take the parser.", at_s=10.0)
    return Polite([Turn("ann", 5.0, 8.0)], [task])


def test_two_polite_models_stop_after_one_wake() -> None:
    """One wake brings the task. What is thanked in a running turn costs none."""
    replay = replayed(Today(), a_task_and_thanks(), ("ann", "bob"))
    at_once = [(at_s, who) for at_s, who, _what, _text in replay.log if at_s < 600]
    assert [who for _at_s, who in at_once] in (["bob"], ["bob", "ann"])
    assert len(replay.log) <= len(at_once) + 1, "thanks are due once, thanks for thanks never"
    assert len(replay.sent) <= 4


def test_by_the_rules_before_they_never_stopped() -> None:
    assert len(replayed(Of030(), a_task_and_thanks(), ("ann", "bob")).log) > 100


def main(seeds: list[str]) -> None:
    """Print the table."""
    print("| | 0.3.0 | now | fewer |\n|---|---|---|---|")
    for seed in seeds or [SEED]:
        before, now = (replayed(rules, an_hour(seed)).counts for rules in (Of030(), Today()))
        rows = {
            "wakes": (before.wakes, now.wakes),
            "characters around the mail, ours": (around(before), around(now)),
            "with the host's own words around notices": (with_hosts_words(before), with_hosts_words(now)),
            "with the mail's own texts, too": (with_hosts_words(before) + before.own, with_hosts_words(now) + now.own),
        }
        for what, (old, new) in rows.items():
            print(f"| {what} | {old:,} | {new:,} | {fewer(old, new):.0f} % |")


if __name__ == "__main__":
    main(sys.argv[1:])
