"""A file is believed only as far as it is checked: each line is a request, or named with the reason why it is none."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.export import json_lines
from bridges.export.json_lines import Bad, Message, NotOurs, messages, read_head
from tests.examples import examples
from tests.export.rows import row

HEAD = json_lines.head("abc", "2026-11-05T07:08:09+00:00")


def read(*lines: bytes) -> list[Message | Bad]:
    file = io.BytesIO(b"".join((HEAD, *lines)))
    assert read_head(file) == "abc"
    return list(messages(file))


def test_what_was_written_is_read() -> None:
    rows = [row(1, "a\r\n\0é"), row(3, "b", thread="1", reply_to="1", group="devs", was="9", supersedes="1", hops=2)]
    one, two = read(*map(json_lines.line, rows), json_lines.end(2))
    assert isinstance(one, Message) and isinstance(two, Message)
    assert (one.line, one.id, one.request["message"]) == (2, 1, {"content": "a\r\n\0é"})
    assert two.refs == {"thread": 1, "reply_to": 1, "supersedes": 1}
    assert (two.request["was"], two.request["past"], two.request["group"]) == ("3", {"hops": 2}, "devs")
    assert one.request["readers"] == [{"name": "claude", "state": "read"}]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no JSON"),
        (b"[]", "no object"),
        (b'{"id": "1", "message": {"content": "\\ud800"}}', "no JSON"),
        (b"\xff\n", "no JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "no JSON"),
        (json_lines.line(row(1, "x", id="one")), "its id is no number"),
        (json_lines.line(row(1, "x", id=1)), "its id is no number"),
        (json_lines.line(row(1, "x", id="9" * 30)), "its id is no number"),
        (json_lines.line(row(1, "x", **{"from": "a b"})), "its from is no name"),
        (json_lines.line(row(1, "x", message="x")), "its message is no object"),
        (json_lines.line(row(1, "x", message={"content": 5})), "no text in content"),
        (json_lines.line(row(1, "x", timestamp="yesterday")), "its timestamp is no ISO 8601 time"),
        (json_lines.line(row(1, "x", timestamp="2026-11-05T07:08:09")), "its timestamp is no ISO 8601 time"),
        (json_lines.line(row(1, "x", timestamp="0001-01-01T00:00:00+00:00")), "timestamp must be"),
        (json_lines.line(row(1, "x", readers={})), "its readers is no list"),
        (json_lines.line(row(1, "x", readers=[5])), "state of a reader"),
        (json_lines.line(row(1, "x", readers=[{"name": "a b", "state": "read"}])), "its reader is no name"),
        (json_lines.line(row(1, "x", land="soon")), "land must be one of"),
        (json_lines.line(row(1, "x", thread=5)), "its thread is no number"),
        (json_lines.line(row(1, "x", forwarded={"from": "fred", "id": "1", "timestamp": 5})), "its forwarded is no ISO"),
        (json.dumps(row(1, "x", message={"content": "x", "data": json.loads("[" * 70 + "]" * 70)})).encode(), "deeper than 64"),
    ],
)
def test_a_bad_line_is_named(line: bytes, reason: str) -> None:
    good = json_lines.line(row(7, "fine"))
    bad, fine, *_ = read(line.rstrip(b"\n") + b"\n", good, json_lines.end(2))
    assert isinstance(bad, Bad) and (bad.line, reason in bad.reason) == (2, True), bad
    assert isinstance(fine, Message) and fine.line == 3


def test_ids_that_do_not_ascend_a_wrong_count_and_a_cut_file_are_said() -> None:
    first, second = json_lines.line(row(2, "x")), json_lines.line(row(2, "y"))
    assert read(first, second, json_lines.end(2))[1] == Bad(3, "its id 2 is not above the one before")
    assert read(first, json_lines.end(3))[1] == Bad(3, "the end counts 3 messages, and there are 1")
    assert read(first)[1] == Bad(3, "the file ends without its last line: it was cut")
    assert read(first, json_lines.end(1), second)[1] == Bad(4, "it is behind the end")


def test_a_line_without_end_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "LINE_BYTES", 1024 * 1024)
    long = b'{"id": "' + b"1" * 5_000_000 + b"\n"
    assert read(long, json_lines.line(row(1, "x")), json_lines.end(1))[0] == Bad(2, "it is longer than 1 MiB")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "does not say"),
        (b"\0\0\n", "does not say"),
        (b'{"format": "mbox"}\n', "does not say"),
        (b'{"format": "agent-ipc mail", "version": 2}\n', "upgrade"),
        (b'{"format": "agent-ipc mail", "version": 1, "origin": "../x"}\n', "origin"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(head: bytes, said: str) -> None:
    with pytest.raises(NotOurs, match=said):
        read_head(io.BytesIO(head))


FIELDS = sorted({*row(1, "x"), "group", "was", "reply_to", "forwarded", "end"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5), lambda inside: st.lists(inside, max_size=3)
)


@examples(300)
@given(
    st.dictionaries(st.sampled_from(sorted({*row(1, "x"), "group", "was", "reply_to", "forwarded", "end"})), JSON),
    st.booleans(),
)
def test_no_line_breaks_the_reader(fields: dict[str, Any], whole: bool) -> None:
    body = json.dumps({**(row(1, "x") if whole else {}), **fields}, ensure_ascii=True).encode() + b"\n"
    assert all(isinstance(one, (Message, Bad)) for one in read(body, json_lines.end(1)))
