"""Edit distance and misspelt command words."""

from hypothesis import given
from hypothesis import strategies as st

from nlparse.spelling import Spelling, distance
from tests.examples import examples

letters = st.text("abcd", max_size=9)


def full_distance(a: str, b: str) -> int:
    """The textbook table, without any cut."""
    rows = [[i + j if not i * j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            best = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]))
            if i > 1 and j > 1 and (a[i - 1], a[i - 2]) == (b[j - 2], b[j - 1]):
                best = min(best, rows[i - 2][j - 2] + 1)
            rows[i][j] = best
    return rows[-1][-1]


@examples(1000)
@given(letters, letters, st.integers(1, 5))
def test_the_distance_is_that_of_the_textbook_up_to_its_limit(a: str, b: str, limit: int) -> None:
    full = full_distance(a, b)
    assert distance(a, b, limit) == (full if full <= limit else None)


@examples(500)
@given(st.sets(st.text("abcd", min_size=1, max_size=9), max_size=8), letters.filter(bool))
def test_the_index_finds_every_word_that_comparing_all_would(words: set[str], typed: str) -> None:
    spelling = Spelling(words, frozenset(["abba"]))
    near = set()
    for word in words - {typed}:
        if len(word) <= 3:
            swapped = sorted(word) == sorted(typed) and full_distance(word, typed) == 1
            near |= {word} if swapped else set()
        elif full_distance(word, typed) <= (2 if len(word) >= 7 else 1):
            near.add(word)
    assert spelling.meant(typed) == (set() if typed == "abba" else near)
