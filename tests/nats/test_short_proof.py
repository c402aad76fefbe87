"""Three sites under fire, for a short time. The long run is ``tests/deep/faults/test_sites.py``."""

import secrets

import pytest

from tests.deep.faults import sites

MESSAGES, FAULTS, PACE_S = 1_200, 10, 0.3


def test_mail_among_three_sites_comes_once_and_in_order_while_each_kind_of_fault_happens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed = secrets.token_hex(4)
    with capsys.disabled():
        print(f"\npython -m tests.deep.faults.sites --seed {seed} --messages {MESSAGES} --faults {FAULTS} --pace {PACE_S}")
    result = sites.run(seed, MESSAGES, FAULTS, PACE_S)
    assert result.problems == [], result.to_json()
    assert result.counts["sends ok"] >= MESSAGES
    assert result.faults == FAULTS + 3
