"""Replies cut to the 32,767 bytes that a one-shot client can take, whatever the action.

Rows go from the end of the longest list, and ``more`` counts them. A row that is too long by itself is shortened likewise,
and of a text the beginning stays, with ``cut`` for the characters that are left out: nothing is left out unsaid.
"""

from typing import Any

from broker.protocol.json_text import to_json

ONE_SHOT_BYTES = 32_767
"""Clients read a reply with a single recv(65536). Linux's TCP pushes after half of the largest window that was offered, so
that a quick reader gets 32,768 bytes of a longer one, and breaks."""
_NOTE_BYTES = len(',"more":1000000000')
_ROW_BYTES = 256
"""With less room than this a list is left empty rather than a row shortened."""
_ENTRY_BYTES = 128
"""A map whose longest value is smaller than this is long by its entries."""


def fit(record: dict[str, Any], limit_bytes: int) -> int:
    """Shorten a reply, or one row of it, in place. Returns the entries left out that it could not note itself."""
    left, before = 0, -1
    while (excess := _size(record) - limit_bytes) > 0 and excess != before:
        before = excess
        name = max(record, key=lambda n: _size(record[n]))
        value, size = record[name], _size(record[name])
        room = max(0, size - excess - _NOTE_BYTES)
        if isinstance(value, list):
            _more(record, _fit_rows(value, room))
        elif isinstance(value, dict):
            _more(record, fit(value, room))
        elif isinstance(value, str) and size >= _ENTRY_BYTES:
            record[name] = _beginning(value, room)
            record["cut"] = record.get("cut", 0) + len(value) - len(record[name])
        else:
            left += _fit_entries(record, limit_bytes)
    return left


def _more(record: dict[str, Any], left: int) -> None:
    """Add to ``more``, the number of rows that are left out; ``more`` stays true where the broker does not count them."""
    if left:
        more = record.get("more", 0)
        record["more"] = True if isinstance(more, bool) else more + left


def _fit_rows(rows: list[Any], room: int) -> int:
    """Keep the rows that fit. Returns how many were left out."""
    used, kept = 2, 0
    for row in rows:
        used += _size(row) + 1
        if used > room + 1:
            break
        kept += 1
    if not kept and room >= _ROW_BYTES and isinstance(rows[0], dict):
        fit(rows[0], room - 2)
        kept = 1
    left = len(rows) - kept
    del rows[kept:]
    return left


def _fit_entries(table: dict[str, Any], room: int) -> int:
    """Keep the first entries of a map that fit. Returns how many were left out."""
    used, names = 2, list(table)
    for position, name in enumerate(names):
        used += _size(name) + _size(table[name]) + 2
        if used > room:
            for gone in names[position:]:
                del table[gone]
            return len(names) - position
    return 0


def _beginning(text: str, room: int) -> str:
    """The longest beginning of a text that has at most ``room`` bytes as JSON."""
    low, high = 0, min(len(text), room)
    while low < high:
        middle = (low + high + 1) // 2
        if _size(text[:middle]) <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low]


def _size(value: Any) -> int:
    return len(to_json(value))
