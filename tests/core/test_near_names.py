"""Near-misses of a name."""

import string

from hypothesis import given
from hypothesis import strategies as st

from broker.core.near_names import Nearby, edit_distance
from tests.engine import Core
from tests.examples import examples


def slow_distance(a: str, b: str) -> int:
    """The textbook's table (optimal string alignment)."""
    d = {(i, j): i + j for i in range(len(a) + 1) for j in range(len(b) + 1) if not i or not j}
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            d[i, j] = min(d[i - 1, j] + 1, d[i, j - 1] + 1, d[i - 1, j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                d[i, j] = min(d[i, j], d[i - 2, j - 2] + 1)
    return d[len(a), len(b)]


SHORT = st.text("abc1", max_size=9)


def test_a_mistyped_group_or_name_gets_a_did_you_mean(team: Core) -> None:
    team.ask("fred", "group_create", group="builders")
    refused = team.ask("bob", "group_join", group="bulders")
    assert (refused["code"], refused["did_you_mean"]) == ("unknown_group", "builders")
    assert refused["hint"].startswith("Did you mean builders? ")
    assert team.send("bob", "bulders")["did_you_mean"] == "builders"
    assert team.ask("bob", "block", name="cluade")["did_you_mean"] == "claude"
    team.ask("fred", "group_leave", group="builders")
    assert "did_you_mean" not in team.ask("bob", "group_join", group="bulders")


@examples(200)
@given(SHORT, SHORT)
def test_edits_are_counted_as_in_the_textbook(a: str, b: str) -> None:
    assert edit_distance(a, b) == slow_distance(a, b)


@examples(100)
@given(
    st.sets(st.text(string.ascii_letters + "1-", min_size=1, max_size=9), max_size=20),
    st.text("abcAB1", min_size=1, max_size=9),
)
def test_a_search_finds_what_comparing_with_every_name_would(names: set[str], typed: str) -> None:
    nearby = Nearby()
    for name in names:
        nearby.add(name)

    def off(name: str) -> int | None:
        a, b = typed.lower(), name.lower()
        if a == b:
            return 0
        plain = ["".join(c for c in text if not c.isdigit()) for text in (a, b)]
        if min(len(a), len(b)) < 3 or plain[0] == plain[1]:
            return None
        distance = slow_distance(a, b)
        return distance if distance <= (2 if min(len(a), len(b)) >= 7 else 1) else None

    found = {name: distance for name in names if name != typed and (distance := off(name)) is not None}
    best = [name for name, distance in found.items() if distance == min(found.values())]
    assert nearby.miss(typed) == (best[0] if len(best) == 1 else None)
