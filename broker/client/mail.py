"""``Mail``: a message as a program receives it."""

from dataclasses import dataclass
from typing import Any

_OPTIONAL = ("redelivered", "file", "land", "thread", "reply_to", "group", "question", "forwarded", "supersedes")


@dataclass(frozen=True, slots=True)
class Mail:
    """A message as received. ``timestamp`` is UTC, ISO 8601; ``data`` any JSON value or None."""

    id: str
    sender: str
    to: str
    timestamp: str
    content: str
    data: Any = None
    redelivered: bool = False
    file: dict[str, Any] | None = None
    """Of a large message: ``path``, ``size_bytes``, ``sha256`` of the whole; ``content`` is then its summary."""
    land: str = "tool"
    """When its sender wants it to land: interrupt, tool or turn."""
    thread: str | None = None
    reply_to: str | None = None
    group: str | None = None
    question: dict[str, Any] | None = None
    """Of an ``ask``: ``deadline``, and whether the asker is ``waiting`` for the answer right now."""
    forwarded: dict[str, Any] | None = None
    """Of a forward: who wrote it (``from``), its ``id`` and ``timestamp`` then."""
    supersedes: str | None = None

    @classmethod
    def from_wire(cls, m: dict[str, Any]) -> "Mail":
        message = m["message"]
        return cls(
            m["id"],
            m["from"],
            m["to"],
            m["timestamp"],
            message["content"],
            message.get("data"),
            **{name: m[name] for name in _OPTIONAL if name in m},
        )
