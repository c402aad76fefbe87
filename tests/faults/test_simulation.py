"""A short stretch of the simulated world, and death in a migration."""

from tests.faults import migration, simulation

STEPS = 20_000


def test_every_reply_of_the_engine_agrees_with_the_model() -> None:
    found = simulation.run("short", STEPS)
    assert found["problem"] is None
    assert found["steps"] >= STEPS
    assert found["counts"]["handed out"] > 1000


def test_the_same_seed_takes_the_same_steps() -> None:
    first, second = simulation.run("same", 2000), simulation.run("same", 2000)
    assert first["problem"] is None
    assert (first["faults"], first["counts"]) == (second["faults"], second["counts"])


def test_death_at_any_statement_of_a_migration_loses_no_mail() -> None:
    found = migration.run()
    assert found["problems"] == []
    assert found["tried"] > 10
