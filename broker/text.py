"""Text of others made safe to show: nothing in it may steer a terminal or hide from a reader."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 controls but tab and newline: terminal escapes begin with them
    "\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # bidi, zero width, annotation
    "\U000e0000-\U000e007f]"  # tag characters, which carry invisible ASCII
)


def visible(text: str) -> str:
    """The text with each control or invisible character written as an escape, such as ``\\x1b``."""
    return _HIDDEN.sub(_escape, text)


def visible_json(value: Any) -> Any:
    """A JSON value with all its text made visible."""
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
