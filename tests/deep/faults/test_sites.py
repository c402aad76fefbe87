"""Three sites under fire."""

import secrets

import pytest

from tests.deep.faults import sites


@pytest.mark.timeout(600)
def test_all_mail_among_three_sites_comes_once_and_in_order_whatever_is_killed(capsys: pytest.CaptureFixture[str]) -> None:
    seed = secrets.token_hex(4)
    with capsys.disabled():
        print(f"\npython -m tests.deep.faults.sites --seed {seed}", flush=True)
    result = sites.run(seed)
    assert result.problems == [], result.to_json()
    assert result.counts["sends ok"] >= sites.MESSAGES
    assert result.faults >= 100
