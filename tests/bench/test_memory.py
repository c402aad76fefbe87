"""What stays in memory: every row has a value, of the processes that it names. No test here looks at how much."""

import pytest

from bench.memory import Memory
from bench.report import Results
from bench.service import running

pytestmark = [pytest.mark.deep]


def test_the_service_alone_its_idling_and_the_whole_with_agents_are_measured() -> None:
    results = Results()
    with running() as service:
        Memory(results, service, rest_s=0.0, idle_s=0.1, agents=2).measure()
    values = {key: row.values for key, row in results.rows.items()}
    assert all(values.values()), values
    alone = sum(values[f"memory.pss.{name}"][0] for name in ("supervisor", "broker", "tcp"))
    assert alone == pytest.approx(values["memory.service"][0], rel=0.2)
    assert values["memory.own"] < values["memory.service"] < values["memory.whole"]
    assert values["mcp.pss.rested"] < values["mcp.all.rested"] < values["memory.whole.rested"]
