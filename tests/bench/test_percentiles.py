"""Percentiles of known values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.percentiles import percentile


def test_percentiles_of_a_hundred_numbers_are_the_numbers() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, p) for p in (1, 50, 99, 99.9, 100)] == [1, 50, 99, 100, 100]


def test_the_median_of_an_even_count_is_a_value_that_was_measured() -> None:
    assert percentile([1.0, 2.0, 3.0, 10.0], 50) == 2.0


def test_one_value_is_every_percentile() -> None:
    assert {percentile([7.0], p) for p in (0, 50, 99.9, 100)} == {7.0}


def test_nothing_measured_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_so_many_percent_do_not_exceed_it_and_it_is_the_smallest_such(values: list[float], percent: float) -> None:
    values.sort()
    found = percentile(values, percent)
    share = sum(value <= found for value in values) / len(values) * 100
    assert found in values
    assert share >= percent - 1e-6
    assert sum(value < found for value in values) / len(values) * 100 < percent + 1e-6
