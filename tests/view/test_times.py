"""Moments in words."""

from datetime import timedelta, timezone

import pytest

from bridges.view.times import ago, day, full, moment, within

NOW = "2026-03-01T12:00:00+00:00"


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("2026-03-01T11:59:58.5+00:00", "just now"),
        ("2026-03-01T12:00:20+00:00", "just now"),  # another clock
        ("2026-03-01T11:57:00+00:00", "3 min ago"),
        ("2026-03-01T10:00:00+00:00", "2 h ago"),
        ("2026-02-27T10:00:00+00:00", "2 days ago"),
        ("2026-03-01T13:30:00+00:00", "in 1 h"),
        ("", ""),
        ("some day", ""),
    ],
)
def test_a_moment_is_told_as_an_age(when: str, words: str) -> None:
    assert ago(when, moment(NOW)) == words


@pytest.mark.parametrize(
    ("when", "words"), [("2026-03-01T12:04:30+00:00", "4 min left"), ("2026-03-01T11:00:00+00:00", "over"), ("never", "")]
)
def test_what_is_left_until_a_moment(when: str, words: str) -> None:
    assert within(when, moment(NOW)) == words


def test_the_whole_time_is_of_a_zone_and_to_the_second() -> None:
    east = timezone(timedelta(hours=2), "EET")
    assert full("2026-03-01T12:30:05.123456+00:00", timezone.utc) == "2026-03-01 12:30:05 UTC"
    assert full("2026-03-01T12:30:05.123456+00:00", east) == "2026-03-01 14:30:05 EET"
    assert full("soon") == "soon"


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("2026-03-01T00:10:00+00:00", "Today"),
        ("2026-02-28T23:50:00+00:00", "Yesterday"),
        ("2025-12-04T12:00:00+00:00", "4 December 2025"),
    ],
)
def test_a_day_has_a_name(when: str, words: str) -> None:
    assert day(when, moment(NOW), timezone.utc) == words
