"""Mail as talk."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridges.view.conversations import bubbles, hits, opening, talks


def letter(
    number: int, sender: str, to: str, at: str = "12:00:00", day: int = 1, thread: int = 1, **more: Any
) -> dict[str, Any]:
    message = {"content": f"text {number}", **more.pop("message", {})}
    when = f"2026-03-{day:02d}T{at}+00:00"
    return {
        "id": str(number), "from": sender, "to": to.split(), "timestamp": when, "message": message, "land": "after_tool",
        "thread": str(thread), **more,
    }  # fmt: skip


def test_the_thread_with_the_newest_message_is_first() -> None:
    page = [
        letter(5, "otto", "nova", thread=1),
        letter(4, "rex", "kim lea", thread=3, group="crew"),
        letter(1, "nova", "otto", thread=1, message={"content": "\n  hello\x07 there\nmore"}),
    ]
    first, second = talks(page)
    assert (first.thread, first.names, first.messages, first.last_from) == ("1", ("nova", "otto"), 2, "otto")
    assert (first.opening, first.latest) == ("hello\\x07 there", "text 5")
    assert (second.group, second.names) == ("crew", ("rex",))


def test_messages_of_two_outside_longer_threads_are_one_talk() -> None:
    page = [letter(4, "otto", "nova", thread=4), letter(3, "nova", "rex", thread=3), letter(1, "nova", "otto", thread=1)]
    first, second = talks(page)
    assert (first.pair, first.messages, first.opening, first.latest) == (("nova", "otto"), 2, "text 1", "text 4")
    assert (second.pair, second.thread) == (None, "3")


def test_messages_stand_oldest_first_and_the_second_of_two_at_the_right() -> None:
    shown = bubbles([letter(3, "nova", "otto"), letter(2, "otto", "nova"), letter(1, "nova", "otto")])
    assert [(b.id, b.side) for b in shown] == [("1", "left"), ("2", "right"), ("3", "left")]


def test_the_person_is_at_the_right_however_many_talk() -> None:
    page = [letter(3, "rex", "ada"), letter(2, "ada", "nova"), letter(1, "nova", "ada")]
    assert [b.side for b in bubbles(page, "ada")] == ["left", "right", "left"]


def test_a_head_is_left_out_where_one_goes_on_within_minutes() -> None:
    page = [
        letter(5, "nova", "otto", "12:01:00", day=2),
        letter(4, "nova", "otto", "12:20:00"),
        letter(3, "nova", "rex", "12:02:00"),
        letter(2, "nova", "otto", "12:01:00"),
        letter(1, "nova", "otto", "12:00:00"),
    ]
    assert [b.continues for b in bubbles(page)] == [False, True, False, False, False]
    assert [b.new_day for b in bubbles(page)] == [True, False, False, False, True]


def test_an_answer_quotes_what_it_answers_unless_that_stands_right_above() -> None:
    page = [letter(3, "otto", "nova", reply_to="1"), letter(2, "otto", "nova", reply_to="1"), letter(1, "nova", "otto")]
    assert [b.quote for b in bubbles(page)] == ["", "", "text 1"]


def test_a_receipt_says_its_step_in_words() -> None:
    rows = [
        {"to": "otto", "step": "in_context", "at": "2026-03-01T12:00:01+00:00", "inferred": True, "why": "a\x1bb"},
        {"to": "rex", "step": "pushed", "way": "socket"},
    ]
    (bubble,) = bubbles([letter(1, "nova", "otto rex", receipts=rows)])
    assert [(r.to, r.words, r.why) for r in bubble.receipts] == [
        ("otto", "in context (inferred)", "a\\x1bb"),
        ("rex", "pushed by socket", ""),
    ]


def test_a_hit_shows_the_part_with_the_words() -> None:
    first, second = hits([letter(2, "nova", "otto rex", snippet="…the\x1b words…"), letter(1, "otto", "nova", group="crew")])
    assert (first.id, first.to, first.text) == ("2", ("otto", "rex"), "…the\\x1b words…")
    assert (second.group, second.text) == ("crew", "text 1")


def test_mail_for_the_person_is_unread_until_it_is_in_context() -> None:
    steps = [("ada", "stored"), ("ada", "in_context"), ("otto", "stored")]
    page = [letter(n, "nova", to, receipts=[{"to": to, "step": step}]) for n, (to, step) in enumerate(steps)]
    assert [bubble.unread for bubble in bubbles(page, "ada")] == [False, False, True]


@given(st.text(), st.integers(1, 60))
def test_an_opening_is_one_short_line(text: str, limit_chars: int) -> None:
    line = opening(text, limit_chars)
    assert len(line) <= limit_chars + 1 and "\n" not in line and "\u202e" not in line
