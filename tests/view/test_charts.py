"""Numbers over the last hours."""

from hypothesis import given
from hypothesis import strategies as st

from bridges.view.charts import Sample, bars, sample_of, series_of, spark

AT = "2026-03-01T12:00:00+00:00"


def test_a_sample_adds_up_what_an_overview_holds() -> None:
    overview = {
        "at": AT,
        "agents": [
            {"queued": 2, "leased": 1, "presence": "working"},
            {"queued": 1, "leased": 0, "presence": "waiting"},
            {"queued": 4, "leased": 0, "presence": "gone", "unclaimed": True},
        ],
        "questions": [{"state": "open"}, {"state": "stale"}],
        "alarms": [{}],
        "dead": 3,
    }
    assert sample_of(overview) == Sample(1772366400.0, 7, 1, 2, 2, 1, 1, 3)


@given(st.lists(st.integers(0, 1000), max_size=2000))
def test_a_long_line_keeps_its_peak_its_order_and_few_points(values: list[int]) -> None:
    samples = [Sample(15.0 * n, value, 0, 0, 0, 0, 0, 0) for n, value in enumerate(values)]
    unread = series_of(samples)[0]
    assert len(unread.points) <= 120
    assert unread.highest == max(values, default=0)
    assert [x for x, _ in unread.points] == sorted(x for x, _ in unread.points)
    assert spark(unread, 200, 40).startswith("M") == (len(values) > 1)


def test_a_line_ends_at_the_right_and_touches_its_peak() -> None:
    samples = [Sample(15.0 * n, value, 0, 0, 0, 0, 0, 0) for n, value in enumerate((0, 4, 2))]
    assert spark(series_of(samples)[0], 200, 40) == "M0.0 40.0L100.0 0.0L200.0 20.0"


def test_hours_stand_beside_the_highest_of_them() -> None:
    assert [(bar.hours_ago, bar.messages, bar.part) for bar in bars([0, 8, 4])] == [(2, 0, 0.0), (1, 8, 1.0), (0, 4, 0.5)]
    assert [bar.part for bar in bars([0, 0])] == [0.0, 0.0]
