"""Numbers in sentences for people."""

from bridges.plurals import more_wait, number_of


def test_one_thing_is_one_and_none_or_many_are_many() -> None:
    assert [number_of(count, "message") for count in (0, 1, 2)] == ["0 messages", "1 message", "2 messages"]
    assert number_of(2, "entry", "entries") == "2 entries"
    assert (more_wait(1), more_wait(3)) == ("1 more waits", "3 more wait")
