"""Loss of power at a few hundred moments of a recorded history."""

from pathlib import Path

import pytest

from tests.deep.faults import power
from tests.deep.faults.shim import NoCompiler, build


@pytest.fixture(autouse=True)
def _compiler(tmp_path: Path) -> None:
    try:
        build(tmp_path)
    except NoCompiler as e:
        pytest.skip(str(e))


@pytest.mark.parametrize("durability", ["full", "normal"])
def test_a_loss_of_power_takes_nothing_that_was_promised(durability: str) -> None:
    found = power.run("short", 250, durability)
    assert found["first_problems"] == []
    assert found["acknowledged"] > 500
    assert found["syncs"] > 50


def test_a_lost_tail_under_normal_durability_is_no_promise_broken_but_does_happen() -> None:
    """Judged by the rules of ``full``, a store that does not sync its commits fails: the test can tell the two apart."""
    found = power.run("short", 250, "normal", judged_as="full")
    assert any("lost" in p for p in found["first_problems"])
