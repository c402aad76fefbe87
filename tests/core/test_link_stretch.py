"""A short stretch of the simulated link between sites (``tests.deep.faults.link_simulation``)."""

import pytest

from tests.deep.faults import link_simulation


@pytest.mark.parametrize("carrier", link_simulation.CARRIERS)
def test_mail_between_sites_arrives_once_and_in_order_whatever_goes_wrong(carrier: str) -> None:
    found = link_simulation.run("quick", 3000, carrier)
    assert found["problem"] is None
    assert found["counts"]["arrived"] > 50
