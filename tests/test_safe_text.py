"""What is made visible: every character that looks like nothing, and no other."""

import unicodedata

import pytest

from bridges.safe_text import one_line, one_line_json, visible
from bridges.scripts.ipc_client import printable

# ranges of Default_Ignorable_Code_Point, first and last (DerivedCoreProperties.txt, Unicode 16.0)
IGNORABLE = [
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
]
BLANK = [(0x2028, 0x2029), (0x2800, 0x2800), (0xFFF9, 0xFFFB)]
CONTROLS = [(0x00, 0x08), (0x0B, 0x1F), (0x7F, 0x9F), (0xD800, 0xDFFF)]
HIDDEN = {code for first, last in IGNORABLE + BLANK + CONTROLS for code in range(first, last + 1)}


@pytest.mark.deep
def test_each_hidden_character_becomes_an_escape_and_each_other_one_stays() -> None:
    for code in range(0x110000):
        shown = visible(chr(code))
        assert (shown != chr(code)) is (code in HIDDEN), hex(code)
        assert code not in HIDDEN or (shown.isascii() and int(shown[2:], 16) == code), hex(code)


def test_every_format_character_that_draws_nothing_is_hidden_here() -> None:
    """Those of the category Cf that do draw something, such as the Arabic number sign, stay."""
    drawn = {0x0600, 0x0601, 0x0602, 0x0603, 0x0604, 0x0605, 0x06DD, 0x070F, 0x0890, 0x0891, 0x08E2, 0x110BD, 0x110CD}
    drawn |= set(range(0x13430, 0x13440))
    assert {c for c in range(0x110000) if unicodedata.category(chr(c)) == "Cf"} - HIDDEN <= drawn


def test_the_scripts_that_stand_alone_hide_the_same() -> None:
    assert {code for code in range(0x110000) if printable(chr(code)) == "?" and code != ord("?")} == HIDDEN


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("a\nb\r\n\tc", "a\\nb\\x0d\\n\\tc"),
        ("\u2028x\u2029\x85", "\\u2028x\\u2029\\x85"),
        ("日本語 ünï 🙂", "日本語 ünï 🙂"),
        ("ok\U000e0150", "ok\\U000e0150"),
    ],
)
def test_a_line_stays_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
    assert one_line_json({text: [text, 1, None]}) == {line: [line, 1, None]}
