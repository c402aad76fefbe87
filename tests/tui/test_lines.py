"""The rows of the terminal view: cut to any width, needs first, and of others' words nothing but text."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rich", reason="the extra tui is not installed")

from rich.cells import cell_len

from bridges.fence import one_line
from bridges.tui.lines import LastWord, Row, cut, now_of, rows_of, summary, wrapped

AT = "2026-03-01T12:00:00+00:00"
OVERVIEW: dict[str, Any] = {
    "at": AT,
    "agents": [
        {"id": "ada", "presence": "working", "last_seen": AT, "queued": 0, "person": True},
        {"id": "bo", "presence": "working", "last_seen": AT, "note": "[b]parser[/b]", "queued": 12, "reach": ["hook"]},
        {"id": "cy", "presence": "idle", "last_seen": AT, "queued": 0, "paused": True, "waits_for": ["ada"]},
        {"id": "di", "presence": "gone", "last_seen": "2026-03-01T09:00:00+00:00", "queued": 3, "unclaimed": True},
    ],
    "questions": [
        {
            "id": "7", "from": "cy", "to": "ada", "content": "which\nbranch\x1b[2J\u202e?", "asked_at": AT,
            "deadline": "2026-03-01T12:05:30+00:00", "state": "open",
        }
    ],
    "permissions": [
        {
            "id": "f00", "name": "bo", "host": "claude", "tool": "Bash", "shown": "rm -rf build", "asked_at": AT,
            "until": "2026-03-01T12:01:00+00:00",
        }
    ],
    "pauses": [{"name": "cy", "since": AT}, {"name": "bo", "other": "di", "since": AT}],
    "dead": 1,
}  # fmt: skip
DEAD = [{"id": "9", "from": "bo", "to": "di", "timestamp": AT, "at": AT, "ending": "expired", "why": "", "content": "old"}]


def rows(columns: int = 80, wanted: str = "") -> list[Row]:
    return rows_of(LastWord(OVERVIEW, DEAD, "ada", now_of(OVERVIEW, 10)), columns, wanted)


def shown(columns: int = 80, wanted: str = "") -> list[str]:
    return [row.text.rstrip() for row in rows(columns, wanted)]


def test_what_needs_the_person_comes_first_then_agents_then_pauses() -> None:
    assert shown() == [
        "NEEDS YOU  3",
        "  question     cy  which\\nbranch\\x1b[2J\\u202e?                        5 min left",
        "  permission   bo  Bash: rm -rf build                                  50 s left",
        "  dead letter  bo  wrote di, who did not read it: expired               just now",
        "AGENTS  4    state      since     queue  claims  reached by",
        "  bo         needs you  just now     12       0  hook          [b]parser[/b]",
        "  cy         needs you  just now      0       0  its checks    wakes paused, wa…",
        "  ada        working    just now      0       0  its checks    you",
        "  di         unclaimed  3 h           3       0  its checks",
        "PAUSED  2",
        "  cy  is not woken  just now",
        "  bo and di  write nothing to each other  just now",
    ]


def test_a_row_says_what_its_keys_act_on_and_keeps_its_key() -> None:
    before = {row.key: row for row in rows() if row.key}
    assert list(before) == [
        "question:7", "permission:f00", "bounce:9:di",
        "agent:bo", "agent:cy", "agent:ada", "agent:di", "pause:cy", "pause:bo+di",
    ]  # fmt: skip
    assert [row.name for row in before.values()] == ["cy", "bo", "bo", "bo", "cy", "ada", "di", "cy", "bo"]
    assert before["pause:bo+di"].pair == ("bo", "di") and before["bounce:9:di"].need is not None


@pytest.mark.parametrize("columns", [52, 63, 79, 100, 132, 300])
def test_no_row_is_wider_than_the_window(columns: int) -> None:
    assert max(cell_len(text) for text in shown(columns)) <= columns


@pytest.mark.parametrize(("wanted", "found"), [("bo", 4), ("BO perm", 1), ("stuck", 0), ("working", 1)])
def test_a_filter_keeps_rows_that_have_all_its_words(wanted: str, found: int) -> None:
    assert len([row for row in rows(wanted=wanted) if row.key]) == found


def test_where_there_is_nothing_it_says_so() -> None:
    empty = [row.text for row in rows_of(LastWord({"at": AT}, [], "", 0), 80)]
    assert empty == ["NEEDS YOU  nothing", "AGENTS  none has registered yet"]
    assert "nothing has 'zzz'" in shown(wanted="zzz")[0]
    assert summary(OVERVIEW, "ada") == "ada: 3 agents, 15 unread, 1 dead letter"


@given(st.text(max_size=300), st.integers(1, 90))
def test_no_text_breaks_out_of_its_cells(text: str, cells: int) -> None:
    line = cut(text, cells)
    assert cell_len(line) <= cells and one_line(line) == line


@given(
    st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"], include_characters="\n"), max_size=300), st.integers(8, 90)
)
def test_wrapped_lines_have_all_words_in_their_order(text: str, cells: int) -> None:
    lines = wrapped(text, cells)
    assert all(cell_len(line) <= cells for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.text(alphabet=st.characters(categories=["L", "P", "Zs"], include_characters="\n"), max_size=300), st.integers(8, 90))
def test_lines_of_a_permission_leave_no_character_out(text: str, cells: int) -> None:
    assert "".join(wrapped(text, cells, exact=True)) == text.replace("\n", "")
