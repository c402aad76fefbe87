"""A short run of the crash tester; the long ones are in docs/reliability.md."""

import pytest

from tests.deep.faults import crash

CYCLES = 8


@pytest.mark.timeout(180)
def test_nothing_acknowledged_is_lost_doubled_or_forged_while_everything_is_killed() -> None:
    result = crash.run("short", CYCLES)
    assert result.problems == []
    assert result.counts["sends ok"] > 0
    assert result.counts["acknowledged"] > 0
    assert sum(result.tried.values()) == CYCLES
