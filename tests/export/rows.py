"""A message as the broker gives it to an export."""

from typing import Any


def row(number: int, text: str, **fields: Any) -> dict[str, Any]:
    reader = {"name": "claude", "state": "read"}
    return {
        "id": str(number),
        "from": "fred",
        "timestamp": "2026-11-05T07:08:09.123456+00:00",
        "message": {"content": text},
        "land": "tool",
        "thread": str(number),
        "readers": [reader],
        **fields,
    }
