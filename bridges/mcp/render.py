"""Mail as the text of a tool's result: fenced for a model (bridges.fence). Never as structured content, which some hosts give
their model in place of the text, without fence and label."""

from typing import Any

from bridges.fence import LABEL, NOTES_LABEL, block, new_fence, one_line, quoted


def to_text(reply: dict[str, Any]) -> str:
    """A reply that brings mail."""
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
        rows += [f"{m['direction']}, to {one_line(to)}{unread}:", block(m, fence)]
    older = [f"Older ones: before={reply['messages'][-1]['id']}"] if reply["more"] else []
    return "\n".join([LABEL, *rows, *older])


def questions_text(rows: list[dict[str, Any]]) -> str:
    """Questions asked by or of this session; their words are another's, or this session's own."""
    lines = []
    for row in rows:
        answer = f", answer {row['answer']}" if "answer" in row else ""
        about = f"id {row['id']} from {row['from']} to {row['to']} asked {row['asked_at']} deadline {row['deadline']}"
        lines.append(f"{one_line(about)}, {row['state']}{answer}: {quoted(row['content'])}")
    return "\n".join([NOTES_LABEL, *lines]) if lines else "No questions."


def receipts_text(rows: list[dict[str, Any]]) -> str:
    """What became of messages this session sent."""
    lines = [f"{row['id']} to {row['to']}: {row['state']}{' ' + row['at'] if 'at' in row else ''}" for row in rows]
    return "\n".join(one_line(line) for line in lines) or "None."
