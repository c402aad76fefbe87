"""``loads`` and ``dumps`` of the json package for those who stay in great number: by its C code alone.

``import json`` brings re and enum, 1.1 MB of a relay's 5. Where this Python has no such C code, it is the json package. Lines
are UTF-8.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BLANKS = " \t\n\r"
_BOM = b"\xef\xbb\xbf"


def _constant(word: str) -> float:
    return {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}[word]


def _cannot(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


class _Reading:
    """What the C scanner asks of a decoder."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    memo: dict[str, str]

    def __init__(self, parse_constant: Callable[[str], Any]) -> None:
        self.parse_constant = parse_constant
        self.memo = {}


def loads(line: bytes | str, *, parse_constant: Callable[[str], Any] = _constant) -> Any:
    """The value of a text. Raises ValueError, RecursionError."""
    text = line if isinstance(line, str) else line.removeprefix(_BOM).decode("utf-8", "surrogatepass")
    start = 0 if text[:1] in "{[" else len(text) - len(text.lstrip(_BLANKS))
    try:
        value, end = _scanner(parse_constant)(text, start)
    except StopIteration as e:
        raise ValueError(f"no JSON value at character {e.value}") from None
    except SystemError:  # before Python 3.13 the C code does not find its class of errors where json is not imported
        raise ValueError("no JSON value") from None
    if end != len(text) and text[end:].strip(_BLANKS):
        raise ValueError(f"more after the JSON value, at character {end}")
    return value


def dumps(value: Any, *, ensure_ascii: bool = True, separators: tuple[str, str] = (", ", ": ")) -> str:
    """The text of a value. Raises TypeError for what JSON has not, RecursionError for what is in itself."""
    return "".join(_encoder(ensure_ascii, separators)(value, 0))


def _scanner(parse_constant: Callable[[str], Any]) -> Callable[[str, int], tuple[Any, int]]:
    return make_scanner(_Reading(parse_constant))  # type: ignore[arg-type]


def _encoder(ensure_ascii: bool, separators: tuple[str, str]) -> Callable[[Any, int], tuple[str, ...]]:
    between, colon = separators
    text = encode_basestring_ascii if ensure_ascii else encode_basestring
    return make_encoder(None, _cannot, text, None, colon, between, False, False, True)


try:
    from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

    assert (
        loads(b'{"a": [1.5, "\\u00e9", null]} ') == {"a": [1.5, "\u00e9", None]}
        and dumps({"a": "\u00e9"}) == '{"a": "\\u00e9"}'
    )
except (ImportError, TypeError, AttributeError):  # another Python, whose C code is called otherwise
    from json import dumps, loads  # type: ignore[assignment]
