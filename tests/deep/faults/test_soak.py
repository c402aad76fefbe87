"""The soak in short: the mail is right; whether anything grows is for the long run to say."""

import pytest

from tests.deep.faults import soak


@pytest.mark.timeout(120)
def test_ten_thousand_messages_by_both_ways_arrive_once_in_order_and_are_swept() -> None:
    found = soak.run(10_000, rate=0)
    assert found["problems"] == []
    assert len(found["parts"]) >= 1
    assert {"broker MiB", "ipc.db-wal MiB", "large files", "probe p99 ms"} <= found["parts"][-1].keys()
