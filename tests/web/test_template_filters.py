"""What templates say of values: no sender decides how large a page gets, or hides what it shows."""

from hypothesis import given
from hypothesis import strategies as st

from bridges.view.conversations import Receipt
from bridges.web.big_text import letter
from bridges.web.rendering import ENVIRONMENT
from bridges.web.template_filters import clipped, reached, size_in_page

NASTY = st.text(st.sampled_from("a<&\"' \n\u202e\x1b\U0001f600"), max_size=400)


@given(st.one_of(st.text(max_size=400), NASTY), st.integers(1, 200))
def test_a_clipped_text_is_bounded_in_characters_and_in_bytes(text: str, most: int) -> None:
    shown = clipped(text, most)
    assert len(shown) <= most + 1
    assert size_in_page(shown) <= 2 * most + len("…".encode())


@given(NASTY)
def test_a_text_that_fits_is_shown_whole(text: str) -> None:
    assert clipped(text, 10_000) == text.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")


@given(NASTY)
def test_a_template_shows_text_escaped_and_visible(text: str) -> None:
    shown = ENVIRONMENT.from_string("{{ text }}").render(text=text)
    assert not set("<\"'\u202e\x1b") & set(shown)


def test_how_many_have_read_it() -> None:
    steps = ("stored", "in_context", "answered", "pushed")
    assert reached([Receipt("a", step, step, "", "", ()) for step in steps]) == "2 of 4 have read it"


def test_markdown_that_would_grow_is_left_as_text() -> None:
    table = "|a" * 300 + "\n" + "|-" * 300 + "\n" + ("|b" * 300 + "\n") * 80
    assert letter(table) is None
    assert letter("# a\n\n- b") == "<h1>a</h1>\n<ul>\n<li>b</li>\n</ul>\n"
