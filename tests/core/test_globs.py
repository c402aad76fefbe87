"""Patterns that have a name in common."""

import itertools
import sys
from types import FrameType

from hypothesis import given
from hypothesis import strategies as st

from broker.core.globs import overlap, overlapping
from tests.examples import examples

PATTERNS = st.text(alphabet="ab/*?", min_size=1, max_size=5)


NAMES = ["".join(n) for size in range(1, 7) for n in itertools.product("ab/", repeat=size)]


def matches(name: str, pattern: str) -> bool:
    """The meaning of a pattern, said once more and slowly."""
    if pattern.endswith("/**") and matches(name, pattern[:-3]):
        return True

    def at(i: int, j: int) -> bool:
        if j == len(pattern):
            return i == len(name)
        if pattern.startswith("**", j):
            return any(at(k, j + 2) for k in range(i, len(name) + 1))
        if pattern[j] == "*":
            return any("/" not in name[i:k] and at(k, j + 1) for k in range(i, len(name) + 1))
        return i < len(name) and (name[i] != "/" if pattern[j] == "?" else name[i] == pattern[j]) and at(i + 1, j + 1)

    return at(0, 0)


@examples(150)
@given(PATTERNS, PATTERNS)
def test_patterns_overlap_when_some_name_matches_both(one: str, other: str) -> None:
    shared = any(matches(n, one) and matches(n, other) for n in NAMES)
    if shared:
        assert overlap(one, other) and overlap(other, one)
    elif len(one) + len(other) <= 6:  # then a common name would be among those tried
        assert not overlap(one, other), (one, other)


def test_what_only_begins_like_a_folder_is_not_in_it() -> None:
    assert not overlap("src/**", "srcfoo")
    assert overlap("src/**", "src") and overlap("src/**", "src/a/b") and overlap("?/**", "a")


@examples(150)
@given(PATTERNS, st.lists(PATTERNS, max_size=9))
def test_many_patterns_are_met_as_each_one_alone(one: str, others: list[str]) -> None:
    assert overlapping(one, others) == [i for i, other in enumerate(others) if overlap(one, other)]


def test_the_work_for_hostile_patterns_grows_with_their_length_and_not_with_its_square() -> None:
    """Counted in lines that run, since time depends on the machine."""

    def lines(wild: int) -> int:
        others = [f"{'**a' * wild}z{i}" for i in range(50)]
        pattern = "**" + "a**" * wild + "y"
        overlapping(pattern, others)  # compiled once for each claim
        count = 0

        def note(_frame: FrameType, event: str, _of: object) -> object:
            nonlocal count
            count += event == "line"
            return note

        before = sys.gettrace()
        sys.settrace(note)
        try:
            assert overlapping(pattern, others) == []
        finally:
            sys.settrace(before)
        return count

    assert lines(160) < 4 * lines(80)
    assert lines(160) < 8000
