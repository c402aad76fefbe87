"""Lines of logs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bridges.view.log_lines import log_lines

OLD = json.dumps({"time": "2026-03-01T12:00:00.000Z", "level": "info", "event": "broker_ready", "pid": 7, "port": 9})
NEW = json.dumps({"time": "2026-03-01T12:00:01.000Z", "level": "error", "event": "no\x1b", "pid": 7, "traceback": "a\nb"})


def test_the_newest_line_of_all_processes_is_first() -> None:
    newest, older = log_lines([("tcp", NEW), ("broker", OLD)])
    assert (newest.process, newest.event, newest.trace) == ("tcp", "no\\x1b", "a\nb")
    assert (older.event, older.fields) == ("broker ready", (("port", "9"),))


def test_lower_levels_are_left_out() -> None:
    assert [line.level for line in log_lines([("tcp", NEW), ("broker", OLD)], "warning")] == ["error"]


def test_what_is_no_json_stands_with_the_line_before() -> None:
    shown = log_lines([("broker", OLD), ("broker", "Fatal Python error: boom\n")])
    assert [(line.time, line.event) for line in shown][1] == ("2026-03-01T12:00:00.000Z", "Fatal Python error: boom")


@given(st.lists(st.text()))
def test_no_line_of_any_kind_breaks_the_page(lines: list[str]) -> None:
    for line in log_lines([("broker", line) for line in lines], "debug"):
        assert "\n" not in line.event and "\x1b" not in line.event
