"""Markdown: mail as a page to read. Texts stand in fences longer than any in them, so that nothing in them is markup."""

import re
from datetime import datetime
from typing import Any

import orjson

from bridges.fence import one_line, visible

_FENCES = re.compile(r"~{3,}")
_TICKS = re.compile(r"`+")
_STATES = {"unread": "not read"}


def title(fields: dict[str, Any]) -> str:
    """The head of the page, from what was asked for."""
    asked = [
        f"{what} {one_line(str(fields[what]))}" for what in ("thread", "name", "peer", "group") if fields.get(what) is not None
    ]
    return f"# Mail{': ' + ', '.join(asked) if asked else ''}\n"


def entry(row: dict[str, Any]) -> str:
    """One message on the page."""
    when = datetime.fromisoformat(row["timestamp"])
    to = row.get("group") or ", ".join(reader_name(one) for one in row["readers"]) or "nobody"
    answers = f", answers #{row['reply_to']}" if row.get("reply_to") else ""
    thread = f", thread #{row['thread']}" if row["thread"] != row["id"] else ""
    lines = ["", f"## #{row['id']} {one_line(row['from'])} to {one_line(to)}", ""]
    lines += [f"{when:%Y-%m-%d %H:%M:%S} UTC{answers}{thread}", ""]
    lines += [fenced(row["message"]["content"]), ""]
    if "data" in row["message"]:
        lines += ["Data:", "", fenced(orjson.dumps(row["message"]["data"], option=orjson.OPT_INDENT_2).decode(), "json"), ""]
    if row.get("missing"):
        lines += ["The file with the whole text is gone; this is its beginning.", ""]
    told = [f"{reader_name(one)}: {told_of(one)}" for one in row["readers"]]
    return "\n".join([*lines, *(f"- {one}" for one in told), ""])


def reader_name(reader: dict[str, Any]) -> str:
    return one_line(reader["name"]) if reader["name"] is not None else "(gone)"


def told_of(reader: dict[str, Any]) -> str:
    at = f" {datetime.fromisoformat(reader['at']):%Y-%m-%d %H:%M:%S} UTC" if reader.get("at") else ""
    why = f" ({in_line(reader['why'])})" if reader.get("why") else ""
    state: str = reader["state"]
    return _STATES.get(state, state) + at + why


def in_line(text: str) -> str:
    """A short text of others within a line."""
    ticks = "`" * (1 + max((len(found) for found in _TICKS.findall(text)), default=0))
    room = " " if "`" in text else ""
    return f"{ticks}{room}{one_line(text)}{room}{ticks}"


def fenced(text: str, kind: str = "text") -> str:
    fence = "~" * (1 + max((len(found) for found in _FENCES.findall(text)), default=2))
    shown = visible(text)
    return f"{fence}{kind}\n{shown}{'' if shown.endswith(chr(10)) else chr(10)}{fence}"
