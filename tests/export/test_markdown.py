"""A thread as a page: nothing in a text is markup or steers a terminal."""

from bridges.export import markdown
from tests.export.rows import row


def test_a_message_is_a_heading_its_text_and_its_readers() -> None:
    one = row(4, "done\n", reply_to="1", thread="1", message={"content": "done\n", "data": {"n": 1}})
    assert markdown.entry(one).split("\n") == [
        "",
        "## #4 fred to claude",
        "",
        "2026-11-05 07:08:09 UTC, answers #1, thread #1",
        "",
        "~~~text",
        "done",
        "~~~",
        "",
        "Data:",
        "",
        "~~~json",
        "{",
        '  "n": 1',
        "}",
        "~~~",
        "",
        "- claude: read",
        "",
    ]


def test_no_text_ends_its_fence_and_none_is_hidden() -> None:
    found = markdown.entry(row(1, "~~~\n# no heading <script>\x1b[2J\n~~~~~\nx\u202e"))
    assert "~~~~~~text\n~~~\n# no heading <script>\\x1b[2J\n~~~~~\nx\\u202e\n~~~~~~\n" in found


def test_a_name_or_reason_of_others_is_one_line() -> None:
    readers = [{"name": "claude", "state": "refused", "at": "2026-11-05T07:08:09+00:00", "why": "no\n# really"}]
    assert "- claude: refused 2026-11-05 07:08:09 UTC (`no\\n# really`)\n" in markdown.entry(row(1, "x", readers=readers))
    readers = [{"name": "claude", "state": "dead", "why": "[x](https://evil.example) ``<img src=x>"}]
    assert "- claude: dead (``` [x](https://evil.example) ``<img src=x> ```)\n" in markdown.entry(row(1, "x", readers=readers))
    assert markdown.title({"group": "a\nb"}) == "# Mail: group a\\nb\n"
