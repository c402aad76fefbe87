"""Makes text of others safe to show. Nothing in it can steer a terminal or hide from a reader."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# C0 and C1 controls but tab and newline begin terminal escapes. Half a surrogate pair can't be encoded at all.
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff"
# Default_Ignorable_Code_Point, of DerivedCoreProperties.txt of Unicode 16.0 (www.unicode.org/Public/16.0.0/ucd/), all of it:
# soft hyphen, joiners, bidi, Hangul fillers, variation selectors, tag characters, and what is reserved for more of the kind
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
# line and paragraph separators, the braille pattern without a dot and annotation marks look like nothing, too
_BLANK = "\u2028\u2029\u2800\ufff9-\ufffb"
_HIDDEN = f"[{_CONTROLS}{_IGNORABLE}{_BLANK}]"
"""Compiled at first use (0.6 ms): most hooks have nothing to show."""


def visible(text: str) -> str:
    """The text with each control or invisible character written as an escape, such as ``\\x1b``. Line breaks stay."""
    if text.isascii() and text.isprintable():  # most names and notes: seven times as fast
        return text
    return re.sub(_HIDDEN, _escape, text)


def one_line(text: str) -> str:
    """The text made visible on one line. Tabs and line breaks are escapes, too."""
    return visible(text).replace("\t", "\\t").replace("\n", "\\n")


def one_line_json(value: Any) -> Any:
    """A JSON value with each text in it made visible on one line."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, list):
        return [one_line_json(item) for item in value]
    if isinstance(value, dict):
        return {one_line(key): one_line_json(item) for key, item in value.items()}
    return value


def visible_json(value: Any) -> Any:
    """A JSON value with each text in it made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [visible_json(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): visible_json(item) for key, item in value.items()}
    return value


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
