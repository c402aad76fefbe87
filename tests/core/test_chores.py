"""Chores: done when due, postponed by a full disk, and nothing is due in an idle broker."""

from math import inf

import pytest

from broker.core.batch import Batch
from broker.core.facts import Mark, Step
from broker.core.handlers import CHORES, MAILINGS
from broker.core.steps import note_step
from tests.engine import Core


def note(core: Core, step: Step) -> None:
    """Note a step as a request would."""
    batch = Batch(core.engine.state, core.store, core.engine.settings, core.now(), lambda: "")
    note_step(batch, step)


@pytest.fixture
def settled(core: Core) -> Core:
    """A broker whose first look at all chores is over."""
    core.register("fred", "nova")
    core.send("fred", "nova")
    core.ask("nova", "ack", ids=[m["id"] for m in core.check("nova")])
    core.engine.keep_house(core.now())
    return core


def test_an_idle_broker_has_nothing_due(settled: Core) -> None:
    assert settled.engine.state.chore_s == inf
    assert settled.engine.state.chores.keys() == CHORES.keys() | MAILINGS.keys()


def test_a_broker_with_unread_mail_looks_for_readers_who_are_away_in_ten_minutes(settled: Core) -> None:
    settled.send("nova", "fred")
    settled.restart()
    settled.engine.keep_house(settled.now())
    assert settled.engine.state.chore_s == settled.mono_s + 600


def test_steps_are_gathered_for_a_second_then_written_in_bulk(settled: Core) -> None:
    state, now = settled.engine.state, settled.now()
    steps = [Step(1, 2, Mark.PUSHED, way, settled.wall_s + n, inferred=False) for n, way in enumerate(("socket", "monitor"))]
    for step in steps:
        note(settled, step)
    assert now.mono_s < state.chore_s <= now.mono_s + 1
    settled.pass_time(1)
    settled.engine.keep_house(settled.now())
    assert (state.steps, state.chore_s) == ([], inf)
    assert settled.store.steps_of(1, 2) == steps


def test_a_disk_that_can_not_be_written_postpones_chores_and_loses_nothing(settled: Core) -> None:
    step = Step(1, 2, Mark.PUSHED, "socket", settled.wall_s, inferred=False)
    note(settled, step)
    settled.pass_time(1)
    settled.store._sql.execute("PRAGMA query_only = 1")
    _, events = settled.engine.keep_house(settled.now())
    assert [e.name for e in events] == ["chores_postponed"]
    assert settled.engine.state.chore_s > settled.mono_s
    settled.store._sql.execute("PRAGMA query_only = 0")
    settled.pass_time(5)
    settled.engine.keep_house(settled.now())
    assert settled.store.steps_of(1, 2) == [step]
