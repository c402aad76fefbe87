"""Mail as the text of a tool's result: fenced for a model (bridges.fence), within what every host passes on.

Mail is never structured content: some hosts give that to their model in place of the text, without fence and label.
"""

import time
from typing import Any

from bridges.fence import BUDGET_CHARS, LABEL, NOTES_LABEL, digest, heading, new_fence, one_line, page, part, quoted
from bridges.mcp.session import current
from bridges.plurals import number_of
from bridges.way_of_mail import stage

_LINE_CHARS = 300
"""Characters kept free for the lines above and below a page."""


def mail_text(reply: dict[str, Any]) -> str:
    """The mail of a reply that fits. The rest is given back, since nobody sees it."""
    messages = reply["messages"]
    if not messages:
        return "No new messages."
    name, more = str(current().name), reply.get("more", 0)
    text, ids = digest(
        messages, more, to=name, limit_chars=BUDGET_CHARS, read="Call check again", now_s=time.time(), begin=True
    )
    current().left_out([m["id"] for m in messages if m["id"] not in ids])
    return text


def archive_text(reply: dict[str, Any]) -> str:
    """A page of history or search, newest first. Each message is fenced like new mail."""
    messages = reply["messages"]
    if not messages:
        return "Nothing found."
    blocks = page(messages, BUDGET_CHARS - _LINE_CHARS - sum(len(_direction(m)) + 1 for m in messages), begin=True)
    rows = [line for m, block in zip(messages, blocks, strict=False) for line in (_direction(m), block)]
    more = reply["more"] or len(blocks) < len(messages)
    older = [f"Older ones: before={messages[len(blocks) - 1]['id']}"] if more else []
    return "\n".join([LABEL, *rows, *older])


def one_text(reply: dict[str, Any], offset: int) -> str:
    """One message of the archive, from a character on."""
    if not reply["messages"]:
        return "Nothing found."
    (m,) = reply["messages"]
    return "\n".join([LABEL, _direction(m), part(m, heading(m), new_fence(), offset, BUDGET_CHARS - _LINE_CHARS)])


def _direction(m: dict[str, Any]) -> str:
    to = m["to"] if isinstance(m["to"], str) else some(m["to"]) or "nobody"
    return one_line(f"{m['direction']}, to {to}{' (unread)' if m.get('read') is False else ''}:")


def some(names: list[str], limit: int = 10) -> str:
    """The first of many names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def questions_text(rows: list[dict[str, Any]], before: str | None) -> str:
    """Questions that this session asked or was asked."""
    rows = [row for row in rows if before is None or int(row["id"]) < int(before)]
    lines = []
    for row in rows:
        answer = f", answer {row['answer']}" if "answer" in row else ""
        now = f" ({row['asked_is']})" if row.get("asked_is") and row["state"] == "open" else ""
        about = f"id {row['id']} from {row['from']} to {row['to']}{now} asked {row['asked_at']} deadline {row['deadline']}"
        lines.append(f"{one_line(about)}, {row['state']}{answer}: {quoted(row['content'])}")
    shown = lines[: fitting(lines)]
    older = [f"Older ones: before={rows[len(shown) - 1]['id']}"] if len(shown) < len(lines) else []
    return "\n".join([NOTES_LABEL, *shown, *older]) if lines else "No questions."


def dead_text(reply: dict[str, Any]) -> str:
    """Mail that ended unread, and why."""
    lines = []
    for row in reply["dead"]:
        about = one_line(f"{row['id']} from {row['from']} to {row['to']} {row['ending']} {row['at']}")
        lines.append(f"{about}, {quoted(row['why'])}: {quoted(row['content'], BUDGET_CHARS // 2)}")
    if not lines:
        return "No dead letters."
    shown = lines[: fitting(lines)]
    older = [f"Older ones: before={reply['dead'][len(shown) - 1]['id']}"] if reply["more"] or len(shown) < len(lines) else []
    return "\n".join([NOTES_LABEL, *shown, *older])


def receipts_text(rows: list[dict[str, Any]]) -> str:
    """What became of messages this session sent."""
    lines = []
    for row in rows:
        told = (stage(row), f"since {row['at']}" if "at" in row else "", row.get("why", ""))
        lines.append(one_line(f"{row['id']} to {row['to']}: {', '.join(part for part in told if part)}"))
    shown = lines[: fitting(lines)]
    left = [f"{number_of(len(lines) - len(shown), 'more row')}: ask for fewer messages."] if len(shown) < len(lines) else []
    return "\n".join([*shown, *left]) or "None."


def fitting(lines: list[str]) -> int:
    """How many of the lines fit one result; at least one."""
    left = BUDGET_CHARS - 2 * _LINE_CHARS
    for count, line in enumerate(lines):
        left -= len(line) + 1
        if left < 0:
            return max(1, count)
    return len(lines)
