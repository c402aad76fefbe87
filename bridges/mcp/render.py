"""Mail as the results of tools: for programs, and fenced for a model (bridges.fence)."""

from typing import Any

from pydantic import BaseModel

from bridges.fence import LABEL, block, new_fence
from broker.text import visible, visible_json

_ALSO = ("land", "thread", "reply_to", "group", "question", "forwarded", "supersedes", "hops")


class Letter(BaseModel):
    """One message."""

    id: str
    sender: str
    timestamp: str
    content: str
    data: Any = None
    redelivered: bool = False
    file: str | None = None
    about: dict[str, Any] | None = None


class Inbox(BaseModel):
    """What ``check`` returns."""

    messages: list[Letter]
    more: int = 0


def to_inbox(reply: dict[str, Any]) -> Inbox:
    """The structured form of a reply that brings mail."""
    letters = [
        Letter(
            id=m["id"],
            sender=m["from"],
            timestamp=m["timestamp"],
            content=visible(m["message"]["content"]),
            data=visible_json(m["message"].get("data")),
            redelivered=m.get("redelivered", False),
            file=m["file"]["path"] if m.get("file") else None,
            about={k: visible_json(m[k]) for k in _ALSO if k in m} or None,
        )
        for m in reply["messages"]
    ]
    return Inbox(messages=letters, more=reply.get("more", 0))


def to_text(reply: dict[str, Any]) -> str:
    """The same for reading."""
    count, more = len(reply["messages"]), reply.get("more", 0)
    if not count:
        return "No new messages."
    head = f"{count} new message{'s' if count > 1 else ''}"
    head += f", {more} more waiting: call check again." if more else "."
    fence = new_fence()
    return "\n".join([f"{head} {LABEL}", *(block(m, fence) for m in reply["messages"])])


def archive_text(reply: dict[str, Any]) -> str:
    """A page of history or search for reading: newest first, each fenced like new mail."""
    if not reply["messages"]:
        return "Nothing found."
    fence = new_fence()
    rows = []
    for m in reply["messages"]:
        to = m["to"] if isinstance(m["to"], str) else ", ".join(m["to"]) or "nobody"
        unread = " (unread)" if m.get("read") is False else ""
        rows += [f"{m['direction']}, to {visible(to)}{unread}:", block(m, fence)]
    older = [f"Older ones: before={reply['messages'][-1]['id']}"] if reply["more"] else []
    return "\n".join([LABEL, *rows, *older])
