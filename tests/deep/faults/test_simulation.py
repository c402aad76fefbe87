"""A short stretch of the simulated world, and death in a migration."""

from pathlib import Path
from typing import Any

import pytest

from broker.core.handlers import HANDLERS
from broker.protocol.actions import ACTIONS
from tests.deep.faults import migration, simulation
from tests.deep.faults.drawing import DRAWN, NOT_DRAWN
from tests.deep.faults.model import Wrong

STEPS = 15_000


@pytest.fixture(scope="module")
def stretch() -> dict[str, Any]:
    return simulation.run("stretch", STEPS)


def test_every_reply_of_the_engine_agrees_with_the_model(stretch: dict[str, Any]) -> None:
    assert stretch["problem"] is None
    assert stretch["steps"] >= STEPS
    assert stretch["counts"]["handed out"] > 1000


def test_every_action_is_simulated_or_left_out_for_a_reason() -> None:
    assert set(DRAWN) | {"register"} | set(NOT_DRAWN) == set(ACTIONS)
    assert not set(DRAWN) & set(NOT_DRAWN)
    assert all(NOT_DRAWN.values())
    assert set(simulation.HANDLERS) == set(HANDLERS) - set(NOT_DRAWN), "what the core handles is judged"


def test_a_short_stretch_meets_every_action_and_what_they_lead_to(stretch: dict[str, Any]) -> None:
    counts = stretch["counts"]
    assert [name for name in (*DRAWN, "register") if not counts.get(f"{name} ok")] == []
    rare = ("answers handed out", "claim claim_conflict", "send blocked", "send rate_limited", "waits ended", "pushed", "told")
    assert [name for name in rare if not counts.get(name)] == []
    assert (
        min(stretch["faults"].get(name, 0) for name in ("frames", "one by one", "disk full", "reply lost", "sweep", "fold"))
        > 30
    )


def test_the_same_seed_takes_the_same_steps() -> None:
    first, second = simulation.run("same", 2000), simulation.run("same", 2000)
    assert first["problem"] is None
    assert (first["faults"], first["counts"]) == (second["faults"], second["counts"])


@pytest.mark.parametrize("damage", ["mail lost", "member forgotten", "claim forgotten", "question answered by nobody"])
def test_an_engine_that_forgets_is_found_out(home: Path, damage: str) -> None:
    world = simulation.World(damage, home)
    try:
        while not _damaged(world, damage):
            world.step()
        with pytest.raises(Wrong):
            for _ in range(5000):
                world.step()
    finally:
        world.store.close()


def _damaged(world: simulation.World, damage: str) -> bool:
    """Do to the engine what no request does; False if there is nothing to be damaged yet."""
    state = world.engine.state
    if damage == "mail lost":
        world.store._sql.execute("DELETE FROM queue WHERE message_id = (SELECT max(message_id) FROM queue)")
        return bool(world.store._sql.execute("SELECT changes()").fetchone()[0])
    if damage == "member forgotten":
        group = next((g for g in state.groups.values() if len(g.members) > 1), None)
        if group is None:
            return False
        group.members.popitem()
        world.store.save_group(group)  # a restart would bring back what memory alone has forgotten
        world.store.commit()
        return True
    if damage == "claim forgotten":
        lasting = next((c for c in state.claims.values() if c.until_s > world.wall_s + 1000), None)
        if lasting is None:
            return False
        del state.claims[lasting.id]
        world.store.drop_claim(lasting.id)
        world.store.commit()
        return True
    if world.store._sql.execute("SELECT count(*) FROM question WHERE answer_id IS NULL").fetchone()[0] < 3:
        return False
    world.store._sql.execute("UPDATE question SET answer_id = 1 WHERE answer_id IS NULL")
    return True


def test_a_failure_names_the_steps_that_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(simulation.HANDLERS, "count", lambda _judge, call: call.refused("never"))
    found = simulation.run("tail", 5000)
    assert "'action': 'count'" in found["problem"]
    assert f"--seed tail --steps {found['steps']}" in found["problem"]
    again = simulation.run("tail", found["steps"])
    assert again["problem"] == found["problem"]


def test_death_at_any_statement_of_a_migration_loses_no_mail() -> None:
    found = migration.run()
    assert found["problems"] == []
    assert found["tried"] > 10
