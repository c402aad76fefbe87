"""``Mail``: a message as a program receives it."""

from dataclasses import dataclass
from typing import Any

_OPTIONAL = ("redelivered", "file", "land", "thread", "reply_to", "group", "question", "forwarded", "supersedes", "resends")


@dataclass(frozen=True, slots=True)
class Mail:
    """A received message. ``timestamp`` is when the broker stored it (UTC, ISO 8601); ``data`` is any JSON value or None."""

    id: str
    sender: str
    to: str
    timestamp: str
    content: str
    data: Any = None
    redelivered: bool = False
    file: dict[str, Any] | None = None
    """Of a message over 10 KiB: ``path``, ``size_bytes`` and ``sha256`` of the whole text. ``content`` is then a summary."""
    land: str = "tool"
    """When the sender wants it to land: ``interrupt`` at once, ``tool`` after a tool call, ``turn`` at the end of a turn."""
    thread: str | None = None
    reply_to: str | None = None
    group: str | None = None
    question: dict[str, Any] | None = None
    """Of a question (``ask``): its ``deadline``, and whether the asker is ``waiting`` for the answer at this moment."""
    forwarded: dict[str, Any] | None = None
    """Of a forwarded message: who wrote it (``from``), and the ``id`` and ``timestamp`` of the original."""
    supersedes: str | None = None
    resends: str | None = None
    """Of a dead letter that was sent again: the id of the first message."""

    @classmethod
    def from_wire(cls, m: dict[str, Any]) -> "Mail":
        """The message of an entry of ``messages`` in a reply or push."""
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
