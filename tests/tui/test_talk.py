"""A conversation in the terminal view: as lines of any width, all of each text, and who has got it."""

from typing import Any

import pytest

pytest.importorskip("textual", reason="the extra tui is not installed")

from bridges.tui.talk import talk_rows
from bridges.view.conversations import bubbles
from bridges.view.times import moment

AT = "2026-03-01T12:00:00+00:00"


def letter(number: int, **more: Any) -> dict[str, Any]:
    found = {"id": str(number), "from": "bo", "to": ["cy"], "timestamp": AT, "message": {"content": "hello"}, "land": "tool"}
    return {**found, "thread": "1", **more}


def shown(*newest_first: dict[str, Any], columns: int = 40, more: bool = False) -> list[str]:
    rows = talk_rows(bubbles(newest_first, "ada"), columns, moment(AT) + 120, more)
    return ["".join(text for text, _ in row.parts).rstrip() for row in rows]


def test_messages_stand_oldest_first_under_their_writers() -> None:
    receipt = {"to": "cy", "state": "pushed", "step": "pushed", "way": "socket", "at": AT}
    answer = letter(3, **{"from": "cy"}, to=["bo"], reply_to="1", land="interrupt")
    assert shown(answer, letter(2), letter(1, receipts=[receipt]), more=True) == [
        "o: older messages",
        "",
        "bo → cy",
        "  hello",
        "  #1  2 min ago  cy: pushed by socket",
        "  hello",
        "  #2  2 min ago",
        "",
        "cy → bo  urgent",
        "  > hello",
        "  hello",
        "  #3  2 min ago",
    ]


def test_all_of_a_text_is_there_visible_and_within_the_width() -> None:
    text = "[red]x[/red]\x1b[2J " + "word " * 40 + "\n" + "y" * 100
    lines = shown(letter(1, message={"content": text, "data": {"k": "\u202e"}}), columns=30)
    assert all(len(line) <= 30 for line in lines)
    together = "".join(line.strip() for line in lines)
    assert "[red]x[/red]\\x1b[2J" in together and together.count("word") == 40 and "y" * 100 in together
    assert 'data: {"k": "\\u202e"}' in together


def test_a_large_message_and_many_readers_are_told_in_a_line_each() -> None:
    many = letter(1, to=[f"r{n}" for n in range(9)], file={"path": "/mail/\x1bx.md", "size_bytes": 9, "sha256": "0"})
    lines = shown(many, columns=60)
    assert "bo → r0, r1, r2 and 6 more" in lines and "  whole text: /mail/\\x1bx.md" in lines
    assert shown(letter(1, group="crew"))[1] == "bo → crew (group)"
    assert shown() == ["no mail yet"]
