"""Who talks to whom, drawn."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridges.view.graph import HEIGHT, SEVERAL, WIDTH, drawing, flows

LAST = "2026-03-01T12:00:00+00:00"


def pair(sender: str, reader: str, count: int) -> dict[str, Any]:
    return {"from": sender, "to": reader, "count": count, "last": LAST}


def test_the_busiest_is_first_with_its_rate() -> None:
    found = flows(
        {"pairs": [pair("nova", "otto", 3), pair("otto", "nova", 12), pair("system", "nova", 99)], "total": 15}, over_s=7200
    )
    assert [(f.sender, f.messages, f.per_hour) for f in found] == [("otto", 12, 6.0), ("nova", 3, 1.5)]


def test_no_traffic_is_an_empty_drawing() -> None:
    assert drawing([]) == ((), (), 0, WIDTH, HEIGHT)


def test_those_who_talk_most_stand_side_by_side() -> None:
    pairs = [pair("a", "z", 50), pair("b", "y", 40), pair("a", "b", 1), pair("z", "y", 1)]
    assert [dot.name for dot in drawing(flows({"pairs": pairs}, 3600)).dots] == ["a", "z", "y", "b"]


def test_groups_and_everyone_are_one_dot_in_the_middle() -> None:
    middle = drawing(flows({"pairs": [pair("nova", SEVERAL, 3)]}, 3600)).dots[-1]
    assert (middle.name, middle.x, middle.y) == (SEVERAL, WIDTH / 2, HEIGHT / 2)


def test_the_busier_of_two_directions_is_wider() -> None:
    busy, quiet = drawing(flows({"pairs": [pair("nova", "otto", 90), pair("otto", "nova", 2)]}, 3600)).arrows
    assert busy.width > 2 * quiet.width


NAMES = st.sampled_from([SEVERAL, *(f"agent-{n}" for n in range(40))])


@given(st.dictionaries(st.tuples(NAMES, NAMES), st.integers(1, 10_000), max_size=80), st.integers(1, 24), st.randoms())
def test_a_drawing_depends_on_the_counts_alone_and_stays_within_its_frame(
    counts: dict[tuple[str, str], int], most: int, draw: Any
) -> None:
    pairs = [pair(sender, reader, count) for (sender, reader), count in counts.items()]
    drawn = drawing(flows({"pairs": pairs}, 3600), most)
    assert drawn == drawing(flows({"pairs": draw.sample(pairs, len(pairs))}, 3600), most)
    assert len(drawn.dots) == min(most, len({name for key in counts for name in key}))
    assert len(drawn.dots) + drawn.left_out == len({name for key in counts for name in key})
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for dot in drawn.dots)
    assert len({(dot.x, dot.y) for dot in drawn.dots}) == len(drawn.dots)
    names = {dot.name for dot in drawn.dots}
    assert all({arrow.flow.sender, arrow.flow.reader} <= names and 0 < arrow.width <= 7 for arrow in drawn.arrows)
